import pytest

from towpath.kube.errors import ApiConflictError, ApiError, ApiNotFoundError, ForbiddenError
from towpath.kube.objects import GVK, ObjectKey
from towpath.kube.requests import DeleteOptions
from towpath.reconcile.changes import Action, Change, ChangeSet
from towpath.reconcile.prune import PruneBudget, PruneRefusedError, check_prune, prune
from towpath.reconcile.refusals import ApplyError


def change(name: str, kind: str = "ConfigMap", *, keep: bool = False) -> Change:
    key, gvk = ObjectKey("", kind, "dev", name), GVK("", "v1", kind)
    stored = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "dev", "uid": f"uid-{name}"}}
    if keep:
        return Change(key, gvk, Action.UNCHANGED, desired=stored, live=stored)
    return Change(key, gvk, Action.PRUNED, live=stored)


def check(*changes: Change, inventory: int = 10, budget: PruneBudget | None = None) -> None:
    entries = {
        ObjectKey("", "ConfigMap", "dev", f"{number}"): GVK("", "v1", "ConfigMap") for number in range(inventory)
    }
    check_prune(ChangeSet(changes), entries, environment="dev", budget=budget or PruneBudget())


KEPT = change("kept", keep=True)


def test_a_few_deletions_are_daily_work() -> None:
    check(KEPT, *(change(f"{number}") for number in range(6)), inventory=7)


@pytest.mark.parametrize(("count", "inventory"), [(7, 13), (21, 1000)])
def test_more_than_the_budget_needs_a_confirmation(count: int, inventory: int) -> None:
    with pytest.raises(PruneRefusedError, match="OverBudget") as caught:
        check(KEPT, *(change(f"{number}") for number in range(count)), inventory=inventory)
    assert f"{count} of {inventory} objects" in caught.value.message
    assert "towpath reconcile dev --confirm-prune" in caught.value.hint
    assert "Towpath-Prune: dev" in caught.value.hint


@pytest.mark.parametrize(("count", "inventory"), [(7, 14), (20, 40)])
def test_what_is_just_within_the_budget_needs_none(count: int, inventory: int) -> None:
    check(KEPT, *(change(f"{number}") for number in range(count)), inventory=inventory)


def test_the_budget_may_be_another() -> None:
    check(KEPT, *(change(f"{number}") for number in range(9)), inventory=10, budget=PruneBudget(few=9))


@pytest.mark.parametrize("kind", ["Namespace", "PersistentVolumeClaim"])
def test_what_takes_data_along_needs_a_confirmation(kind: str) -> None:
    with pytest.raises(PruneRefusedError, match="DataLoss"):
        check(KEPT, change("x", kind))


def test_nothing_left_at_all_needs_a_confirmation() -> None:
    with pytest.raises(PruneRefusedError, match="EmptyRender"):
        check(change("one"))


def test_nothing_to_prune_is_fine() -> None:
    check()


class Deleter:
    """Answers deletions as told; the other half of the port is never used."""

    def __init__(self, **answers: ApiError) -> None:
        self.answers = answers
        self.deleted: list[tuple[str, str]] = []

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        assert (gvk.kind, namespace) == ("ConfigMap", "dev")
        if name in self.answers:
            raise self.answers[name]
        self.deleted.append((name, options.uid))


async def test_only_the_very_objects_that_were_looked_at_are_deleted() -> None:
    deleter = Deleter()
    gone = await prune(deleter, [change("b"), change("a")])
    assert deleter.deleted == [("b", "uid-b"), ("a", "uid-a")]
    assert [key.name for key in gone] == ["b", "a"]


async def test_what_is_gone_or_replaced_counts_as_gone() -> None:
    deleter = Deleter(a=ApiNotFoundError("gone"), b=ApiConflictError("another uid"))
    assert [key.name for key in await prune(deleter, [change("a"), change("b")])] == ["a", "b"]


async def test_a_refused_deletion_does_not_keep_the_others_waiting() -> None:
    deleter = Deleter(a=ForbiddenError("no"))
    with pytest.raises(ApplyError) as caught:
        await prune(deleter, [change("a"), change("b")])
    assert deleter.deleted == [("b", "uid-b")]
    assert [str(refusal.key) for refusal in caught.value.refusals] == ["ConfigMap/dev/a"]
