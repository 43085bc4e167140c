"""Reading objects without tripping over what is missing."""

from towpath.kube.objects import GVK, clone, controller_of, find_path, gvk_of, key_of, labels_of, owners_of


def test_group_and_version_are_told_apart() -> None:
    assert GVK.parse("apps/v1", "Deployment") == ("apps", "v1", "Deployment")
    assert GVK.parse("v1", "Pod") == ("", "v1", "Pod")
    assert GVK("", "v1", "Pod").api_version == "v1"
    assert gvk_of({}) == ("", "", "")


def test_a_key_reads_like_a_subject() -> None:
    obj = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "sensor", "namespace": "dev"}}
    assert str(key_of(obj)) == "StatefulSet/dev/sensor"
    assert str(key_of({"kind": "Namespace", "metadata": {"name": "dev"}})) == "Namespace/dev"


def test_missing_fields_are_empty() -> None:
    assert labels_of({"metadata": {"labels": None}}) == {}
    assert owners_of({}) == []
    assert controller_of({}) is None
    assert find_path({"a": {"b": 1}}, "a", "b") == 1
    assert find_path({"a": []}, "a", "b") is None


def test_the_controller_is_the_owner_that_says_so() -> None:
    references = [{"name": "a", "uid": "1"}, {"name": "b", "uid": "2", "controller": True}]
    owner = controller_of({"metadata": {"ownerReferences": references}})
    assert owner is not None
    assert owner.name == "b"


def test_a_clone_is_deep() -> None:
    value = {"a": [{"b": 1}]}
    copy = clone(value)
    copy["a"][0]["b"] = 2
    assert value == {"a": [{"b": 1}]}
