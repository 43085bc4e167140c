"""Which of the needed rights are missing, judged by what the API server says an account has. Pure.

The server's answer to a SelfSubjectRulesReview lists rules as Roles have them; a `*` stands for all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from towpath.install.rights import Rights, Rule

Granted = Sequence[Mapping[str, Any]]


def find_missing(rights: Rights, granted: Mapping[str, Granted]) -> list[str]:
    """What is needed and not granted, as `dev: patch ingresses.networking.k8s.io`.

    `granted` holds the rules by namespace; those of the cluster are in each of them.
    """
    missing: list[str] = []
    for namespace, rules in rights.namespaced.items():
        missing += [f"{namespace}: {lack}" for rule in rules for lack in _lacks(rule, granted.get(namespace, ()))]
    anywhere = next(iter(granted.values()), ())
    missing += [f"the cluster: {lack}" for rule in rights.cluster for lack in _lacks(rule, anywhere)]
    return list(dict.fromkeys(missing))


def _lacks(rule: Rule, granted: Granted) -> Iterator[str]:
    for resource in rule.resources:
        for name in rule.names or ("",):
            verbs = [
                verb
                for verb in rule.verbs
                if not any(_covers(one, verb, rule.group, resource, name) for one in granted)
            ]
            if verbs:
                kind = f"{resource}.{rule.group}" if rule.group else resource
                yield f"{','.join(verbs)} {kind}{f'/{name}' if name else ''}"


def _covers(granted: Mapping[str, Any], verb: str, group: str, resource: str, name: str) -> bool:
    names = granted.get("resourceNames") or ()
    return (
        _has(granted.get("verbs"), verb)
        and _has(granted.get("apiGroups"), group)
        and _has(granted.get("resources"), resource)
        and (not names or (bool(name) and name in names))
    )


def _has(listed: Iterable[str] | None, wanted: str) -> bool:
    found = set(listed or ())
    return wanted in found or "*" in found
