"""`doctor` about the rights of the platform's account."""

from typing import Any

import pytest

from fakes.reconciling import DesiredStates, config, stateful_set
from towpath.errors import RemoteError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, Patch, WriteOptions
from towpath.reconcile.desired import Desired
from towpath.server.permissions import examine_permissions

ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


class Reviewer:
    """Satisfies `reconcile.ports.ResourceWriter`: answers reviews with these rules, and takes nothing else."""

    def __init__(self, *rules: dict[str, Any], **status: Any) -> None:
        self.status = {"resourceRules": list(rules), "incomplete": False, **status}
        self.asked: list[str] = []

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        assert (obj["kind"], options.dry_run) == ("SelfSubjectRulesReview", False)
        self.asked.append(obj["spec"]["namespace"])
        return {**obj, "status": self.status}

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        raise NotImplementedError

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        raise NotImplementedError

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        raise NotImplementedError

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        raise NotImplementedError


class Silent(Reviewer):
    """A server without such reviews."""

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        raise ApiNotFoundError(f"no matches for kind {obj['kind']}, {options.field_manager}")


@pytest.fixture
def source() -> DesiredStates:
    states = DesiredStates()
    states.states["dev"] = Desired("dev", "home", "a" * 40, (config(), stateful_set()))
    return states


async def examine(reviewer: Reviewer, source: DesiredStates, *environments: str) -> list[tuple[str, str, str]]:
    checks = await examine_permissions(reviewer, source, environments or ("dev",), own_namespace="towpath")
    return [(check.state, check.evidence, check.next) for check in checks]


async def test_an_account_that_may_do_all_is_well(source: DesiredStates) -> None:
    reviewer = Reviewer(ALL)

    assert await examine(reviewer, source) == [("ok", "all that the overlays need, in dev, towpath", "")]
    assert reviewer.asked == ["dev", "towpath"]


async def test_what_is_missing_is_a_problem_with_the_command_that_grants_it(source: DesiredStates) -> None:
    rules = {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}
    ((state, evidence, step),) = await examine(Reviewer(rules), source)

    assert (state, "dev: get,list,watch,create,patch,delete statefulsets.apps" in evidence) == ("problem", True)
    assert evidence.count(";") <= 3, "a screen is enough to see what is the matter"
    assert "towpath manifest" in step


async def test_a_server_that_does_not_say_is_no_finding(source: DesiredStates) -> None:
    assert await examine(Silent(), source) == []
    assert await examine(Reviewer(incomplete=True), source) == []


async def test_an_environment_whose_state_is_not_known_is_left_out(source: DesiredStates) -> None:
    source.states["prod"] = RemoteError("the registry does not answer")

    assert (await examine(Reviewer(ALL), source, "dev", "prod"))[0][0] == "ok"
    assert await examine(Reviewer(ALL), source, "prod") == []
