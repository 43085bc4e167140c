"""The rights that overlays need, from objects alone."""

import re
from typing import Any

import pytest

from towpath.errors import UserError
from towpath.install.rights import ALL, Rights, Rule, derive_rights
from towpath.kube.objects import GVK, Object
from towpath.kube.upstream import find_address
from towpath.server.keeper_evidence import RUNNING_KINDS

RBAC = "rbac.authorization.k8s.io"


def obj(api_version: str, kind: str, name: str = "a", namespace: str = "dev", **rest: Any) -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def workload(kind: str = "Deployment", secret: str = "towpath-pull", **where: str) -> Object:
    spec = {"template": {"spec": {"imagePullSecrets": [{"name": secret}]}}}
    return obj("apps/v1", kind, spec=spec, **where)


def rights(*objects: Object, **more: Any) -> Rights:
    return derive_rights({"dev": objects}, own_namespace="towpath", **more)


def allows(rules: tuple[Rule, ...], verb: str, resource: str, group: str = "", name: str = "") -> bool:
    return any(
        verb in rule.verbs
        and resource in rule.resources
        and group == rule.group
        and (not rule.names or name in rule.names)
        for rule in rules
    )


def test_a_rendered_kind_may_be_read_applied_and_pruned_and_not_replaced() -> None:
    rules = rights(workload()).namespaced["dev"]

    assert all(allows(rules, verb, "deployments", "apps") for verb in ALL)
    assert not allows(rules, "update", "deployments", "apps")
    assert not allows(rules, "get", "statefulsets", "apps")


def test_all_that_may_run_an_image_may_be_listed_so_that_the_registry_keeps_it() -> None:
    rules = rights(workload()).namespaced["dev"]
    granted = {(rule.group, plural) for rule in rules if "list" in rule.verbs for plural in rule.resources}
    needed = {(gvk.group, address.plural) for gvk in RUNNING_KINDS if (address := find_address(gvk.group, gvk.kind))}

    assert len(needed) == len(RUNNING_KINDS)
    assert needed <= granted


def test_nothing_is_granted_where_nothing_is_rendered() -> None:
    found = rights(workload(), obj("v1", "ConfigMap", namespace="tools"))

    assert set(found.namespaced) == {"dev", "tools", "towpath"}
    assert found.namespaces == ("dev", "tools")
    assert not allows(found.namespaced["tools"], "patch", "deployments", "apps")


def test_secrets_are_granted_by_name_where_the_pull_secret_is_the_only_one() -> None:
    rules = rights(workload()).namespaced["dev"]

    assert allows(rules, "watch", "secrets", name="towpath-pull")
    assert not allows(rules, "get", "secrets", name="database")


def test_rendered_secrets_are_granted_by_name_beside_the_pull_secret() -> None:
    rules = rights(workload(), obj("v1", "Secret", "database"), obj("v1", "Secret", "mail-server")).namespaced["dev"]

    for name in ("database", "mail-server", "towpath-pull"):
        assert all(allows(rules, verb, "secrets", name=name) for verb in ALL)
    assert not any(allows(rules, verb, "secrets", name="theirs") for verb in ALL)


def test_a_generated_secret_has_no_lasting_name_so_that_all_of_the_namespace_are_granted_and_it_says_so() -> None:
    rules = rights(workload(), obj("v1", "Secret", "database-5kd9m2htbc")).namespaced["dev"]
    (rule,) = (rule for rule in rules if rule.resources == ("secrets",))

    assert rule.names == ()
    assert "database-5kd9m2htbc" in rule.why
    assert "every Secret of the namespace" in rule.why


def test_no_secret_is_granted_where_none_is_used() -> None:
    assert not allows(rights(workload(secret="theirs")).namespaced["dev"], "get", "secrets", name="towpath-pull")


def test_pods_may_be_deleted_only_where_a_stateful_set_can_get_stuck() -> None:
    assert not allows(rights(workload()).namespaced["dev"], "delete", "pods")
    rules = rights(workload("StatefulSet")).namespaced["dev"]
    assert allows(rules, "delete", "pods")
    assert not allows(rules, "create", "pods")
    assert allows(rules, "get", "pods/log")


def test_the_inventories_are_the_platform_s_only_config_maps_in_its_own_namespace() -> None:
    (rule,) = derive_rights({"prod": [], "dev": []}, own_namespace="ops").namespaced["ops"]

    assert (rule.resources, rule.names) == (("configmaps",), ("towpath-inventory-dev", "towpath-inventory-prod"))
    assert set(rule.verbs) == {"get", "create", "patch"}


def test_a_namespace_is_granted_by_name_and_may_be_neither_made_nor_deleted() -> None:
    found = rights(obj("v1", "Namespace", "dev", ""))

    assert found.cluster == (Rule("", ("namespaces",), ("get", "list", "watch", "patch"), ("dev",)),)
    assert allows(found.namespaced["default"], "create", "events")


def test_without_objects_of_the_cluster_there_is_no_right_to_it() -> None:
    found = rights(workload())

    assert found.cluster == ()
    assert "default" not in found.namespaced


