"""The real kubectl against the façade: what a user types, what kubectl sends, what it prints."""

import pytest

from fakes.api_server import ApiServer
from fakes.kubectl import Kubectl
from towpath.cluster.tokens import Bearer
from towpath.kube.objects import GVK, uid_of

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: registry.local/web:sha-1111111
        ports: [{containerPort: 8080}]
"""


async def test_version_and_resources_are_discovered(kubectl: Kubectl) -> None:
    assert "Server Version: v1.37" in (await kubectl("version")).out
    resources = (await kubectl("api-resources", "--namespaced=true", "-o", "name")).out.split()

    assert {"pods", "deployments.apps", "statefulsets.apps", "jobs.batch"} <= set(resources)


async def test_client_side_apply_creates_then_configures_then_leaves_alone(kubectl: Kubectl) -> None:
    created = await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    changed = await kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3"))
    same = await kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3"))

    words = [answer.out.strip() for answer in (created, changed, same)]
    assert words == [f"deployment.apps/web {verb}" for verb in ("created", "configured", "unchanged")]


async def test_server_side_apply_reports_the_manager_it_conflicts_with(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=DEPLOYMENT)
    other = DEPLOYMENT.replace("replicas: 2", "replicas: 5")

    refused = await kubectl("apply", "--server-side", "--field-manager=second", "-f", "-", stdin=other, check=False)
    await kubectl("apply", "--server-side", "--field-manager=second", "--force-conflicts", "-f", "-", stdin=other)

    assert refused.code == 1
    assert 'conflict with "first"' in refused.err
    assert ".spec.replicas" in refused.err
    assert (await kubectl.json("get", "deploy", "web"))["spec"]["replicas"] == 5


async def test_client_side_objects_migrate_to_server_side_apply_without_a_warning(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)

    migrated = await kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)

    assert migrated.err == ""
    managers = (await kubectl.json("get", "deploy", "web", "--show-managed-fields"))["metadata"]["managedFields"]
    assert {entry["manager"]: entry["operation"] for entry in managers}["kubectl"] == "Apply"


async def test_diff_shows_the_change_and_nothing_else(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)

    same = await kubectl("diff", "-f", "-", stdin=DEPLOYMENT, check=False)
    changed = await kubectl("diff", "-f", "-", stdin=DEPLOYMENT.replace("1111111", "2222222"), check=False)

    assert (same.code, same.out) == (0, "")
    assert changed.code == 1
    assert "-      - image: registry.local/web:sha-1111111" in changed.out
    assert "+      - image: registry.local/web:sha-2222222" in changed.out


async def test_a_misspelt_field_is_refused_with_its_path(kubectl: Kubectl) -> None:
    wrong = DEPLOYMENT.replace("replicas: 2", "replicaz: 2")

    refused = await kubectl("apply", "-f", "-", stdin=wrong, check=False)

    assert refused.code == 1
    assert 'unknown field "spec.replicaz"' in refused.err


async def test_an_unserved_kind_is_refused(kubectl: Kubectl) -> None:
    ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\n"

    refused = await kubectl("apply", "-f", "-", stdin=ingress, check=False)

    assert 'no matches for kind "Ingress"' in refused.err


@pytest.mark.usefixtures("kubelet")
async def test_a_rollout_is_followed_to_its_end(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    first = await kubectl("rollout", "status", "deploy/web", "--timeout=120s")
    await kubectl("set", "image", "deploy/web", "web=registry.local/web:sha-2222222")
    second = await kubectl("rollout", "status", "deploy/web", "--timeout=120s")
    history = await kubectl("rollout", "history", "deploy/web")

    assert "successfully rolled out" in first.out
    assert "successfully rolled out" in second.out
    assert [line.split()[0] for line in history.out.splitlines()[2:] if line] == ["1", "2"]


@pytest.mark.usefixtures("kubelet")
async def test_scaling_waits_and_tables_agree(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("scale", "deploy/web", "--replicas=3")
    await kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "deploy/web", "--timeout=120s")
    await kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=120s")

    deployments = (await kubectl("get", "deploy")).out.splitlines()
    pods = (await kubectl("get", "pods", "-o", "wide")).out.splitlines()

    assert deployments[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert deployments[1].split()[:4] == ["web", "3/3", "3", "3"]
    assert len(pods) == 4
    assert {line.split()[2] for line in pods[1:]} == {"Running"}
    assert len({line.split()[5] for line in pods[1:]}) == 3  # an address each


@pytest.mark.usefixtures("kubelet")
async def test_describe_shows_the_events_of_a_deployment(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("rollout", "status", "deploy/web", "--timeout=120s")

    described = (await kubectl("describe", "deploy", "web")).out

    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in described


@pytest.mark.usefixtures("kubelet")
async def test_deleting_a_deployment_takes_its_pods_along(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("rollout", "status", "deploy/web", "--timeout=120s")
    await kubectl("delete", "deploy", "web", "--cascade=foreground", "--timeout=120s")

    assert (await kubectl.json("get", "pods,rs"))["items"] == []


async def test_watching_prints_rows_as_objects_change(kubectl: Kubectl) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: watched}\ndata: {a: '1'}\n"
    rows = []
    async with kubectl.lines("get", "configmaps", "-w", "--no-headers") as lines:
        assert (await anext(lines)).split()[0] == "kube-root-ca.crt", "what is there comes first"
        await kubectl("apply", "-f", "-", stdin=manifest)
        await kubectl("apply", "-f", "-", stdin=manifest.replace("{a: '1'}", "{a: '1', b: '2'}"))
        async for line in lines:
            rows.append(line.split()[:2])
            if rows[-1] == ["watched", "2"]:
                break

    assert ["watched", "1"] in rows


async def test_logs_come_from_the_node(server: ApiServer, kubectl: Kubectl) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec: {containers: [{name: c, image: 'x:1'}]}\n"
    await kubectl("apply", "-f", "-", stdin=pod)
    server.logs.lines["one"] = [b"first\n", b"second\n"]

    assert (await kubectl("logs", "one")).out == "first\nsecond\n"


async def test_a_service_account_may_do_what_its_role_allows(server: ApiServer, kubectl: Kubectl) -> None:
    role = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
"""
    await kubectl("apply", "-f", "-", stdin=role)
    account = await server.client.get(GVK("", "v1", "ServiceAccount"), "reader", "default")
    token = server.tokens.issue(Bearer("default", "reader", uid_of(account)))
    as_reader = ("--token", token)

    allowed = await kubectl("get", "pods", *as_reader)
    secrets = await kubectl("get", "secrets", *as_reader, check=False)
    elsewhere = await kubectl("get", "pods", "-n", "kube-system", *as_reader, check=False)

    assert allowed.code == 0
    assert 'User "system:serviceaccount:default:reader" cannot list resource "secrets"' in secrets.err
    assert 'in the namespace "kube-system"' in elsewhere.err


async def test_a_wrong_token_gets_nowhere(kubectl: Kubectl) -> None:
    refused = await kubectl("get", "pods", "--token", "wrong", check=False)

    assert "Unauthorized" in refused.err or "must be logged in" in refused.err


async def test_explain_knows_the_fields(kubectl: Kubectl) -> None:
    explained = (await kubectl("explain", "statefulset.spec.serviceName")).out

    assert "FIELD: serviceName <string>" in explained
    assert "DESCRIPTION" in explained
