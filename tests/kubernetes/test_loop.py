"""The whole loop on a real Kubernetes, RBAC on, with pods that a real node runs from images it pulls from us.

Twice: `towpath serve` with the least rights, as a service account that may do what `towpath manifest` grants and
nothing else; and `towpath up --kubeconfig` with an administrator's file, as from somebody's machine.

The sequence is that of `towpath demo`. The tests share one platform for each and are in the order of the story; what
each leaves is what the next begins with.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.lab import SERVICES, overlay_of, program, source_of
from fakes.platform import Answer, LivePlatform
from kubernetes.node.running import Node

pytestmark = pytest.mark.kubernetes

REFUSED = 3
# A real node starts a pod in seconds; a machine ten times slower, and a build beside it, take minutes.
PATIENCE_SECONDS = 300.0
VERBS = ("serve", "up")
NAMESPACES = ("dev", "prod", "towpath")
least_rights = pytest.mark.parametrize("story", ["serve"], indirect=True, scope="module")


@dataclass
class Story:
    """A platform that serves on a real cluster."""

    lab: LivePlatform
    node: Node
    first: str = ""

    @property
    def least_rights(self) -> bool:
        """Whether it is the service account; else it is an administrator."""
        return self.lab.verb == "serve"

    def admin(self, *arguments: str, stdin: str | None = None, expect: int | None = 0) -> Answer:
        """kubectl as the administrator."""
        return kubectl(self.lab, self.node, *arguments, stdin=stdin, expect=expect)

    def healthy(self, environment: str, service: str, commit: str) -> dict[str, Any]:
        """Wait until a service runs a commit's version."""
        return self.service(
            environment,
            service,
            lambda one: (
                one["tag"] == f"sha-{commit[:7]}"
                and one["health"] == "Healthy"
                and one["ready"] == one["desired"] > 0
                and set(one["live_digests"]) == {one["digest"]}
            ),
            f"healthy at {commit[:7]}",
        )

    def service(self, environment: str, service: str, holds: Any, wanted: str) -> dict[str, Any]:
        """Wait until a service is as wanted."""

        def find() -> dict[str, Any] | None:
            one = self.lab.service_status(environment, service)
            return one if one and holds(one) else None

        return self.lab.await_(
            f"{service} in {environment} to be {wanted}",
            find,
            seconds=PATIENCE_SECONDS,
            show=lambda: (
                self.lab.api("/explain")["findings"],
                self.admin("get", "pods,events", "-A", expect=None).text[-6000:],
            ),
        )

    def await_(self, wanted: str, find: Any) -> Any:
        """Wait for something else."""
        return self.lab.await_(wanted, find, seconds=PATIENCE_SECONDS)


def kubectl(lab: LivePlatform, node: Node, *arguments: str, stdin: str | None = None, expect: int | None = 0) -> Answer:
    return lab.run("kubectl", f"--kubeconfig={node.plane.kubeconfig}", *arguments, stdin=stdin, expect=expect)


def write_account_kubeconfig(path: Path, admin: Path, token: str) -> Path:
    """A kubeconfig for the cluster of `admin` with a service account's token."""
    document = yaml.safe_load(admin.read_text())
    document["users"] = [{"name": "towpath", "user": {"token": token}}]
    document["contexts"] = [{"name": "loop", "context": {"cluster": "tests", "user": "towpath"}}]
    document["current-context"] = "loop"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module", params=VERBS)