def test_who_grants_rights_has_them() -> None:
    role = obj(f"{RBAC}/v1", "Role", rules=[{"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["list"]}])
    binding = obj(f"{RBAC}/v1", "RoleBinding", roleRef={"kind": "Role", "name": "a"})
    rules = rights(role, binding, obj("v1", "ConfigMap", namespace="tools")).namespaced

    assert allows(rules["dev"], "list", "pods", "apps")
    assert not allows(rules["dev"], "bind", "roles", RBAC, "a"), "its rules are held, so it needs no more"
    assert not allows(rules["tools"], "list", "pods", "apps")


def test_roles_that_others_made_may_be_bound_by_name() -> None:
    binding = obj(f"{RBAC}/v1", "RoleBinding", roleRef={"kind": "ClusterRole", "name": "view"})
    found = rights(binding)

    assert allows(found.namespaced["dev"], "bind", "clusterroles", RBAC, "view")
    assert not allows(found.namespaced["dev"], "bind", "clusterroles", RBAC, "cluster-admin")
    everywhere = obj(f"{RBAC}/v1", "ClusterRoleBinding", "b", "", roleRef={"kind": "ClusterRole", "name": "view"})
    assert allows(rights(everywhere).cluster, "bind", "clusterroles", RBAC, "view")


def test_rendered_cluster_roles_hand_on_what_they_grant() -> None:
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"], "resourceNames": ["pi"]}
    found = rights(obj(f"{RBAC}/v1", "ClusterRole", "reader", "", rules=[rule]))

    assert allows(found.cluster, "get", "nodes", name="pi")
    assert not allows(found.cluster, "get", "nodes", name="nuc")
    assert allows(found.cluster, "patch", "clusterroles", RBAC, "reader")


def test_a_custom_resource_goes_by_its_rendered_definition_and_else_by_a_guess_that_is_told() -> None:
    names = {"kind": "Sheep", "plural": "sheep"}
    crd = obj(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "sheep.farm.test",
        "",
        spec={"group": "farm.test", "names": names, "scope": "Namespaced"},
    )
    found = rights(crd, obj("farm.test/v1", "Sheep"), obj("farm.test/v1", "Policy"))

    assert allows(found.namespaced["dev"], "patch", "sheep", "farm.test")
    assert allows(found.namespaced["dev"], "patch", "policies", "farm.test")
    assert found.guessed == ("Policy.farm.test",)


def test_kinds_that_are_to_come_can_be_granted_beforehand() -> None:
    found = rights(workload(), more=[GVK("networking.k8s.io", "", "Ingress")])

    assert allows(found.namespaced["dev"], "delete", "ingresses", "networking.k8s.io")
    assert not allows(found.namespaced["towpath"], "delete", "ingresses", "networking.k8s.io")
    (rule,) = (rule for rule in found.namespaced["dev"] if rule.resources == ("ingresses",))
    assert "beforehand" in rule.why
    assert "the overlay renders" not in rule.why


def test_a_kind_that_is_rendered_and_to_come_is_granted_once() -> None:
    rules = rights(workload(), more=[GVK("apps", "", "Deployment")]).namespaced["dev"]

    assert len([rule for rule in rules if "patch" in rule.verbs and "deployments" in rule.resources]) == 1


def test_secrets_that_are_to_come_are_granted_as_a_kind() -> None:
    rules = rights(workload(), more=[GVK("", "", "Secret")]).namespaced["dev"]
    (rule,) = (rule for rule in rules if rule.resources == ("secrets",))

    assert (rule.names, "beforehand" in rule.why) == ((), True)


@pytest.mark.parametrize("kind", [GVK("", "", "Node"), GVK("farm.test", "", "Sheep")])
def test_a_kind_of_the_cluster_cannot_be_allowed_beforehand(kind: GVK) -> None:
    spec = {"group": "farm.test", "names": {"kind": "Sheep", "plural": "sheep"}, "scope": "Cluster"}
    crd = obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", "sheep.farm.test", "", spec=spec)

    with pytest.raises(UserError, match=f"{kind.kind} cannot be allowed beforehand"):
        rights(crd, more=[kind])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}, r"namespace dev: get on pods\.\*: Role a"),
        ({"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}, r"namespace dev: get on \*: Role a"),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}, r"namespace dev: \* on pods: Role a"),
        ({"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["escalate"]}, "dev: escalate on roles"),
        ({"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["bind"], "resourceNames": ["b"]}, f"roles.{RBAC} b:"),
    ],
)
def test_a_rendered_role_that_reaches_far_is_a_warning(rule: dict[str, Any], told: str) -> None:
    (warning,) = rights(obj(f"{RBAC}/v1", "Role", rules=[rule])).warnings

    assert re.search(told, warning)


def test_a_role_of_others_that_may_be_bound_is_a_warning() -> None:
    admin = {"kind": "ClusterRole", "name": "cluster-admin"}
    found = rights(
        obj(f"{RBAC}/v1", "RoleBinding", roleRef=admin), obj(f"{RBAC}/v1", "ClusterRoleBinding", "b", "", roleRef=admin)
    )

    assert [warning.partition(":")[0] for warning in found.warnings] == ["namespace dev", "the whole cluster"]
    assert all("bind on clusterroles" in warning and "cluster-admin" in warning for warning in found.warnings)


def test_rights_to_urls_are_left_out_and_that_is_told() -> None:
    rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    found = rights(obj(f"{RBAC}/v1", "ClusterRole", "scraper", "", rules=[rule]))

    (warning,) = found.warnings
    assert "ClusterRole scraper" in warning
    assert "/metrics" in warning


def test_what_is_scaffolded_or_rendered_every_day_warns_of_nothing() -> None:
    role = obj(f"{RBAC}/v1", "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])

    assert rights(workload("StatefulSet"), role, obj("v1", "Namespace", "dev", "")).warnings == ()


def test_every_rule_says_why() -> None:
    found = rights(workload("StatefulSet"), obj("v1", "Namespace", "dev", ""), obj("v1", "Secret"))

    assert all(rule.why for rules in (*found.namespaced.values(), found.cluster) for rule in rules)
