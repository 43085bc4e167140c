"""`towpath serve`, and the options of `up` that name a cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.platform import free_ports
from towpath.server.clusterfile import CLUSTER_FILE

Type = Callable[..., Any]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig of a cluster that does not answer."""
    (port,) = free_ports(1)
    file = tmp_path / "kubeconfig"
    file.write_text(
        f"current-context: home\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
        "contexts: [{name: home, context: {cluster: c}}, {name: work, context: {cluster: c}}]\n"
    )
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "lab"
    directory.mkdir()
    (directory / "towpath.yaml").write_text("name: lab\n")
    return directory


def test_serve_outside_a_pod_asks_for_a_cluster(root: Path, type_: Type) -> None:
    (port,) = free_ports(1)
    said = type_("serve", "--port", str(port), "-C", str(root))

    assert (said.code, "--kubeconfig FILE" in said.err) == (2, True)


@pytest.mark.parametrize("verb", ["up", "serve"])
def test_a_context_is_one_of_a_kubeconfig(root: Path, type_: Type, verb: str) -> None:
    said = type_(verb, "--context", "work", "-C", str(root))

    assert (said.code, "say which: --kubeconfig FILE" in said.err) == (2, True)


def test_up_is_told_one_cluster_and_not_two(root: Path, kubeconfig: Path, type_: Type) -> None:
    said = type_("up", "--kubeconfig", str(kubeconfig), "--embedded", "-C", str(root))

    assert (said.code, "exclude each other" in said.err) == (2, True)


@pytest.mark.parametrize("verb", ["up", "serve"])
@pytest.mark.parametrize("address", ["http://192.168.1.10:7070", "towpath", "192.168.1.10:7070/lab", "a b:1"])
def test_an_address_is_a_host_as_images_name_it(root: Path, type_: Type, verb: str, address: str) -> None:
    said = type_(verb, "--advertise", address, "-C", str(root))

    assert (said.code, "is no HOST[:PORT]" in said.err) == (2, True)


def test_a_cluster_whose_authority_cannot_be_read_is_not_remembered(root: Path, kubeconfig: Path, type_: Type) -> None:
    text = kubeconfig.read_text().replace("{server: 'http:", "{certificate-authority: lost.crt, server: 'https:")
    kubeconfig.write_text(text)
    options = ("--port", "0", "--kube-port", "0", "-C", str(root))
    said = type_("up", "--kubeconfig", str(kubeconfig), *options)

    assert (said.code, "lost.crt cannot be read (Unreadable)" in said.err) == (2, True)
    assert not (root / ".towpath" / CLUSTER_FILE).exists()

    (root / ".towpath" / CLUSTER_FILE).write_text(
        json.dumps({"version": 1, "kubeconfig": str(kubeconfig), "context": "home", "namespace": "towpath"})
    )
    again = type_("up", *options)
    assert (again.code, "towpath up --embedded" in again.err) == (2, True)


def test_kubectl_is_led_to_the_cluster_that_was_named(root: Path, kubeconfig: Path, type_: Type) -> None:
    state = root / ".towpath"
    state.mkdir()
    remembered = f'{{"version": 1, "kubeconfig": "{kubeconfig}", "context": "home", "namespace": "towpath"}}'
    (state / CLUSTER_FILE).write_text(remembered)
    said = type_("kubeconfig", "--path", "-C", str(root))
    assert (said.out, said.err) == (f"{kubeconfig}\n", "")

    (state / CLUSTER_FILE).write_text(remembered.replace('"home"', '"work"'))
    said = type_("kubeconfig", "--path", "-C", str(root))
    assert said.out == f"{kubeconfig}\n"
    assert "kubectl --context work" in said.err

    kubeconfig.unlink()
    said = type_("kubeconfig", "-C", str(root))
    assert (said.code, "towpath up --kubeconfig" in said.err) == (2, True)
