"""What `towpath manifest` grants, asked of a real kube-apiserver with RBAC: what is documented, and nothing else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.platform import Answer, LivePlatform
from kubernetes.control_plane import ControlPlane, running_control_plane

pytestmark = pytest.mark.kubernetes

DOCUMENT = Path(__file__).parents[2] / "docs" / "kubernetes.md"
ACCOUNT = "--as=system:serviceaccount:towpath:towpath"


@dataclass
class Granted:
    """The scaffold's manifest, applied."""

    lab: LivePlatform
    plane: ControlPlane
    applied: Answer

    def kubectl(self, *arguments: str, expect: int | None = 0, stdin: str | None = None) -> Answer:
        """kubectl as the administrator."""
        kubeconfig = f"--kubeconfig={self.plane.kubeconfig}"
        return self.lab.run("kubectl", kubeconfig, *arguments, expect=expect, stdin=stdin)

    def can(self, *arguments: str) -> bool:
        """Whether the account may; that kubectl fails is no answer."""
        answer = self.kubectl("auth", "can-i", *arguments, ACCOUNT, expect=None)
        assert answer.out.strip() in {"yes", "no"}, answer.text
        return answer.out.strip() == "yes"


@pytest.fixture(scope="module")
def granted(control_plane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    del control_plane_binary
    directory = tmp_path_factory.mktemp("rights")
    with running_control_plane(directory, controllers=False) as plane, LivePlatform(directory, name="lab") as lab:
        lab.scaffold()
        manifest = lab.towpath("manifest", "--image", "towpath:1", "--advertise", "192.168.1.10:30070").out
        kubeconfig = f"--kubeconfig={plane.kubeconfig}"
        applied = lab.run("kubectl", kubeconfig, "apply", "--validate=strict", "-f", "-", stdin=manifest)
        yield Granted(lab, plane, applied)


def test_a_strict_api_server_takes_every_object_without_a_warning(granted: Granted) -> None:
    assert granted.applied.err == ""
    assert "statefulset.apps/towpath created" in granted.applied.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("patch", "deployments.apps", "-n", "dev"),
        ("delete", "configmaps", "-n", "prod"),
        ("watch", "secrets/towpath-pull", "-n", "dev"),
        ("get", "pods", "--subresource=log", "-n", "prod"),
        ("patch", "namespaces/dev"),
        ("create", "configmaps/towpath-inventory-prod", "-n", "towpath"),
    ],
)
def test_the_account_may_do_what_it_must(granted: Granted, arguments: tuple[str, ...]) -> None:
    assert granted.can(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "secrets", "-n", "dev"),
        ("get", "secrets/database", "-n", "dev"),
        ("get", "secrets", "-n", "towpath"),
        ("list", "pods", "-A"),
        ("list", "pods", "-n", "kube-system"),
        ("get", "configmaps/cluster-info", "-n", "kube-public"),
        ("create", "pods", "-n", "dev"),
        ("create", "pods", "--subresource=exec", "-n", "dev"),
        ("update", "deployments.apps", "-n", "dev"),
        ("create", "namespaces"),
        ("delete", "namespaces/dev"),
        ("patch", "namespaces/kube-system"),
        ("list", "nodes"),
        ("create", "clusterroles"),
        ("escalate", "roles", "-n", "dev"),
        ("bind", "clusterroles/cluster-admin", "-n", "dev"),
        ("impersonate", "users"),
        ("create", "serviceaccounts", "--subresource=token", "-n", "dev"),
        ("*", "*"),
    ],
)
def test_the_account_may_do_nothing_more(granted: Granted, arguments: tuple[str, ...]) -> None:
    assert not granted.can(*arguments)


def _secret(name: str) -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: dev}}\n"


def test_a_secret_that_is_granted_by_name_may_be_made_by_an_apply_and_no_other_way(granted: Granted) -> None:
    apply = ("apply", "--server-side", "--field-manager=towpath", ACCOUNT, "-f", "-")
    posted = granted.kubectl("create", ACCOUNT, "-f", "-", stdin=_secret("towpath-pull"), expect=None)
    another = granted.kubectl(*apply, stdin=_secret("database"), expect=None)

    assert (posted.code, another.code) == (1, 1)
    assert "forbidden" in posted.err
    assert "forbidden" in another.err
    assert "serverside-applied" in granted.kubectl(*apply, stdin=_secret("towpath-pull")).out


def test_the_documented_list_of_rights_is_the_real_one(granted: Granted) -> None:
    found = granted.kubectl("auth", "can-i", "--list", "-n", "dev", ACCOUNT).out
    block = re.search(r"\$ kubectl auth can-i --list -n dev [^\n]*\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)

    assert block is not None, f"docs/kubernetes.md should say:\n{found}"
    assert _lines(block[1]) == _lines(found), f"docs/kubernetes.md should say:\n{found}"


def _lines(text: str) -> list[str]:
    return sorted(" ".join(line.split()) for line in text.strip().splitlines())
