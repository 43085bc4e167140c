"""Whether a list of RBAC rules allows a request (`rbac.authorization.k8s.io/v1`, the part about resources). Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

ALL = "*"


def allows(
    rules: Iterable[Mapping[str, Any]], verb: str, group: str, resource: str, name: str = "", subresource: str = ""
) -> bool:
    """Whether any rule allows `verb` on a resource.

    Args:
        rules: the `rules` of a Role.
        verb: get, list, watch, create, update, patch, delete, deletecollection.
        group: the API group; the core group is the empty string.
        resource: the plural.
        name: the object's name; empty for requests that name none, which a rule with `resourceNames` never allows.
        subresource: `log`, `status`, `scale`; a rule names it as `pods/log` or `*/log`.
    """
    wanted = f"{resource}/{subresource}" if subresource else resource
    resources = {wanted, ALL} | ({f"{ALL}/{subresource}"} if subresource else set())
    for rule in rules:
        names = rule.get("resourceNames") or ()
        if (
            not {verb, ALL}.isdisjoint(rule.get("verbs") or ())
            and not {group, ALL}.isdisjoint(rule.get("apiGroups") or ())
            and not resources.isdisjoint(rule.get("resources") or ())
            and (not names or name in names)
        ):
            return True
    return False
