"""Builds by hand beside a running platform: its CI's images, its own registry, and one image for one commit."""

from collections.abc import Iterator

import pytest

from fakes.lab import program, source_of
from fakes.platform import LivePlatform
from fakes.wheels import write_lock, write_wheel


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform whose dev runs the first version."""
    with LivePlatform(tmp_path_factory.mktemp("beside")) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        for service in ("clock", "lamp"):
            platform.await_healthy("dev", service, platform.head())
        yield platform
        assert platform.stop() == 0


def test_a_build_by_hand_gives_the_digest_that_ci_gave(platform: LivePlatform) -> None:
    running = platform.service_status("dev", "clock")["digest"]
    built = platform.run("towpath", "build", "clock", "-o", "json").json()["services"][0]

    assert built["digest"] == running
    assert built["result"] == "cached"


def test_what_was_pushed_by_hand_before_git_push_is_taken_over_by_ci(platform: LivePlatform) -> None:
    commit = platform.commit({source_of("clock"): program("two")})
    by_hand = {
        one["service"]: one for one in platform.run("towpath", "build", "--push", "-o", "json").json()["services"]
    }

    assert by_hand["clock"]["bytes_sent"] > 0
    assert by_hand["lamp"]["result"] == "carried", "its tree is the ancestor's"
    assert f"sha-{commit[:7]}" in platform.tags("clock") & platform.tags("lamp")
    platform.push()
    clock = platform.await_healthy("dev", "clock", commit)
    assert clock["digest"] == by_hand["clock"]["digest"]
    assert platform.service_status("dev", "lamp")["digest"] == by_hand["lamp"]["digest"]


def test_changes_that_no_commit_has_never_reach_an_environment(platform: LivePlatform) -> None:
    (platform.root / source_of("lamp")).write_text(program("half-written"))
    before = platform.service_status("dev", "lamp")["digest"]
    said = platform.run("towpath", "build", "lamp", "--push", "-o", "json").json()
    platform.git("checkout", "--", source_of("lamp"))

    assert said["tag"] == f"dirty-{platform.head()[:7]}"
    assert said["tag"] in platform.tags("lamp")
    assert platform.service_status("dev", "lamp")["digest"] == before


def test_a_service_with_locked_packages_runs_in_the_loop_without_any_index(platform: LivePlatform) -> None:
    service = platform.root / "services" / "clock"
    write_lock(service, {"greet==1.0": [write_wheel(service / "wheels", "greet")]})
    commit = platform.change(
        {source_of("clock"): "import greet\n\nprint(greet.__cached__, flush=True)\n" + program("packed")}
    )
    clock = platform.await_healthy("dev", "clock", commit)

    assert clock["digest"] != platform.service_status("dev", "lamp")["digest"]
    # It is healthy, so it has started; what it printed may be on its way.
    platform.await_(
        "the package to be imported with its byte code",
        lambda: "/opt/dependencies/__pycache__/greet." in platform.towpath("logs", "clock", "-e", "dev").out,
    )
