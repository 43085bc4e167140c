"""The story of the demo, one function a scene; the first line of each docstring is its title."""

from collections.abc import Callable, Sequence

from towpath.cli.demo.stage import Stage, is_healthy
from towpath.oci.tags import sha_tag

SOAK = "3s"
REFUSED = 3
PROD_OVERLAY = "k3s/overlays/prod/kustomization.yaml"
LAST_LINE_OF_SENSOR = "    sys.exit(main())"


def scaffold_and_start(stage: Stage) -> None:
    """A platform repository, and a platform that runs it."""
    stage.scaffold()
    stage.edit("towpath.yaml", "soak: 1m", f"soak: {SOAK}")
    stage.say(f"(a version must be healthy in dev for {SOAK} before it may enter prod; the scaffold says 1m)")
    stage.start_platform()


def push_and_build(stage: Stage) -> None:
    """Git push: the services are built, and dev follows."""
    commit = stage.commit_and_push("Shorten the soak", first=True)
    tag = sha_tag(commit)
    seconds = stage.await_service("dev", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.await_service("dev", "chaos-controller", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"The sensor answers in dev {seconds:.1f} s after the push. Prod waits for a promotion.")
    stage.type("towpath", "status")


def promote(stage: Stage) -> None:
    """The gate: prod gets what dev has verified, by a commit."""
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--wait", "60")
    tag = sha_tag(stage.head())
    seconds = stage.await_service("prod", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"Three sensors are ready in prod {seconds:.1f} s later.")
    stage.type("git", "pull", "-q", "--rebase", "towpath", "main")
    stage.type("git", "log", "-1", "--format=%s%n%n%b")


def refuse_the_full_sha(stage: Stage) -> None:
    """The mistake that Towpath was born from: a full-length SHA."""
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--tag", f"sha-{stage.head()}", expect=REFUSED)


def heal_a_live_edit(stage: Stage) -> None:
    """A live edit behind Git's back is healed, and named."""
    stage.type("kubectl", "-n", "prod", "scale", "statefulset/sensor", "--replicas=1")

    stage.await_("the drift to be named", lambda: "behind Git's back" in str(stage.explain("prod")))
    tag = next(one["tag"] for one in _services(stage, "prod") if one["service"] == "sensor")
    seconds = stage.await_service("prod", "sensor", "three again", is_healthy(tag))
    stage.say(f"Three sensors again after {seconds:.1f} s.")
    stage.type("towpath", "explain", "prod", "sensor", shown=lambda line: "behind Git" in line)


def refuse_a_bad_version(stage: Stage) -> None:
    """A bad version goes to dev, and the gate refuses it."""
    stage.edit("services/sensor/main.py", LAST_LINE_OF_SENSOR, '    raise RuntimeError("calibration table is missing")')
    tag = sha_tag(stage.commit_and_push("Read the calibration table"))

    def is_bad(service: dict[str, str]) -> bool:
        return service["tag"] == tag and service["health"] == "Degraded"

    seconds = stage.await_service("dev", "sensor", f"degraded at {tag}", is_bad)
    stage.say(f"dev shows it {seconds:.1f} s after the push:")
    stage.type("towpath", "explain", "dev", "sensor")
    stage.type("towpath", "promote", "sensor", "--to", "prod", expect=REFUSED, shown=_is_blocker)


def roll_back(stage: Stage) -> None:
    """The bad version is forced into prod by hand, and rolled back."""
    bad = sha_tag(stage.head())
    good = next(one["tag"] for one in _services(stage, "prod") if one["service"] == "sensor")
    stage.edit(PROD_OVERLAY, good, bad)
    stage.commit_and_push("Force the calibration table into prod")

    def is_bad(service: dict[str, str]) -> bool:
        return service["health"] == "Degraded"

    stage.await_service("prod", "sensor", "degraded", is_bad)
    stage.type("towpath", "status", "prod")
    stage.type("towpath", "rollback", "prod", "--reason", "calibration table is missing")
    seconds = stage.await_service("prod", "sensor", f"healthy at {good}", is_healthy(good))
    stage.say(f"prod is healthy again after {seconds:.1f} s. And it sticks:")
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--tag", bad, expect=REFUSED, shown=_is_blocker)


def look_back(stage: Stage) -> None:
    """The ledger and the waterfall: read from Git and measured on the way."""
    stage.type("towpath", "history")
    stage.type("towpath", "history", "dev", "--timeline", "-n", "1")


SCENES: Sequence[Callable[[Stage], None]] = (
    scaffold_and_start,
    push_and_build,
    promote,
    refuse_the_full_sha,
    heal_a_live_edit,
    refuse_a_bad_version,
    roll_back,
    look_back,
)


def _services(stage: Stage, environment: str) -> list[dict[str, str]]:
    found = [one for one in stage.status()["environments"] if one["name"] == environment]
    services: list[dict[str, str]] = found[0]["services"]
    return services


def _is_blocker(line: str) -> bool:
    return " failed " in line or "insufficient evidence" in line or line.startswith("next:")
