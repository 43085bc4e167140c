"""The rights that overlays need, from objects alone."""

from typing import Any

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


def test_rendered_secrets_are_granted_as_a_kind_and_no_secret_where_none_is_used() -> None:
    assert allows(rights(obj("v1", "Secret", "database-x7")).namespaced["dev"], "get", "secrets", name="any")
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


def test_every_rule_says_why() -> None:
    found = rights(workload("StatefulSet"), obj("v1", "Namespace", "dev", ""), obj("v1", "Secret"))

    assert all(rule.why for rules in (*found.namespaced.values(), found.cluster) for rule in rules)
