"""Which rights the platform needs on a cluster, and why: derived from the objects its overlays render. Pure.

The rules:
 1. nothing is granted beyond the namespaces that an environment renders objects into, but for what rule 5 says;
 2. a rendered kind may be read, applied (create and patch) and pruned (delete); nothing may be replaced (update);
 3. Secrets are granted by name, but for those with a generator's hash in it, which changes with the content;
 4. who grants rights must have them: the rules of rendered Roles are added as they are, and `bind` for Roles that
    others made; what of this reaches far is a warning, since whoever can push has it then;
 5. objects of the cluster (a Namespace, a CRD) are granted by name, and a Namespace may be neither made nor deleted.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath.blueprint.model import PULL_SECRET
from towpath.errors import UserError
from towpath.kube.objects import GVK, Object, find_path, gvk_of, key_of, name_of, namespace_of
from towpath.kube.upstream import Address, find_address, guess_plural

READ = ("get", "list", "watch")
APPLY = ("create", "patch")
ALL = (*READ, *APPLY, "delete")
RBAC = "rbac.authorization.k8s.io"
INVENTORY = "towpath-inventory-{}"
# What holds the images that run, beside pods.
RUNNING = (
    ("apps", ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets")),
    ("batch", ("cronjobs", "jobs")),
)
# Where Kubernetes wants events about objects that are in no namespace.
EVENTS_OF_THE_CLUSTER = "default"
_NAMESPACE = GVK("", "v1", "Namespace")
_SECRET = ("", "Secret")
# What kustomize appends to the name of a generated object; no word has these ten letters.
_GENERATED = re.compile("-[2456789bcdfghkmt]{10}$")
_FAR_REACHING = frozenset({"*", "bind", "escalate"})


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One rule of a Role, with its reason. No names: all of the kind."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rights:
    """All that is needed: rules by namespace, and for the cluster.

    Attributes:
        namespaced: by namespace, in alphabetical order.
        cluster: for objects in no namespace; often empty or one Namespace an environment.
        namespaces: those of the environments, which must exist before a Role can be in them.
        guessed: kinds whose plural or scope is not known for certain, as `Kind.group`.
        warnings: what to look at before it is applied: rules of rendered roles that reach far, or are left out.
    """

    namespaced: Mapping[str, tuple[Rule, ...]]
    cluster: tuple[Rule, ...]
    namespaces: tuple[str, ...]
    guessed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def derive_rights(
    environments: Mapping[str, Sequence[Object]], *, own_namespace: str, more: Iterable[GVK] = ()
) -> Rights:
    """The rights for these environments' rendered objects.

    Args:
        environments: by name, what each overlay renders, with namespaces set.
        own_namespace: where the platform keeps its inventories.
        more: kinds that overlays are going to have, granted in every namespace of an environment.

    Raises:
        UserError: a kind of `more` is of the cluster, where rights are given by name alone.
    """
    more = list(more)
    everything = [obj for objects in environments.values() for obj in objects]
    definitions = {(found.group, found.kind): address for found, address in _definitions(everything)}
    guessed: set[str] = set()

    def address_of(gvk: GVK) -> Address:
        known = find_address(gvk.group, gvk.kind) or definitions.get((gvk.group, gvk.kind))
        if known is None:
            guessed.add(f"{gvk.kind}.{gvk.group}" if gvk.group else gvk.kind)
        return known or Address(guess_plural(gvk.kind))

    for gvk in more:
        if not address_of(gvk).namespaced:
            raise UserError(
                f"{gvk.kind} cannot be allowed beforehand (ClusterScoped): it is in no namespace",
                hint="such objects are granted by name: render the object first, then print the manifest again",
            )
    by_namespace = _by_namespace(everything, address_of)
    namespaced = {
        namespace: tuple(_in_namespace(objects, more, address_of)) for namespace, objects in by_namespace.items()
    }
    own = Rule(
        "",
        ("configmaps",),
        ("get", *APPLY),
        tuple(INVENTORY.format(name) for name in sorted(environments)),
        "what each environment has applied, so that what Git drops is pruned",
    )
    namespaced[own_namespace] = (own, *namespaced.get(own_namespace, ()))
    cluster = tuple(_of_cluster(everything, address_of))
    if cluster:
        told = Rule(
            "",
            ("events",),
            ("create",),
            (),
            "what happens to objects of the cluster is told there, as Kubernetes wants it",
        )
        namespaced[EVENTS_OF_THE_CLUSTER] = (*namespaced.get(EVENTS_OF_THE_CLUSTER, ()), told)
    warnings = [
        *(text for name, rules in sorted(namespaced.items()) for text in _far_reaching(f"namespace {name}", rules)),
        *_far_reaching("the whole cluster", cluster),
        *_left_out(everything),
    ]
    return Rights(
        {name: namespaced[name] for name in sorted(namespaced)},
        cluster,
        tuple(sorted(by_namespace)),
        _sorted(guessed),
        tuple(dict.fromkeys(warnings)),
    )


AddressOf = Callable[[GVK], Address]


def _by_namespace(objects: Iterable[Object], address_of: AddressOf) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for obj in objects:
        if address_of(gvk_of(obj)).namespaced:
            found.setdefault(namespace_of(obj), []).append(obj)
    return {name: found[name] for name in sorted(found)}


def _in_namespace(objects: Sequence[Object], more: Sequence[GVK], address_of: AddressOf) -> Iterator[Rule]:
    rendered = {(gvk.group, gvk.kind): gvk for gvk in map(gvk_of, objects)}
    to_come = {(gvk.group, gvk.kind): gvk for gvk in more}
    why = "the overlay renders these: they are read, applied, and pruned when Git drops them"
    yield from _whole_kinds((rendered[kind] for kind in rendered if kind != _SECRET), address_of, why)
    why = "allowed beforehand: all of the kind, for overlays that are going to render it"
    kept = [gvk for kind, gvk in to_come.items() if kind == _SECRET or kind not in rendered]
    yield from _whole_kinds(kept, address_of, why)
    if _SECRET not in to_come:
        yield from _secrets(objects)
    yield from _pods(objects)
    for group, plurals in RUNNING:
        yield Rule(group, plurals, ("list",), (), "the registry keeps what runs, and what a rollout may go back to")
    yield Rule("", ("events",), ("list", "create"), (), "towpath events; drift and how it was healed are told")
    yield from _handed_on(objects, own_kind="Role", binding="RoleBinding")


def _whole_kinds(kinds: Iterable[GVK], address_of: AddressOf, why: str) -> Iterator[Rule]:
    groups: dict[str, set[str]] = {}
    for gvk in kinds:
        groups.setdefault(gvk.group, set()).add(address_of(gvk).plural)
    for group in sorted(groups):
        yield Rule(group, _sorted(groups[group]), ALL, (), why)


def _secrets(objects: Sequence[Object]) -> Iterator[Rule]:
    names = {name_of(obj) for obj in objects if (gvk_of(obj).group, gvk_of(obj).kind) == _SECRET}
    generated = _sorted(name for name in names if _GENERATED.search(name))
    if generated:
        why = (
            f"the overlay generates {', '.join(generated)}, whose name changes with the content, so that none can be"
            " given here: this is every Secret of the namespace"
        )
        yield Rule("", ("secrets",), ALL, (), why)
        return
    if names - {PULL_SECRET}:
        # RBAC knows no name where an object is posted to its collection; an apply names what it makes.
        why = "the overlay renders these Secrets; one of another name can be neither read nor made"
        yield Rule("", ("secrets",), ALL, _sorted(names - {PULL_SECRET}), why)
    if PULL_SECRET in names or names_pull_secret(objects):
        yield Rule("", ("secrets",), ALL, (PULL_SECRET,), "the credential that pods pull with")


def _pods(objects: Sequence[Object]) -> Iterator[Rule]:
    yield Rule("", ("pods",), READ, (), "health in the pods' own words, and what they run")
    yield Rule("", ("pods/log",), ("get",), (), "towpath logs")
    if any(gvk_of(obj).kind == "StatefulSet" for obj in objects):
        why = "a broken pod of an old revision blocks its StatefulSet's rollout until it is deleted"
        yield Rule("", ("pods",), ("delete",), (), why)


def _of_cluster(objects: Sequence[Object], address_of: AddressOf) -> Iterator[Rule]:
    names: dict[GVK, set[str]] = {}
    for obj in objects:
        if not address_of(gvk_of(obj)).namespaced:
            names.setdefault(gvk_of(obj), set()).add(name_of(obj))
    for gvk in sorted(names, key=str):
        verbs = (*READ, "patch") if gvk == _NAMESPACE else ALL
        why = "the overlay renders this very object" + ("; labels are kept as in Git" if gvk == _NAMESPACE else "")
        yield Rule(gvk.group, (address_of(gvk).plural,), verbs, _sorted(names[gvk]), why)
    yield from _handed_on(objects, own_kind="ClusterRole", binding="ClusterRoleBinding")


def _handed_on(objects: Sequence[Object], *, own_kind: str, binding: str) -> Iterator[Rule]:
    """What rendered roles grant, and the right to bind roles that are not rendered."""
    rendered = {(key_of(obj).kind, name_of(obj)) for obj in objects if key_of(obj).group == RBAC}
    for obj in objects:
        if (key_of(obj).group, key_of(obj).kind) == (RBAC, own_kind):
            why = f"{own_kind} {name_of(obj)} grants this, and nobody grants what he has not"
            for rule in obj.get("rules") or []:
                yield from _copied(rule, why)
    bound: dict[str, set[str]] = {}
    for obj in objects:
        if (key_of(obj).group, key_of(obj).kind) == (RBAC, binding):
            role = obj.get("roleRef") or {}
            kind, name = str(role.get("kind", "")), str(role.get("name", ""))
            if (kind, name) not in rendered:
                bound.setdefault(f"{kind.lower()}s", set()).add(name)
    for plural in sorted(bound):
        yield Rule(RBAC, (plural,), ("bind",), _sorted(bound[plural]), f"a {binding} of the overlay names them")


def _far_reaching(where: str, rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        if _FAR_REACHING & {rule.group, *rule.resources, *rule.verbs}:
            plurals = ",".join(f"{plural}.{rule.group}" if rule.group else plural for plural in rule.resources)
            names = f" {','.join(rule.names)}" if rule.names else ""
            yield f"{where}: {','.join(rule.verbs)} on {plurals}{names}: {rule.why}"


def _left_out(objects: Iterable[Object]) -> Iterator[str]:
    for obj in objects:
        if key_of(obj).group == RBAC and key_of(obj).kind == "ClusterRole":
            urls = [str(url) for rule in obj.get("rules") or [] for url in rule.get("nonResourceURLs") or []]
            if urls:
                text = f"ClusterRole {name_of(obj)} cannot be applied: its rights to {', '.join(urls)} are left out"
                yield f"{text}; grant them to the account by hand"


def _copied(rule: Mapping[str, Any], why: str) -> Iterator[Rule]:
    # Rules about URLs (nonResourceURLs) name no group; they are for clusters, and rare enough to be granted by hand:
    # `_left_out` tells of them.
    for group in rule.get("apiGroups") or []:
        resources, verbs = tuple(rule.get("resources") or ()), tuple(rule.get("verbs") or ())
        yield Rule(str(group), resources, verbs, tuple(rule.get("resourceNames") or ()), why)


def names_pull_secret(objects: Iterable[Object]) -> bool:
    """Whether a workload names the platform's pull secret."""
    for obj in objects:
        spec = find_path(obj, "spec", "template", "spec") or find_path(obj, "spec") or {}
        entries = spec.get("imagePullSecrets") or [] if isinstance(spec, dict) else []
        if any(entry.get("name") == PULL_SECRET for entry in entries):
            return True
    return False


def _definitions(objects: Iterable[Object]) -> Iterator[tuple[GVK, Address]]:
    for obj in objects:
        if obj.get("kind") == "CustomResourceDefinition":
            spec = obj.get("spec") or {}
            names = spec.get("names") or {}
            gvk = GVK(str(spec.get("group", "")), "", str(names.get("kind", "")))
            yield gvk, Address(str(names.get("plural", "")), spec.get("scope") != "Cluster")


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
