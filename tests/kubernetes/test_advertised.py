"""A registry that nodes reach at an address of the network, over plain HTTP and over TLS as the documents configure it.

And the identity of a pod instead of a kubeconfig.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.lab import lab_files
from fakes.platform import LivePlatform
from kubernetes.node.running import Node
from towpath.cluster.node.sandbox.isolation import find_bwrap

pytestmark = pytest.mark.kubernetes
DOCUMENT = Path(__file__).parents[2] / "docs" / "kubernetes.md"
DOCUMENTED = "192.168.1.10:7070"
PATIENCE_SECONDS = 300.0
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that nodes reach it is what is tried
NAMESPACES = ("dev", "prod", "towpath")


@pytest.fixture
def lab(node: Node, tmp_path: Path) -> Iterator[LivePlatform]:
    """A repository whose images are at an address of this machine that is no loopback."""
    with LivePlatform(tmp_path, name="lab") as platform:
        platform.scaffold()
        platform.git("rm", "-rq", ".")
        platform.commit(lab_files(f"{node.address}:{platform.port}/lab"), "Two tiny services")
        yield platform
        if platform.pid:
            platform.stop()
    kubectl = ["kubectl", f"--kubeconfig={node.plane.kubeconfig}"]
    subprocess.run([*kubectl, "delete", "namespace", "--ignore-not-found", *NAMESPACES], check=True, timeout=300)


def configure(node: Node, address: str, *, scheme: str, authority: Path | None = None) -> None:
    """Write the node's hosts.toml for a registry as the documents have it."""
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if f'server = "{scheme}://{DOCUMENTED}"' in block]
    directory = node.directory / "certs.d" / address
    directory.mkdir(parents=True)
    text = re.sub(r'ca = ".*"', f'ca = "{authority}"', block.replace(DOCUMENTED, address))
    (directory / "hosts.toml").write_text(text)


def healthy_in_dev(lab: LivePlatform, node: Node) -> str:
    """Push, and wait until the clock runs in dev; its image."""
    lab.push()
    tag = f"sha-{lab.head()[:7]}"

    def ready() -> bool:
        one = lab.service_status("dev", "clock")
        return bool(one) and (one["tag"], one["health"], one["ready"]) == (tag, "Healthy", 1)

    lab.await_("the clock in dev", ready, seconds=PATIENCE_SECONDS, show=lambda: lab.api("/explain")["findings"])
    path = "jsonpath={.spec.containers[0].image}"
    return lab.run(
        "kubectl", f"--kubeconfig={node.plane.kubeconfig}", "-n", "dev", "get", "pod", "clock-0", "-o", path
    ).out


def test_nodes_pull_over_plain_http_where_hosts_toml_says_so(lab: LivePlatform, node: Node) -> None:
    address = f"{node.address}:{lab.port}"
    configure(node, address, scheme="http")
    options = ["--host", EVERYWHERE, "--advertise", address, "--plain-http"]
    lab.start("--kubeconfig", str(node.plane.kubeconfig), *options)

    assert healthy_in_dev(lab, node).startswith(f"{address}/lab/clock:canary@sha256:")
    checks = {check["check"]: check for check in lab.document("doctor")["checks"]}
    assert checks["registry address"]["state"] == "ok"
    assert "plain HTTP" in checks["registry address"]["evidence"]


def test_nodes_pull_over_tls_when_they_trust_the_platform_s_authority(lab: LivePlatform, node: Node) -> None:
    address = f"{node.address}:{lab.port}"
    lab.start("--kubeconfig", str(node.plane.kubeconfig), "--host", EVERYWHERE, "--advertise", address, "--tls")
    authority = lab.state / "cluster" / "pki" / "ca.crt"
    lab.git("remote", "set-url", "towpath", f"https://towpath:{lab.token}@127.0.0.1:{lab.port}/git/lab.git")
    lab.environment["GIT_SSL_CAINFO"] = str(authority)  # which wins over what the machine's own environment says
    configure(node, address, scheme="https", authority=authority)

    assert healthy_in_dev(lab, node).startswith(f"{address}/lab/clock:canary@sha256:")
    checks = {check["check"]: check for check in lab.document("doctor")["checks"]}
    assert checks["registry address"]["state"] == "ok"
    assert "warning" not in lab.log.read_text()


def test_a_pod_acts_as_its_service_account(lab: LivePlatform, node: Node, tmp_path: Path) -> None:
    bwrap = find_bwrap()
    assert bwrap, "it comes with the package"
    kubectl = ["kubectl", f"--kubeconfig={node.plane.kubeconfig}"]
    lab.run(*kubectl, "apply", "-f", "-", stdin=lab.towpath("manifest").out)
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(lab.run(*kubectl, "-n", "towpath", "create", "token", "towpath").out)
    (account / "namespace").write_text("towpath")
    (account / "ca.crt").write_bytes(node.plane.authority.pair.certificate.read_bytes())
    host, _, port = node.plane.url.removeprefix("https://").rpartition(":")
    lab.environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    # Where a pod finds its account; everything else of the file system is the machine's.
    inside = ["--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", "/run", "--bind", str(account)]
    lab.wrapper = [bwrap, *inside, "/run/secrets/kubernetes.io/serviceaccount", "--"]
    lab.verb = "serve"
    address = f"{node.address}:{lab.port}"
    configure(node, address, scheme="http")
    lab.launch("--host", EVERYWHERE, "--advertise", address, "--plain-http")
    lab.await_("it to serve", lambda: " serves at " in lab.log.read_text(), seconds=PATIENCE_SECONDS)

    assert healthy_in_dev(lab, node).startswith(f"{address}/lab/clock")
    assert "context in-cluster" in lab.log.read_text()
    assert "forbidden" not in lab.log.read_text().lower()
