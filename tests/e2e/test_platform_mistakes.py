"""What a user pushes by mistake.

`status` and `explain` say where and what next, what runs keeps running, and once it is mended the platform goes on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from fakes.lab import BASE, SERVICES, base, lab_files, overlay_of, program, source_of
from fakes.platform import LivePlatform

CLOCK = "k3s/base/clock.yaml"
DEV = overlay_of("dev")


@dataclass
class Running:
    """A platform at work, and the pods that nobody may touch."""

    platform: LivePlatform
    first: str
    good: Mapping[str, str]
    pods: set[str] = field(default_factory=set)

    def pod_ids(self) -> set[str]:
        """Every pod that is there."""
        return set(self.platform.kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}").out.split())

    def is_at(self, commit: str) -> bool:
        """Whether both environments are synced with a commit, healthy, and nothing is to be explained."""
        status = self.platform.api("/status")
        wanted = (commit, "Synced", "Healthy")
        found = [(one["revision"], one["sync"], one["health"]) for one in status["environments"]]
        reasons = [finding["reason"] for finding in self.platform.api("/explain")["findings"]]
        return found == [wanted, wanted] and reasons == ["all is well"] * 2 and status["ci"]["outcome"] == "published"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with LivePlatform(tmp_path_factory.mktemp("mistakes")) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        made = Running(platform, platform.head(), lab_files(platform.prefix))
        for service in SERVICES:
            platform.await_healthy("dev", service, made.first)
        promoted = platform.document("promote", *SERVICES, "--to", "prod")["commit"]
        platform.await_("prod to run", lambda: made.is_at(promoted))
        made.pods = made.pod_ids()
        yield made


@dataclass(frozen=True)
class Mistake:
    """Replace `before` by `after` in a file (no `before`: append it; no `after` either: remove the file)."""

    path: str
    before: str
    after: str
    subject: str
    reasons: tuple[str, ...]
    next_step: str = ""


MISTAKES = {
    "a blueprint that is no YAML": Mistake(
        "towpath.yaml", "", "  bad: [\n", "blueprint", ("towpath.yaml:7", "not YAML"), "correct it"
    ),
    "an unknown key in the blueprint": Mistake(
        "towpath.yaml", "soak", "soaks", "blueprint", ("towpath.yaml:5: environments.prod.soaks", "did you mean soak")
    ),
    "an overlay that is no YAML": Mistake(
        DEV, "", "  foo: [", "dev", (f"{DEV}: yaml: line 17",), "correct it and push again"
    ),
    "an overlay that names a file that is not there": Mistake(
        DEV, "namespace.yaml", "nowhere.yaml", "dev", (DEV, "nowhere.yaml does not exist"), "add the file, or remove it"
    ),
    "an unknown field in an overlay": Mistake(DEV, "images:", "imagez:", "dev", (DEV, 'unknown field "imagez"')),
    "a manifest that is no YAML": Mistake(
        CLOCK, "", "  : : [\n", "prod", (f"{CLOCK}: yaml: line 5",), "correct it and push again"
    ),
    "an unknown field in a manifest": Mistake(
        CLOCK, "  serviceName", "  serviseName", "prod", ("StatefulSet/prod/clock", ".spec.serviseName"), "correct the"
    ),
    "a change of what is immutable": Mistake(
        CLOCK,
        "  serviceName: clock",
        "  serviceName: watch",
        "prod",
        ("StatefulSet/prod/clock could not be applied (Immutable)",),
        "undo the change in Git, or `kubectl delete statefulset clock -n prod --cascade=orphan`",
    ),
    "a service directory that vanished": Mistake(
        source_of("lamp"),
        "",
        "",
        "prod/lamp",
        ("no service lamp", "keeps running"),
        "restore its directory, or remove it",
    ),
    "an overlay that vanished": Mistake(DEV, "", "", "dev", ("no overlay of dev",), "restore the overlay"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_located_stops_nothing_and_is_forgotten_once_mended(running: Running, name: str) -> None:
    mistake, platform = MISTAKES[name], running.platform
    platform.git("pull", "-q", "--rebase", "towpath", "main")
    good = (platform.root / mistake.path).read_text()
    bad = good.replace(mistake.before, mistake.after, 1) if mistake.before else good + mistake.after
    commit = platform.change({mistake.path: bad if mistake.before or mistake.after else None}, name)

    def find() -> dict[str, str] | None:
        findings = platform.api("/explain")["findings"]
        return next((one for one in findings if one["subject"] == mistake.subject and said(one, mistake)), None)

    found = platform.await_("the mistake to be explained", find, show=lambda: platform.api("/explain"))
    assert found["next"]
    assert mistake.next_step in found["next"]
    printed = platform.towpath("explain").out
    assert all(word in " ".join(printed.split()) for word in mistake.reasons)
    status = platform.document("status")
    assert status["head"]["commit"] == commit
    assert {one["health"] for one in status["environments"]} == {"Healthy"}, "what runs is still looked at"
    assert running.pod_ids() == running.pods

    mended = platform.change({mistake.path: good}, f"Mend: {name}")
    platform.await_("the platform to go on", lambda: running.is_at(mended), show=lambda: platform.api("/explain"))
    assert running.pod_ids() == running.pods


def said(finding: Mapping[str, str], mistake: Mistake) -> bool:
    return all(word in finding["reason"] for word in mistake.reasons)


def test_a_service_that_cannot_be_built_does_not_hold_up_the_manifests(running: Running) -> None:
    platform = running.platform
    broken = "FROM scratch\nCOPY nothing-like-this /\n"
    commit = platform.change({source_of("lamp"): None, "services/lamp/Dockerfile": broken}, "Bring a Dockerfile")

    def find() -> dict[str, str] | None:
        findings = platform.api("/explain")["findings"]
        return next((one for one in findings if one["subject"] == f"build of {commit[:7]}, service lamp"), None)

    found = platform.await_("the build to be explained", find)
    # Which of the two depends on what this machine has to build Dockerfiles with.
    assert any(word in found["reason"] for word in ("EngineFailed", "EngineMissing"))
    assert platform.document("status")["ci"]["outcome"] == "failed"
    assert platform.tags("sets") == platform.tags("clock"), "all or nothing"
    assert f"sha-{commit[:7]}" not in platform.tags("clock")
    assert running.pod_ids() == running.pods
    mended = platform.change(
        {source_of("lamp"): program("one"), "services/lamp/Dockerfile": None, BASE: base("green")}, "Mend it"
    )
    platform.await_("the platform to go on", lambda: running.is_at(mended), show=lambda: platform.api("/explain"))
    assert running.pod_ids() == running.pods