def story(request: pytest.FixtureRequest, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("loop")
    with LivePlatform(directory) as lab:
        lab.verb = request.param
        lab.write_lab()
        kubeconfig = node.plane.kubeconfig
        if lab.verb == "serve":
            kubectl(lab, node, "apply", "-f", "-", stdin=lab.towpath("manifest").out)
            token = kubectl(lab, node, "-n", "towpath", "create", "token", "towpath", "--duration=8h").out.strip()
            kubeconfig = write_account_kubeconfig(directory / "account.kubeconfig", kubeconfig, token)
        lab.start("--kubeconfig", str(kubeconfig))
        story = Story(lab, node)
        lab.push()
        story.first = lab.head()
        yield story
        assert lab.stop() == 0
        kubectl(lab, node, "delete", "namespace", "--ignore-not-found", *NAMESPACES)


def test_a_push_is_built_and_runs_in_dev_as_pods_of_a_real_node(story: Story) -> None:
    for service in SERVICES:
        story.healthy("dev", service, story.first)

    pod = json.loads(story.admin("-n", "dev", "get", "pod", "clock-0", "-o", "json").out)
    assert pod["spec"]["nodeName"] == story.node.name
    assert pod["spec"]["containers"][0]["image"].startswith(f"{story.lab.prefix}/clock:canary@sha256:")
    assert pod["spec"]["imagePullSecrets"] == [{"name": "towpath-pull"}]
    assert story.lab.towpath("logs", "clock", "-e", "dev").out == "version one green\n"


def test_the_registry_lets_in_nobody_without_the_secret(story: Story) -> None:
    status, _ = story.lab.request("GET", f"/v2/{story.lab.name}/clock/tags/list")

    assert status == 401


def test_a_version_is_promoted_through_the_gate(story: Story) -> None:
    outcome = story.lab.document("promote", *SERVICES, "--to", "prod", "--wait", "60")

    assert outcome["verdict"] == "passed", outcome
    for service in SERVICES:
        story.healthy("prod", service, story.first)
    assert story.lab.service_status("prod", "clock")["desired"] == 2


def test_a_full_length_sha_is_refused_with_the_right_tag(story: Story) -> None:
    refused = story.lab.towpath("promote", "clock", "--to", "prod", "--tag", f"sha-{story.first}", expect=REFUSED)

    assert f"sha-{story.first[:7]}" in refused.text


def test_a_live_edit_is_healed_and_its_author_named(story: Story) -> None:
    story.admin("-n", "prod", "scale", "statefulset/clock", "--replicas=1")

    def named() -> str:
        findings = story.lab.api("/explain", environment="prod")["findings"]
        return next((one["reason"] for one in findings if "behind Git's back" in one["reason"]), "")

    found = story.await_("the drift to be named", named)
    assert "spec.replicas 2 -> 1" in found
    assert "kubectl" in found
    story.healthy("prod", "clock", story.first)


def test_a_deleted_pull_secret_comes_back(story: Story) -> None:
    story.admin("-n", "dev", "delete", "secret", "towpath-pull")

    story.await_(
        "the pull secret",
        lambda: story.admin("-n", "dev", "get", "secret", "towpath-pull", "-o", "name", expect=None).code == 0,
    )


@least_rights
def test_no_other_secret_may_be_seen(story: Story) -> None:
    story.admin("-n", "dev", "create", "secret", "generic", "private", "--from-literal=k=v")
    account = "--as=system:serviceaccount:towpath:towpath"
    seen = story.admin("-n", "dev", "get", "secret", "towpath-pull", "-o", "name", account)
    refused = story.admin("-n", "dev", "get", "secret", "private", account, expect=1)

    assert seen.out.strip() == "secret/towpath-pull"
    assert 'secrets "private" is forbidden' in refused.err


def test_a_bad_version_is_refused_and_when_forced_rolled_back_and_quarantined(story: Story) -> None:
    lab = story.lab
    bad = lab.change({source_of("clock"): program("bad", broken="no spring")}, "Save the spring")
    tag = f"sha-{bad[:7]}"
    story.service("dev", "clock", lambda one: (one["tag"], one["health"]) == (tag, "Degraded"), "degraded")
    findings = lab.api("/explain", environment="dev")["findings"]
    assert any("CrashLoopBackOff" in one["reason"] for one in findings), findings
    refused = lab.document("promote", "clock", "--to", "prod", expect=REFUSED)
    assert [one["check"] for one in refused["gates"]["clock"] if one["verdict"] == "failed"] == ["verified before"]

    lab.git("pull", "-q", "--rebase", "towpath", "main")
    text = (lab.root / overlay_of("prod")).read_text()
    lab.change({overlay_of("prod"): text.replace(f"sha-{story.first[:7]}", tag, 1)}, "Force it into prod")
    story.service("prod", "clock", lambda one: one["health"] == "Degraded", "degraded")
    lab.document("rollback", "prod", "--reason", "no spring")
    story.healthy("prod", "clock", story.first)
    again = lab.document("promote", "clock", "--to", "prod", "--tag", tag, expect=REFUSED)
    assert "quarantine" in str(again)


def test_the_fix_goes_all_the_way(story: Story) -> None:
    mended = story.lab.change({source_of("clock"): program("two")}, "Mend the spring")
    story.healthy("dev", "clock", mended)
    story.lab.document("promote", "clock", "--to", "prod", "--wait", "60")
    story.healthy("prod", "clock", mended)

    places = {
        one["environment"]: one["state"] for one in story.lab.document("where", mended)["services"][0]["environments"]
    }
    assert places == {"dev": "running, healthy", "prod": "running, healthy"}


def test_views_read_the_namespaces_they_may_and_doctor_is_well(story: Story) -> None:
    events = story.lab.document("events", "-n", "500")["events"]
    assert {"Pulled", "Drifted", "Healed"} <= {event["reason"] for event in events}
    checks = {check["check"]: check for check in story.lab.document("doctor")["checks"]}
    assert checks["cluster"]["state"] == "ok"
    # Which nodes there are is none of the account's business; an administrator sees that the only one is this machine.
    assert checks["registry address"]["state"] == ("warning" if story.least_rights else "ok")
    assert checks["rights"]["state"] == "ok"
    assert story.lab.document("diff", "prod")["objects"] == []


def test_nothing_was_refused_on_the_way(story: Story) -> None:
    log = story.lab.log.read_text()

    assert "forbidden" not in log.lower(), [line for line in log.splitlines() if "forbidden" in line.lower()]


INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: lamp}
spec:
  defaultBackend: {service: {name: lamp, port: {number: 80}}}
"""


@least_rights
def test_a_kind_that_was_not_granted_is_named_with_the_remedy_and_waits_for_it(story: Story) -> None:
    lab = story.lab
    base = (lab.root / "k3s/base/kustomization.yaml").read_text().replace("lamp.yaml", "lamp.yaml, ingress.yaml")
    lab.change({"k3s/base/ingress.yaml": INGRESS, "k3s/base/kustomization.yaml": base}, "Open the lamp")

    def refused() -> Any:
        findings = lab.api("/explain", environment="dev")["findings"]
        return next((one for one in findings if "ingresses" in one["reason"]), None)

    found = story.await_("the refusal", refused)
    assert "cannot get resource" in found["reason"]
    assert "towpath manifest | kubectl apply -f -" in found["next"]

    checks = {check["check"]: check for check in lab.api("/doctor")["checks"]}
    assert "dev: get,list,watch,create,patch,delete ingresses.networking.k8s.io" in checks["rights"]["evidence"]

    manifest = lab.towpath("manifest").out
    story.admin("apply", "-f", "-", stdin=manifest)
    for name in ("dev", "prod"):
        story.await_(
            f"the Ingress in {name}",
            lambda name=name: story.admin("-n", name, "get", "ingress", "lamp", expect=None).code == 0,
        )
