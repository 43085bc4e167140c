"""The story of the demo, one function a scene; the first line of each docstring is its title."""

from collections.abc import Callable, Sequence
from typing import Any

from towpath.cli.demo.stage import DemoError, Stage, is_healthy
from towpath.oci.tags import sha_tag

SOAK = "3s"
REFUSED = 3
# The one it runs, and the one before.
VERSIONS_OF_PROD = 2
PROD_OVERLAY = "k3s/overlays/prod/kustomization.yaml"
SENSOR = "services/sensor/main.py"
GOOD_LINE = "    sys.exit(main())"
BAD_LINE = '    raise RuntimeError("calibration table is missing")'


def scaffold_and_start(stage: Stage) -> None:
    """A platform repository, and a platform that runs it."""
    stage.scaffold()
    stage.edit("towpath.yaml", "soak: 1m", f"soak: {SOAK}")
    stage.say(f"(a version must be healthy in dev for {SOAK} before it may enter prod; the scaffold says 1m)")
    stage.type("towpath", "keys", "create", shown=lambda line: line.startswith("key "))
    stage.say("(every image is signed with it from the first push on)")
    stage.start_platform()


def push_and_build(stage: Stage) -> None:
    """A push: the services are built, and dev follows."""
    tag = sha_tag(stage.commit_and_push("Shorten the soak", first=True))
    seconds = stage.await_service("dev", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.await_service("dev", "chaos-controller", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"The sensor answers in dev {seconds:.1f} s after the push. Prod waits for a promotion.")
    stage.type("towpath", "status")


def promote(stage: Stage) -> None:
    """The gate: prod gets what dev has verified, by a commit."""
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--wait", "60")
    stage.type("git", "pull", "-q", "--rebase", "towpath", "main", quiet=True)
    stage.type("git", "log", "-1", "--format=%B")
    tag = _tag_in_prod(stage)
    seconds = stage.await_service("prod", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"Three sensors are ready in prod {seconds:.1f} s later.")


def refuse_the_full_sha(stage: Stage) -> None:
    """The mistake that Towpath was born from: a full-length SHA."""
    full = stage.commit_of(_tag_in_prod(stage))
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--tag", f"sha-{full}", expect=REFUSED)


def heal_a_live_edit(stage: Stage) -> None:
    """A live edit behind Git's back is healed, and named."""
    stage.type("kubectl", "-n", "prod", "scale", "statefulset/sensor", "--replicas=1")
    stage.await_("the drift to be named", lambda: "behind Git's back" in str(stage.explain("prod")))
    seconds = stage.await_service("prod", "sensor", "three again", is_healthy(_tag_in_prod(stage)))
    stage.say(f"Three sensors again after {seconds:.1f} s.")
    stage.type("towpath", "explain", "prod", "sensor", shown=lambda line: "behind Git" in line)


def refuse_a_bad_version(stage: Stage) -> None:
    """A bad version goes to dev, and the gate refuses it."""
    stage.edit(SENSOR, GOOD_LINE, BAD_LINE)
    tag = sha_tag(stage.commit_and_push("Read the calibration table"))

    def is_bad(service: dict[str, Any]) -> bool:
        return bool(service["tag"] == tag and service["health"] == "Degraded")

    seconds = stage.await_service("dev", "sensor", f"degraded at {tag}", is_bad)
    stage.say(f"dev shows it {seconds:.1f} s after the push:")
    stage.type("towpath", "explain", "dev", "sensor")
    stage.type("towpath", "promote", "sensor", "--to", "prod", expect=REFUSED, shown=_is_blocker)


def roll_back(stage: Stage) -> None:
    """The bad version is forced into prod by hand, and rolled back."""
    bad = sha_tag(stage.head())
    good = _tag_in_prod(stage)
    stage.edit(PROD_OVERLAY, good, bad)
    stage.commit_and_push("Force the calibration table into prod")
    stage.await_service("prod", "sensor", "degraded", lambda service: bool(service["health"] == "Degraded"))
    stage.type("towpath", "status", "prod")
    stage.type("towpath", "rollback", "prod", "--reason", "calibration table is missing")
    seconds = stage.await_service("prod", "sensor", f"healthy at {good}", is_healthy(good))
    stage.say(f"prod is healthy again after {seconds:.1f} s. And it sticks:")
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--tag", bad, expect=REFUSED, shown=_is_blocker)


def mend(stage: Stage) -> None:
    """The fix: pushed, running in dev, and promoted."""
    stage.edit(SENSOR, BAD_LINE, f"{GOOD_LINE}  # without a calibration table")
    tag = sha_tag(stage.commit_and_push("Do without the calibration table"))
    seconds = stage.await_service("dev", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"dev is healthy {seconds:.1f} s after the push.")
    stage.type("towpath", "promote", "sensor", "--to", "prod", "--wait", "60", shown=lambda line: "promoted" in line)
    seconds = stage.await_service("prod", "sensor", f"healthy at {tag}", is_healthy(tag))
    stage.say(f"prod follows {seconds:.1f} s later.")


def look_back(stage: Stage) -> None:
    """The waterfall and the ledger: measured on the way, and read from Git."""
    stage.type("towpath", "history", "dev", "--timeline", "-n", "2")
    stage.type("towpath", "history")
    stage.type("towpath", "where", stage.commit_of(_tag_in_prod(stage))[:7])


def verify(stage: Stage) -> None:
    """What prod runs: who built it from what, checked by the key."""
    stage.type("towpath", "verify", f"sensor:{_tag_in_prod(stage)}")


def collect(stage: Stage) -> None:
    """What may go from the registry, and why prod's version and the one before it stay."""
    stage.type("towpath", "registry", "collect", shown=lambda line: line.startswith(("nothing to remove", "would ")))
    kept = 0
    for image in stage.collection()["manifests"]:
        evidence = [reason["evidence"] for reason in image["reasons"] if reason["reason"] in {"pinned", "rollback"}]
        in_prod = [one for one in evidence if one.startswith(("named in prod", "release of prod"))]
        if image["repository"].endswith("/sensor") and any(one.startswith("release") for one in in_prod):
            kept += 1
            stage.say(f"{image['tags'][-1]} stays: {'; '.join(in_prod)}")
    if kept < VERSIONS_OF_PROD:
        raise DemoError(f"the registry would keep {kept} of prod's versions, expected {VERSIONS_OF_PROD}")


SCENES: Sequence[Callable[[Stage], None]] = (
    scaffold_and_start,
    push_and_build,
    promote,
    refuse_the_full_sha,
    heal_a_live_edit,
    refuse_a_bad_version,
    roll_back,
    mend,
    verify,
    collect,
    look_back,
)


def _tag_in_prod(stage: Stage) -> str:
    """The version of the sensor that prod is to run; waits until the platform has taken up the newest commit."""

    def sensor() -> dict[str, Any]:
        prod = next(one for one in stage.status()["environments"] if one["name"] == "prod")
        return next((one for one in prod["services"] if one["service"] == "sensor"), {})

    stage.await_("prod to have a version of the sensor", lambda: bool(sensor().get("tag")))
    return str(sensor()["tag"])


def _is_blocker(line: str) -> bool:
    return " failed " in line or "insufficient evidence" in line or line.startswith("next:")
