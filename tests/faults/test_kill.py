"""`kill -9` of `towpath up` at twenty arbitrary moments of a push, a build, a promotion, a roll-out and a rollback.

After each restart: what Git accepted is there and built; every promotion commit is whole; no process outlived the
platform; and what runs, asked through the real kubectl, is what the head of the branch says. One platform bears all
twenty, so each kill meets the traces of those before it. `TOWPATH_FAULTS_SEED` chooses other moments.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from fakes.intact import await_intact
from fakes.lab import BASE, SERVICES, base, overlay_of, program, source_of
from fakes.platform import LivePlatform
from towpath.promote.trailers import Act, Record, find_record

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TOWPATH_FAULTS_SEED", "20"))
KILLS_EACH = 4
PODS = {("dev", "clock"): 1, ("dev", "lamp"): 1, ("prod", "clock"): 2, ("prod", "lamp"): 1}
REFUSED = 3


@dataclass
class World:
    """A platform that is killed again and again, and what its user was told."""

    platform: LivePlatform
    accepted: list[str] = field(default_factory=list)
    typical: dict[str, float] = field(default_factory=dict)
    rounds: int = 0

    def prepare(self) -> None:
        """Everything without a kill, twice: both environments run a version, and what each act takes when warm."""
        platform = self.platform
        platform.write_lab()
        platform.start()
        for _ in range(2):
            self.typical["push"] = self.timed(platform.push)
            self.accepted.append(platform.head())
            self.typical["build"] = self.timed(self.await_build)
            self.typical["roll-out"] = self.typical["build"] + self.timed(self.await_convergence_of_dev)
            self.typical["promotion"] = self.timed(lambda: platform.towpath("promote", *SERVICES, "--to", "prod"))
            self.typical["rollback"] = self.typical["promotion"]
            self.await_convergence()
            self.new_version()

    def await_build(self) -> None:
        """Wait until the images of the head are published."""
        wanted = (self.platform.head(), "published")

        def is_built() -> bool:
            ci = self.platform.api("/status")["ci"]
            return (ci["commit"], ci["outcome"]) == wanted

        self.platform.await_("the build", is_built)

    def timed(self, act: Callable[[], object]) -> float:
        """The seconds it takes."""
        started = time.monotonic()
        act()
        return time.monotonic() - started

    def await_convergence_of_dev(self) -> None:
        """Wait until dev runs what the head says."""
        for service in SERVICES:
            self.platform.await_healthy("dev", service, self.platform.head())

    def await_convergence(self) -> None:
        """Wait until what runs is what the head of the branch says, as kubectl sees it."""
        wanted = self.wanted_output()
        self.platform.await_(
            f"all to run {wanted}", lambda: self.settled() and self.output() == wanted, show=self.output
        )

    def settled(self) -> bool:
        """Whether the platform itself says that it is done with the head."""
        head = self.platform.hosted_head()
        status = self.platform.api("/status")
        return status["ci"]["outcome"] == "published" and all(
            one["revision"] == head and (one["sync"], one["health"]) == ("Synced", "Healthy")
            for one in status["environments"]
        )

    def output(self) -> dict[str, list[str]]:
        """The last line of every pod; a pod that is not ready counts as silent."""
        found: dict[str, list[str]] = {f"{environment}/{service}": [] for environment, service in PODS}
        for environment in ("dev", "prod"):
            listed = json.loads(self.platform.kubectl("-n", environment, "get", "pods", "-o", "json").out)
            for pod in listed["items"]:
                name, service = pod["metadata"]["name"], pod["metadata"]["labels"]["app"]
                ready = any(
                    one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", [])
                )
                said = (
                    self.platform.kubectl("-n", environment, "logs", "--tail=1", name, expect=None).out if ready else ""
                )
                found[f"{environment}/{service}"].append(said)
        return found

    def wanted_output(self) -> dict[str, list[str]]:
        """What the head of the branch says every pod must print."""
        head = self.platform.hosted_head()
        colour = yaml.safe_load(self.show(head, BASE))["configMapGenerator"][0]["literals"][0].removeprefix("colour=")
        wanted = {}
        for (environment, service), count in PODS.items():
            pin = self.pins(head, environment)[service]
            version = version_in(self.show(head if pin == "canary" else pin.removeprefix("sha-"), source_of(service)))
            wanted[f"{environment}/{service}"] = [f"version {version} {colour}\n"] * count
        return wanted

    def show(self, commit: str, path: str) -> str:
        """A file of the hosted repository."""
        return self.platform.hosted_git("show", f"{commit}:{path}") + "\n"

    def pins(self, commit: str, environment: str) -> dict[str, str]:
        """What an overlay names; it parses, and its comments are there."""
        text = self.show(commit, overlay_of(environment))
        assert f"# {environment}: this comment must survive every edit" in text
        return {entry["name"]: entry["newTag"] for entry in yaml.safe_load(text)["images"]}

    def records(self) -> list[tuple[str, Record]]:
        """The promotions and rollbacks on the branch, newest first."""
        found = []
        for commit in self.platform.hosted_git("rev-list", "main").split():
            trailers = self.platform.hosted_git("log", "-1", "--format=%(trailers:only,unfold)", commit)
            record = find_record(
                [(key, value) for key, _, value in (line.partition(": ") for line in trailers.splitlines())]
            )
            if record is not None:
                found.append((commit, record))
        return found

    def check_ledger(self) -> None:
        """Every promotion and rollback is whole: it moves what it says, all of it, and nothing else."""
        await_intact(self.platform)
        for commit, record in self.records():
            now, before = self.pins(commit, record.environment), self.pins(f"{commit}^", record.environment)
            assert {move.service for move in record.moves} == set(SERVICES), "half of a promotion"
            assert {name: tag for name, tag in now.items() if before[name] != tag} == {
                move.service: move.tag for move in record.moves
            }
            assert {move.service: move.previous for move in record.moves} == before
            assert self.platform.hosted_git("diff", "--name-only", f"{commit}^", commit) == overlay_of(
                record.environment
            )

    def check_nothing_lost(self) -> None:
        """What git said was accepted is on the branch, and has its set and its images."""
        tags = {name: self.platform.tags(name) for name in ("sets", *SERVICES)}
        for commit in self.accepted:
            self.platform.hosted_git("merge-base", "--is-ancestor", commit, "main")
            assert all(f"sha-{commit[:7]}" in known for known in tags.values()), (commit, tags)

    def next_version(self) -> str:
        """A version that was never there."""
        self.rounds += 1
        return f"v{self.rounds}"

    def new_commit(self, files: dict[str, str | bytes | None]) -> str:
        """A commit on top of what is hosted, not pushed yet."""
        self.platform.git("pull", "-q", "--rebase", "towpath", "main")
        return self.platform.commit(files, f"Round {self.rounds}")

    def new_version(self) -> str:
        """A new version of both services, not pushed yet; its commit."""
        version = self.next_version()
        return self.new_commit({source_of(name): program(version) for name in SERVICES})

    def new_version_in_dev(self) -> str:
        """A new version of both services, healthy in dev; its commit."""
        commit = self.new_version()
        self.platform.push()
        self.accepted.append(commit)
        self.await_convergence_of_dev()
        return commit


def version_in(source: str) -> str:
    """The version that a program prints."""
    return next(line.split('"')[1] for line in source.splitlines() if line.startswith("VERSION = "))


def tell(text: str) -> None:
    """Say something that pytest shows when the test fails."""
    sys.stdout.write(f"{text}\n")


class Doing:
    """A command that runs while the platform is killed."""

    def __init__(self, platform: LivePlatform, *argv: str) -> None:
        self._child = subprocess.Popen(
            argv,
            cwd=platform.root,
            env=platform.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def succeeded(self) -> bool:
        """Whether its user was told that it is done."""
        said, _ = self._child.communicate(timeout=300)
        tell(said)
        return self._child.returncode == 0


@pytest.fixture(scope="module")
def worlds() -> Iterator[list[World]]:
    kept: list[World] = []
    yield kept
    while kept:
        kept.pop().platform.__exit__(None, None, None)


@pytest.fixture
def world(
    worlds: list[World], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    """The one of the test before, or a new one if that test has failed."""
    if not worlds:
        made = World(LivePlatform(tmp_path_factory.mktemp("killed")))
        worlds.append(made)
        made.prepare()
    failed_before = request.session.testsfailed
    yield worlds[0]
    if request.session.testsfailed > failed_before:
        worlds.pop().platform.__exit__(AssertionError, AssertionError(), None)


def moments(act: str) -> list[Any]:
    """When to kill: fractions of what the act takes, one in each part of it."""
    chance = random.Random(f"{SEED} {act}")  # noqa: S311 - repeatable on purpose
    fractions = [(number + chance.random()) / KILLS_EACH for number in range(KILLS_EACH)]
    return [pytest.param(round(fraction, 3), id=f"at {fraction:.0%}") for fraction in fractions]


def kill_at(world: World, act: str, fraction: float, started: float) -> None:
    """Wait for the moment, and kill; nothing of the platform may live on."""
    seconds = world.typical[act] * fraction
    tell(f"seed {SEED}: kill {seconds:.3f} s after the start of the {act}")
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    world.platform.kill()
    world.platform.await_no_process()


def restart_and_check(world: World) -> None:
    world.platform.start()
    world.await_convergence()
    world.check_ledger()
    world.check_nothing_lost()


@pytest.mark.parametrize("fraction", moments("push"))
def test_a_push_is_either_refused_or_kept_whatever_the_moment_of_the_kill(world: World, fraction: float) -> None:
    commit = world.new_version()
    started = time.monotonic()
    doing = Doing(world.platform, "git", "push", "-q", "towpath", "main")
    kill_at(world, "push", fraction, started)
    if doing.succeeded():
        world.accepted.append(commit)
    restart_and_check(world)
    world.platform.push()  # what was refused can be pushed again
    assert world.platform.hosted_head() == commit
    world.accepted.append(commit)
    world.await_convergence()


@pytest.mark.parametrize("fraction", moments("build"))
def test_a_push_that_was_accepted_is_built_and_runs_though_the_builder_was_killed(
    world: World, fraction: float
) -> None:
    commit = world.new_version()
    world.platform.push()
    world.accepted.append(commit)
    kill_at(world, "build", fraction, time.monotonic())
    restart_and_check(world)
    assert version_in(world.show("main", source_of("clock"))) == f"v{world.rounds}"


@pytest.mark.parametrize("fraction", moments("roll-out"))
def test_manifests_are_applied_and_old_ones_pruned_though_the_reconciler_was_killed(
    world: World, fraction: float
) -> None:
    colour = world.next_version()
    world.new_commit({BASE: base(colour)})
    world.platform.push()
    world.accepted.append(world.platform.head())
    kill_at(world, "roll-out", fraction, time.monotonic())
    restart_and_check(world)

    def one_is_left() -> bool:
        maps = world.platform.kubectl("get", "configmaps", "-A", "-o", "name").out.split()
        return len([name for name in maps if "settings" in name]) == len({environment for environment, _ in PODS})

    world.platform.await_("the ConfigMaps of before to be pruned", one_is_left)


@pytest.mark.parametrize("fraction", moments("promotion"))
def test_a_promotion_is_whole_or_not_there_whatever_the_moment_of_the_kill(world: World, fraction: float) -> None:
    commit = world.new_version_in_dev()
    started = time.monotonic()
    doing = Doing(world.platform, "towpath", "promote", *SERVICES, "--to", "prod")
    kill_at(world, "promotion", fraction, started)
    told = doing.succeeded()
    tag = f"sha-{commit[:7]}"
    there = world.pins("main", "prod") == dict.fromkeys(SERVICES, tag)
    assert there or not told, "a promotion that was reported is gone"
    restart_and_check(world)
    world.platform.towpath("promote", *SERVICES, "--to", "prod")  # asked again, it ends the same
    assert world.pins("main", "prod") == dict.fromkeys(SERVICES, tag)
    world.await_convergence()
    assert len([record for _, record in world.records() if record.moves[0].tag == tag]) == 1


@pytest.mark.parametrize("fraction", moments("rollback"))
def test_a_rollback_is_whole_and_sticks_or_is_not_there(world: World, fraction: float) -> None:
    good = world.pins("main", "prod")
    commit = world.new_version_in_dev()
    world.platform.towpath("promote", *SERVICES, "--to", "prod")
    world.await_convergence()
    started = time.monotonic()
    doing = Doing(world.platform, "towpath", "rollback", "prod", "--reason", "it smells")
    kill_at(world, "rollback", fraction, started)
    told = doing.succeeded()
    newest = world.records()[0][1]
    assert newest.act is Act.ROLLBACK or not told, "a rollback that was reported is gone"
    restart_and_check(world)
    if newest.act is not Act.ROLLBACK:
        world.platform.towpath("rollback", "prod", "--reason", "it still smells")
        world.await_convergence()
    assert world.pins("main", "prod") == good
    answer = world.platform.towpath("promote", "clock", "--to", "prod", "--tag", f"sha-{commit[:7]}", expect=REFUSED)
    assert "rolled back" in answer.out or "quarantine" in answer.out
