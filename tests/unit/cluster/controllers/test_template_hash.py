"""Names for templates, and when two templates are the same."""

import re

from hypothesis import given
from hypothesis import strategies as st

from towpath.cluster.controllers.template_hash import is_same_template, template_hash, without_hash

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(template=st.dictionaries(st.text(), values, max_size=5), collisions=st.integers(0, 5))
def test_a_hash_fits_into_a_label_whatever_the_template(template: dict[str, object], collisions: int) -> None:
    assert re.fullmatch(r"[bcdfghjklmnpqrstvwxz2456789]{1,10}", template_hash(template, collisions=collisions))


def test_the_order_of_fields_does_not_matter_and_their_values_do() -> None:
    one = {"spec": {"a": 1, "b": [1, 2]}}
    assert template_hash(one) == template_hash({"spec": {"b": [1, 2], "a": 1}})
    assert template_hash(one) != template_hash({"spec": {"a": 1, "b": [2, 1]}})


def test_a_collision_gives_another_name() -> None:
    assert template_hash({}, collisions=1) != template_hash({})


def test_the_hash_label_does_not_tell_templates_apart() -> None:
    hashed = {"metadata": {"labels": {"app": "a", "pod-template-hash": "x"}}, "spec": {}}
    assert is_same_template(hashed, {"metadata": {"labels": {"app": "a"}, "creationTimestamp": None}, "spec": {}})
    assert not is_same_template(hashed, {"metadata": {"labels": {"app": "b"}}, "spec": {}})
    assert without_hash({"metadata": {"labels": {"pod-template-hash": "x"}}}) == {"metadata": {}}


def test_an_annotation_makes_another_template() -> None:
    restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-31T09:30:00Z"}}}
    assert not is_same_template({"metadata": {}}, restarted)
