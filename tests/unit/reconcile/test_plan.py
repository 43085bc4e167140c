"""The plan with dictionaries alone."""

import copy
from collections.abc import Sequence

import pytest

from towpath.kube.objects import GVK, Object, ObjectKey, gvk_of, key_of
from towpath.reconcile.changes import Action, ChangeSet
from towpath.reconcile.marks import mark
from towpath.reconcile.plan import plan, waves_of

APPLICATION = "home/dev"


def obj(
    kind: str = "ConfigMap", name: str = "a", *, wave: str = "", namespace: str = "dev", **fields: object
) -> Object:
    metadata: Object = {"name": name, "namespace": namespace} if namespace else {"name": name}
    if wave:
        metadata["annotations"] = {"argocd.argoproj.io/sync-wave": wave}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def marked(one: Object) -> Object:
    return mark(one, application=APPLICATION, environment="dev")


def live(one: Object, **metadata: object) -> Object:
    stored = copy.deepcopy(one)
    stored["metadata"] |= {"uid": "u1", "resourceVersion": "7", **metadata}
    return stored


def planned(
    desired: Sequence[Object],
    existing: Sequence[Object] = (),
    *,
    inventory: Sequence[Object] = (),
    keep: Sequence[ObjectKey] = (),
) -> ChangeSet:
    """A server that would store exactly what is applied, beside what the live object has."""
    objects = {key_of(one): one for one in existing}
    previews = {key_of(one): {**objects[key_of(one)], **one} for one in desired if key_of(one) in objects}
    entries: dict[ObjectKey, GVK] = {key_of(one): gvk_of(one) for one in inventory}
    return plan(desired, objects, application=APPLICATION, previews=previews, inventory=entries, keep=keep)


def actions(change_set: ChangeSet) -> list[tuple[str, str, str]]:
    return [(change.key.name, change.action.value, change.reason) for change in change_set.changes]


def test_what_does_not_exist_is_created() -> None:
    assert actions(planned([marked(obj())])) == [("a", "created", "")]


def test_what_the_server_would_not_change_is_unchanged() -> None:
    assert actions(planned([marked(obj())], [live(marked(obj()))])) == [("a", "unchanged", "")]


def test_what_the_server_would_change_is_configured_and_says_what() -> None:
    (change,) = planned([marked(obj(data={"k": "new"}))], [live(marked(obj(data={"k": "old"})))]).changes
    assert change.action is Action.CONFIGURED
    assert ("data.k", "old", "new") in [(field.path, field.before, field.after) for field in change.fields]
    assert not change.drift


def test_a_difference_in_what_was_last_applied_is_drift() -> None:
    edited = {**live(marked(obj(data={"k": "git"}))), "data": {"k": "hand"}}
    (change,) = planned([marked(obj(data={"k": "git"}))], [edited]).changes
    assert change.drift
    assert [(field.path, field.before, field.after) for field in change.fields] == [("data.k", "hand", "git")]


def test_what_existed_without_an_owner_is_adopted() -> None:
    assert actions(planned([marked(obj())], [live(obj())])) == [("a", "configured", "adopted: it existed before")]


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:dev/a"}}, "Argo CD application shop"),
        ({"annotations": {"towpath.dev/tracking-id": "home/prod:/ConfigMap:dev/a"}}, "Towpath application home/prod"),
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}},
            "Flux flux/apps",
        ),
        (
            {
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop"},
            },
            "Helm release shop",
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "1", "controller": True}]},
            "Thing t",
        ),
    ],
)
def test_what_another_controller_manages_is_skipped_and_says_whose_it_is(metadata: Object, owner: str) -> None:
    theirs = live(obj(), **metadata)
    assert actions(planned([marked(obj())], [theirs])) == [("a", "skipped", f"managed by {owner}")]
    assert actions(planned([], [theirs], inventory=[obj()])) == [("a", "skipped", f"kept: managed by {owner}")]


