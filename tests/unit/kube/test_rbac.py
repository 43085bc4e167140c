"""Rules allow what they name and nothing else."""

import pytest

from towpath.kube.rbac import allows

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
READ_LOGS = {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}
ONE_MAP = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"], "resourceNames": ["schedule"]}
ALL_OF_APPS = {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}
ANY_STATUS = {"apiGroups": ["*"], "resources": ["*/status"], "verbs": ["patch"]}


@pytest.mark.parametrize(
    ("rule", "request_", "allowed"),
    [
        pytest.param(READ_PODS, ("get", "", "pods", "a"), True, id="named-verb"),
        pytest.param(READ_PODS, ("delete", "", "pods", "a"), False, id="another-verb"),
        pytest.param(READ_PODS, ("get", "apps", "pods", "a"), False, id="another-group"),
        pytest.param(READ_PODS, ("get", "", "secrets", "a"), False, id="another-resource"),
        pytest.param(READ_PODS, ("get", "", "pods", "a", "log"), False, id="a-subresource-needs-its-own-rule"),
        pytest.param(READ_LOGS, ("get", "", "pods", "a", "log"), True, id="subresource"),
        pytest.param(READ_LOGS, ("get", "", "pods", "a"), False, id="the-object-itself-is-not-meant"),
        pytest.param(ONE_MAP, ("get", "", "configmaps", "schedule"), True, id="resource-name"),
        pytest.param(ONE_MAP, ("get", "", "configmaps", "other"), False, id="another-name"),
        pytest.param(ONE_MAP, ("list", "", "configmaps"), False, id="a-list-names-none"),
        pytest.param(ALL_OF_APPS, ("delete", "apps", "deployments", "a", "scale"), True, id="wildcards"),
        pytest.param(ALL_OF_APPS, ("delete", "", "pods", "a"), False, id="wildcard-in-one-group"),
        pytest.param(ANY_STATUS, ("patch", "batch", "jobs", "a", "status"), True, id="status-of-anything"),
        pytest.param(ANY_STATUS, ("patch", "batch", "jobs", "a"), False, id="status-only"),
    ],
)
def test_a_rule_allows_what_it_names(rule: dict[str, list[str]], request_: tuple[str, ...], allowed: bool) -> None:
    assert allows([rule], *request_) is allowed


def test_no_rule_allows_nothing() -> None:
    assert not allows([], "get", "", "pods")


def test_one_of_several_rules_is_enough() -> None:
    assert allows([READ_PODS, READ_LOGS], "get", "", "pods", "a", "log")
