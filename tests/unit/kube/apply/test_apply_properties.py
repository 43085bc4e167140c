"""What holds for apply whatever is applied."""

from importlib.resources import files
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from towpath.kube.apply import apply, decode_managed, track_update
from towpath.kube.apply.fieldset import fieldset
from towpath.kube.objects import Object, clone, gvk_of
from towpath.kube.schema import Schema

SCHEMA = Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())
TIME, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"

KEYS = st.sampled_from(["a", "b", "c"])
LABELS = st.dictionaries(KEYS, st.sampled_from(["1", "2"]), max_size=3)


def _unique(key: str) -> Any:
    return lambda items: list({item[key]: item for item in items}.values())


ENV = st.lists(st.fixed_dictionaries({"name": KEYS}, optional={"value": KEYS}), max_size=3).map(_unique("name"))
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": KEYS}, optional={"image": KEYS, "env": ENV, "args": st.lists(KEYS, max_size=2)}),
    max_size=3,
).map(_unique("name"))


@st.composite
def deployments(draw: st.DrawFn) -> Object:
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        spec["replicas"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        spec["selector"] = {"matchLabels": draw(LABELS)}
    if draw(st.booleans()):
        spec["template"] = {"metadata": {"labels": draw(LABELS)}, "spec": {"containers": draw(CONTAINERS)}}
    metadata = {"name": "a", "namespace": "dev", "uid": "u", "labels": draw(LABELS)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def applied(live: Object | None, config: Object, manager: str, time: str = TIME) -> Object:
    return apply(SCHEMA, live=live, config=config, manager=manager, time=time, force=True)


def contains(obj: Any, config: Any) -> bool:
    """Whether every leaf of a configuration is in the object. Empty maps and lists have no leaves."""
    if config in ({}, []):
        return True
    if isinstance(config, dict):
        fields = obj if isinstance(obj, dict) else {}
        return all(contains(fields.get(key), item) for key, item in config.items())
    if isinstance(config, list) and isinstance(config[0], dict):
        by_name = {item["name"]: item for item in obj or []}
        return all(contains(by_name.get(item["name"]), item) for item in config)
    return bool(obj == config)


@settings(max_examples=60, deadline=None)
@given(deployments(), deployments())
def test_a_forced_apply_brings_about_what_it_says(first: Object, second: Object) -> None:
    obj = applied(applied(None, first, "a"), second, "b")
    assert contains(obj, second)
    if "selector" in second["spec"]:  # atomic: nothing of the first survives in it
        assert obj["spec"]["selector"].get("matchLabels", {}) == second["spec"]["selector"]["matchLabels"]


@settings(max_examples=60, deadline=None)
@given(deployments(), deployments())
def test_applying_twice_is_applying_once(first: Object, second: Object) -> None:
    once = applied(applied(None, first, "a"), second, "b")
    assert applied(once, second, "b", LATER) == once


@settings(max_examples=60, deadline=None)
@given(deployments(), deployments())
def test_going_back_to_a_configuration_restores_the_object(first: Object, second: Object) -> None:
    start = applied(None, first, "a")
    back = applied(applied(start, second, "a"), first, "a")
    assert contains(back.get("spec"), first["spec"])
    assert {key: entry.paths for key, entry in decode_managed(back).items()} == {
        key: entry.paths for key, entry in decode_managed(start).items()
    }


@settings(max_examples=60, deadline=None)
@given(deployments(), deployments())
def test_a_manager_owns_no_more_than_it_said_last(first: Object, second: Object) -> None:
    obj = applied(applied(None, first, "a"), second, "a")
    root = SCHEMA.find_type(gvk_of(second))
    assert root is not None
    for entry in decode_managed(obj).values():
        assert entry.paths <= fieldset(root, second)


@settings(max_examples=60, deadline=None)
@given(deployments(), deployments())
def test_an_update_never_conflicts_and_owns_exactly_what_changed(first: Object, second: Object) -> None:
    live = applied(None, first, "a")
    new = SCHEMA.canonical(
        {**second, "metadata": {**second["metadata"], "managedFields": live["metadata"].get("managedFields")}}
    )
    obj = track_update(SCHEMA, live=live, new=clone(new), manager="edit", time=LATER)
    before = {path for entry in decode_managed(live).values() for path in entry.paths}
    kept = {path for key, entry in decode_managed(obj).items() if key.manager == "a" for path in entry.paths}
    assert kept <= before
    edits = [entry.paths for key, entry in decode_managed(obj).items() if key.manager == "edit"]
    assert all(not paths & kept for paths in edits)
