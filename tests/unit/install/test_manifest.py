"""The manifest: what is in it, in which order, and that it is what a strict cluster takes."""

from typing import Any

import pytest
import yaml

from towpath.install.manifest import Serving, prepare_manifest
from towpath.install.rights import derive_rights
from towpath.install.text import format_manifest
from towpath.kube.objects import Object, find_path

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev"}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "dev"}}
RIGHTS = derive_rights({"dev": [NAMESPACE, CONFIG]}, own_namespace="towpath")
SERVING = Serving(image="towpath:1", advertise="192.168.1.10:30070", plain_http=True)


def made(serving: Serving | None = SERVING, *, namespace: str = "towpath") -> list[Object]:
    return [document.obj for document in prepare_manifest("lab", RIGHTS, namespace=namespace, serving=serving)]


def one(kind: str, objects: list[Object], namespace: str = "towpath") -> Object:
    (found,) = [obj for obj in objects if obj["kind"] == kind and obj["metadata"].get("namespace", "") == namespace]
    return found


def arguments(serving: Serving) -> list[str]:
    containers: Any = find_path(one("StatefulSet", made(serving)), "spec", "template", "spec", "containers")
    return list(containers[0]["args"])


def test_namespaces_come_before_what_is_in_them_and_roles_before_the_pod() -> None:
    kinds = [obj["kind"] for obj in made()]

    assert kinds[:3] == ["Namespace", "Namespace", "ServiceAccount"]
    assert kinds[-2:] == ["Service", "StatefulSet"]


def test_each_role_is_bound_to_the_account_and_to_nobody_else() -> None:
    objects = made(namespace="ops")
    bindings = [obj for obj in objects if obj["kind"].endswith("Binding")]
    roles = [obj for obj in objects if obj["kind"] in {"Role", "ClusterRole"}]

    assert len(bindings) == len(roles) > 2
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "towpath", "namespace": "ops"}]
        assert binding["roleRef"]["name"] == "towpath-lab"


def test_the_rights_can_be_had_without_the_pod() -> None:
    assert {"Service", "StatefulSet"}.isdisjoint(obj["kind"] for obj in made(None))


def test_an_environment_s_namespace_does_not_carry_our_labels_so_that_leaving_keeps_it() -> None:
    objects = made()
    labelled = [
        obj["metadata"]["name"] for obj in objects if obj["kind"] == "Namespace" and "labels" in obj["metadata"]
    ]

    assert labelled == ["towpath"]


def test_the_pod_is_one_process_that_the_restricted_pod_security_standard_takes() -> None:
    spec: Any = one("StatefulSet", made())["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]

    assert spec["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize(
    ("advertise", "expected"),
    [("192.168.1.10:30070", ("NodePort", 30070)), ("towpath.lan", (None, None)), ("towpath.lan:443", (None, None))],
)
def test_a_port_of_nodes_is_opened_only_where_it_is_advertised(advertise: str, expected: object) -> None:
    spec: Any = one("Service", made(Serving(image="i", advertise=advertise)))["spec"]

    assert (spec.get("type"), spec["ports"][0].get("nodePort")) == expected


def test_at_a_port_of_nodes_the_pod_itself_speaks_tls_unless_told_otherwise() -> None:
    serving = Serving(image="i", advertise="192.168.1.10:30070")
    containers: Any = find_path(one("StatefulSet", made(serving)), "spec", "template", "spec", "containers")

    assert containers[0]["args"][-1] == "--tls"
    assert containers[0]["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    for other in (SERVING, Serving(image="i", advertise="towpath.lan")):
        assert "--tls" not in arguments(other)


def test_what_serve_is_told_is_what_was_chosen() -> None:
    said = " ".join(arguments(SERVING))
    assert said == (
        "serve --host 0.0.0.0 --port 7070 --directory /var/lib/towpath/lab --advertise 192.168.1.10:30070 --plain-http"
    )
    followed = Serving(image="i", advertise="t.lan", remote="https://git.lan/lab.git", token_secret="git")
    assert arguments(followed)[-4:] == [
        "--remote",
        "https://git.lan/lab.git",
        "--remote-token-file",
        "/etc/towpath/git/token",
    ]
    pod: Any = find_path(one("StatefulSet", made(followed)), "spec", "template", "spec")
    assert pod["volumes"][-1]["secret"]["secretName"] == "git"


def test_the_text_is_the_objects_and_says_why() -> None:
    documents = prepare_manifest("lab", RIGHTS, namespace="towpath", serving=SERVING)
    text = format_manifest(documents, head="lab\n\n  on Kubernetes")

    assert [found for found in yaml.safe_load_all(text) if found] == [document.obj for document in documents]
    assert text.startswith("# lab\n#\n#   on Kubernetes\n---\n")
    assert "  # what each environment has applied, so that what Git drops is pruned\n  - apiGroups" in text
    assert "&id" not in text, "no anchors"