def test_a_copy_of_a_managed_object_is_nobodys() -> None:
    copied = live(obj(name="copy"), annotations={"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:dev/a"})
    assert actions(planned([marked(obj(name="copy"))], [copied])) == [
        ("copy", "configured", "adopted: it existed before")
    ]


@pytest.mark.parametrize("name", ["towpath.dev/reconcile", "kustomize.toolkit.fluxcd.io/reconcile"])
def test_an_object_that_asks_to_be_left_alone_is(name: str) -> None:
    left = live(marked(obj()), annotations={name: "disabled"})
    assert actions(planned([marked(obj())], [left]))[0][1] == "skipped"


def test_a_dying_object_is_waited_for() -> None:
    dying = live(marked(obj()), deletionTimestamp="2026-01-31T09:30:00Z")
    assert actions(planned([marked(obj())], [dying])) == [("a", "skipped", "waiting for its deletion")]
    assert actions(planned([], [dying], inventory=[obj()])) == [("a", "skipped", "waiting for its deletion")]


def test_what_git_dropped_is_pruned() -> None:
    assert actions(planned([], [live(marked(obj()))], inventory=[obj()])) == [("a", "pruned", "")]


def test_what_git_dropped_and_is_gone_needs_nothing() -> None:
    assert actions(planned([], inventory=[obj()])) == []


def test_what_lost_our_mark_is_kept() -> None:
    assert actions(planned([], [live(obj())], inventory=[obj()])) == [
        ("a", "skipped", "kept: it no longer carries Towpath's mark")
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("towpath.dev/prune", "disabled"),
        ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
        ("argocd.argoproj.io/sync-options", "ServerSideApply=true, Prune=false"),
    ],
)
def test_what_opts_out_of_pruning_is_kept(name: str, value: str) -> None:
    kept = live(marked(obj()))
    kept["metadata"]["annotations"][name] = value
    assert actions(planned([], [kept], inventory=[obj()])) == [
        ("a", "skipped", "kept: pruning is disabled by annotation")
    ]


def test_what_git_wants_but_cannot_say_yet_is_kept() -> None:
    kept = planned([], [live(marked(obj()))], inventory=[obj()], keep=[key_of(obj())])
    assert actions(kept) == [("a", "skipped", "kept: its service is not promoted")]


def test_what_others_need_comes_first_and_is_pruned_last() -> None:
    kinds = ["StatefulSet", "Widget", "Service", "ConfigMap", "Namespace", "Role", "Secret", "ServiceAccount"]
    objects = [obj(kind, namespace="" if kind == "Namespace" else "dev") for kind in kinds]
    order = ["Namespace", "ServiceAccount", "Secret", "ConfigMap", "Role", "Service", "StatefulSet", "Widget"]
    created = planned([marked(one) for one in objects])
    assert [change.key.kind for change in created.changes] == order
    pruned = planned([], [live(marked(one)) for one in objects], inventory=objects)
    assert [change.key.kind for change in pruned.changes] == order[::-1]


def test_waves_go_before_kinds() -> None:
    objects = [obj("ConfigMap", "late", wave="2"), obj("StatefulSet", "early", wave="-1"), obj("Service", "middle")]
    created = planned([marked(one) for one in objects])
    assert [change.key.name for change in created.changes] == ["early", "middle", "late"]
    assert [[change.key.name for change in wave] for wave in waves_of(created.changes)] == [
        ["early"],
        ["middle"],
        ["late"],
    ]


def test_a_wave_that_is_no_number_is_wave_zero() -> None:
    assert planned([marked(obj(wave="soon"))]).changes[0].wave == 0


def test_a_change_set_sums_itself_up() -> None:
    change_set = planned([marked(obj(name="new")), marked(obj())], [live(marked(obj()))])
    assert change_set.summary() == "1 created, 1 unchanged"
    assert ChangeSet().summary() == "no objects"
    assert len(change_set.writes) == 1
