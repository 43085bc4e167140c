"""Which rights are missing."""

from typing import Any

from towpath.install.review import find_missing
from towpath.install.rights import Rights, Rule

NEEDED = Rights(
    {
        "dev": (
            Rule("apps", ("deployments",), ("get", "patch")),
            Rule("", ("secrets",), ("get",), ("towpath-pull",)),
        )
    },
    (Rule("", ("namespaces",), ("patch",), ("dev",)),),
    ("dev",),
)


def rule(groups: str, resources: str, verbs: str, *names: str) -> dict[str, Any]:
    found = {"apiGroups": [groups], "resources": resources.split(), "verbs": verbs.split()}
    return {**found, "resourceNames": list(names)} if names else found


def missing(*rules: dict[str, Any]) -> list[str]:
    return find_missing(NEEDED, {"dev": list(rules)})


def test_what_is_granted_to_the_letter_is_not_missing() -> None:
    exact = [rule("apps", "deployments", "get patch"), rule("", "secrets", "get", "towpath-pull")]

    assert missing(*exact, rule("", "namespaces", "patch", "dev")) == []


def test_an_administrator_misses_nothing() -> None:
    assert missing(rule("*", "*", "*")) == []


def test_what_is_missing_is_named_verb_by_verb() -> None:
    assert missing(rule("apps", "deployments", "get")) == [
        "dev: patch deployments.apps",
        "dev: get secrets/towpath-pull",
        "the cluster: patch namespaces/dev",
    ]


def test_a_right_to_one_name_is_none_to_another_or_to_all() -> None:
    rules = [rule("apps", "deployments", "get patch", "web"), rule("", "secrets", "get", "other")]

    assert missing(*rules)[:2] == ["dev: get,patch deployments.apps", "dev: get secrets/towpath-pull"]
