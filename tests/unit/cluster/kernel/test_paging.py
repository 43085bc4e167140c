import pytest

from fakes.manifests import CONFIG_MAP, NAMESPACE, config_map, namespace, options
from towpath.cluster.kernel import Kernel, ObjectPage
from towpath.cluster.kernel.log import RETAINED_REVISIONS, TRIM_EVERY
from towpath.kube.errors import BadRequestError, ExpiredError
from towpath.kube.objects import key_of, name_of
from towpath.kube.requests import DeleteOptions, Patch, PatchType


@pytest.fixture(autouse=True)
def five(kernel: Kernel) -> None:
    for name in "abcde":
        kernel.create(config_map(name, {"v": "old"}, labels={"half": "one" if name < "c" else "two"}), options())


def names(page: ObjectPage) -> list[str]:
    return [name_of(item) for item in page.items]


def test_pages_follow_each_other_and_the_last_has_no_token(kernel: Kernel) -> None:
    first = kernel.list(CONFIG_MAP, limit=2)
    second = kernel.list(CONFIG_MAP, limit=2, continue_token=first.continue_token)
    last = kernel.list(CONFIG_MAP, limit=2, continue_token=second.continue_token)
    assert [names(page) for page in (first, second, last)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page.remaining for page in (first, second, last)] == [3, 1, None]
    assert last.continue_token == ""


def test_a_page_that_ends_exactly_with_the_list_is_the_last(kernel: Kernel) -> None:
    assert kernel.list(CONFIG_MAP, limit=5).continue_token == ""


def test_later_pages_show_the_state_of_the_first(kernel: Kernel) -> None:
    first = kernel.list(CONFIG_MAP, limit=1)
    for value in ("new", "newer"):
        kernel.patch(CONFIG_MAP, "b", "default", Patch(PatchType.MERGE, {"data": {"v": value}}), options())
    kernel.delete(CONFIG_MAP, "c", "default", DeleteOptions())
    kernel.create(config_map("bb"), options())
    rest = kernel.list(CONFIG_MAP, continue_token=first.continue_token)
    assert names(rest) == ["b", "c", "d", "e"]
    assert {item["data"]["v"] for item in rest.items} == {"old"}
    assert rest.resource_version == first.resource_version


def test_a_selected_list_fills_its_pages_with_what_matches(kernel: Kernel) -> None:
    first = kernel.list(CONFIG_MAP, limit=2, labels="half=two")
    rest = kernel.list(CONFIG_MAP, limit=2, labels="half=two", continue_token=first.continue_token)
    assert (names(first), first.remaining, names(rest)) == (["c", "d"], None, ["e"])


def test_pages_cross_namespaces(kernel: Kernel) -> None:
    kernel.create(namespace("more"), options())
    kernel.create(config_map("a", namespace="more"), options())
    first = kernel.list(CONFIG_MAP, limit=5)
    rest = kernel.list(CONFIG_MAP, limit=5, continue_token=first.continue_token)
    assert [(item["metadata"]["namespace"], name_of(item)) for item in rest.items] == [("more", "a")]


def test_a_token_that_is_too_old_has_expired(kernel: Kernel) -> None:
    first = kernel.list(CONFIG_MAP, limit=1)
    flood = config_map("flood", uid="uid-flood")
    with kernel._store.transaction():
        for _ in range(RETAINED_REVISIONS + TRIM_EVERY):
            kernel._store.put(key_of(flood), flood)
    with pytest.raises(ExpiredError, match="too old to display a consistent list"):
        kernel.list(CONFIG_MAP, continue_token=first.continue_token)


@pytest.mark.parametrize("token", ["x", "e30=", "!!!", "W10=", "WzFd"])
def test_a_token_that_is_not_ours_is_refused(kernel: Kernel, token: str) -> None:
    with pytest.raises(BadRequestError, match="continue key is not valid"):
        kernel.list(CONFIG_MAP, continue_token=token)


def test_cluster_scoped_kinds_ignore_the_namespace_of_the_list(kernel: Kernel) -> None:
    assert names(kernel.list(NAMESPACE, "default")) == ["default", "kube-system"]
