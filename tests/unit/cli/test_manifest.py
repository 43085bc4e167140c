"""`towpath manifest`, on the repository that users get."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Type = Callable[..., Any]


@pytest.fixture
def lab(tmp_path: Path, type_: Type) -> Path:
    """A scaffolded repository."""
    root = tmp_path / "lab"
    assert type_("init", str(root), "--registry", "192.168.1.10:30070/lab").code == 0
    return root


def kinds(text: str) -> list[str]:
    return [document["kind"] for document in yaml.safe_load_all(text) if document]


def test_without_an_image_it_prints_the_rights_alone(lab: Path, type_: Type) -> None:
    said = type_("manifest", "-C", str(lab))

    assert (said.code, said.err) == (0, "")
    assert set(kinds(said.out)) == {
        "Namespace",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
    }
    assert said.lines[0] == "# lab on Kubernetes, as `towpath manifest` derived it from the overlays of dev, prod."


def test_with_an_image_it_prints_the_pod_that_serves(lab: Path, type_: Type) -> None:
    options = ["--image", "towpath:1", "--advertise", "192.168.1.10:30070", "--plain-http", "--namespace", "ops"]
    said = type_("manifest", *options, "-C", str(lab))

    assert (said.code, said.err) == (0, "")
    assert kinds(said.out)[-2:] == ["Service", "StatefulSet"]
    *_, pod = yaml.safe_load_all(said.out)
    assert pod["metadata"]["namespace"] == "ops"
    assert "--plain-http" in pod["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_pod_needs_an_address_and_the_error_names_that_of_the_overlays(lab: Path, type_: Type) -> None:
    said = type_("manifest", "--image", "towpath:1", "-C", str(lab))

    assert (said.code, "192.168.1.10:30070" in said.err) == (2, True)


def test_an_address_that_the_overlays_do_not_name_is_a_warning(lab: Path, type_: Type) -> None:
    said = type_("manifest", "--image", "towpath:1", "--advertise", "towpath.lan", "-C", str(lab))

    assert said.code == 0
    assert "the overlays name images at 192.168.1.10:30070" in said.err


def test_a_kind_that_is_to_come_is_allowed_beforehand(lab: Path, type_: Type) -> None:
    said = type_("manifest", "--allow", "Ingress.networking.k8s.io", "--allow", "Proxy.edge.test", "-C", str(lab))

    assert "resources: [ingresses]" in said.out
    assert "resources: [proxies]" in said.out
    assert said.err == "warning: Proxy.edge.test is not known here; its plural is guessed, and that it is namespaced\n"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--allow", "ingresses"], "--allow ingresses names no kind"),
        (["--allow", "Ingress.Networking k8s"], "names no kind"),
        (["--allow", "Node"], "Node cannot be allowed beforehand"),
        (["--advertise", "no host"], "no host"),
        (["--namespace", "My_Space"], "--namespace 'My_Space' is no name of a namespace"),
        (["--namespace", ""], "--namespace '' is no name of a namespace"),
        (["--storage", "lots"], "--storage 'lots' is no size"),
        (["--storage", "0"], "--storage '0' is no size"),
        (["--storage", "-1Gi"], "--storage '-1Gi' is no size"),
        (["--remote-token-secret", "git"], "say which: --remote URL"),
        (["--remote-token-secret", "a/b", "--remote", "https://git.lan/lab.git"], "is no name of a Secret"),
    ],
)
def test_what_makes_no_sense_is_wrong_input(lab: Path, type_: Type, option: list[str], told: str) -> None:
    said = type_("manifest", "--image", "i", *option, "-C", str(lab))

    assert (said.code, said.out, told in said.err) == (2, "", True)


def test_a_token_is_for_a_pod(lab: Path, type_: Type) -> None:
    options = ["--remote-token-secret", "git", "--remote", "https://git.lan/lab.git"]

    assert "add --image" in type_("manifest", *options, "-C", str(lab)).err


def test_a_role_that_reaches_far_is_a_warning_on_both_outputs(lab: Path, type_: Type) -> None:
    overlay = lab / "k3s/overlays/dev"
    (overlay / "role.yaml").write_text(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: all}\n"
        "rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"
    )
    file = overlay / "kustomization.yaml"
    file.write_text(file.read_text().replace("resources:\n", "resources:\n  - role.yaml\n", 1))
    said = type_("manifest", "-C", str(lab))

    assert said.code == 0
    assert said.err.startswith("warning: namespace dev: * on *.*: Role all grants this")
    assert "# WARNING: namespace dev: * on *.*: Role all" in said.out


def test_a_repository_without_environments_has_nothing_to_grant(tmp_path: Path, type_: Type) -> None:
    (tmp_path / "towpath.yaml").write_text("name: lab\n")
    said = type_("manifest", "-C", str(tmp_path))

    assert (said.code, "has no environments" in said.err) == (2, True)


def test_an_overlay_that_does_not_render_is_said_in_kustomize_s_words(lab: Path, type_: Type) -> None:
    (lab / "k3s/overlays/dev/namespace.yaml").unlink()
    said = type_("manifest", "-C", str(lab))

    assert (said.code, "namespace.yaml" in said.err, said.out) == (2, True, "")
