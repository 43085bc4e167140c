"""The whole loop on one platform, as its user drives it: `towpath up`, real git, the command line and kubectl.

The tests share the platform, which `story` has brought to where both environments run the first version; each leaves it
with both environments at what the head says. What a user gets wrong is in `test_platform_mistakes`.
"""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.lab import SERVICES, base, overlay_of, program, source_of
from fakes.platform import LivePlatform
from towpath.promote.trailers import Act, find_record

WRONG_INPUT, REFUSED, NOT_FOUND, CONFLICT = 2, 3, 4, 5


@dataclass
class Story:
    """A platform whose environments run the first version."""

    platform: LivePlatform
    first: str
    promoted: str
    empty: dict[str, Any]

    def pins(self, environment: str) -> dict[str, str]:
        """What the hosted head's overlay names."""
        text = self.platform.hosted_git("show", f"main:{overlay_of(environment)}")
        return dict(re.findall(r"- name: (\w+)\n    newName: \S+\n    newTag: (\S+)", text))

    def record(self, commit: str) -> Any:
        """What a commit's trailers say of it."""
        text = self.platform.hosted_git("log", "-1", "--format=%(trailers:only,unfold)", commit)
        return find_record([(key, value) for key, _, value in (line.partition(": ") for line in text.splitlines())])

    def pods(self, environment: str, service: str) -> list[Any]:
        """The pods of a service, as kubectl sees them."""
        listed = self.platform.kubectl("-n", environment, "get", "pods", "-l", f"app={service}", "-o", "json")
        items: list[Any] = json.loads(listed.out)["items"]
        return items

    def finding(self, **wanted: str) -> dict[str, str] | None:
        """The first finding of `explain` whose fields hold these texts."""
        for found in self.platform.api("/explain")["findings"]:
            if all(text in found[field] for field, text in wanted.items()):
                return dict(found)
        return None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with LivePlatform(tmp_path_factory.mktemp("story")) as platform:
        platform.write_lab()
        platform.start()
        empty = {name: platform.document(name) for name in ("status", "explain", "history", "events")}
        platform.push()
        first = platform.head()
        for service in SERVICES:
            platform.await_healthy("dev", service, first)
        promoted = platform.document("promote", *SERVICES, "--to", "prod")["commit"]
        for service in SERVICES:
            platform.await_healthy("prod", service, first)
        yield Story(platform, first, promoted, empty)
        assert platform.stop() == 0
        platform.await_no_process()


def test_an_empty_platform_says_what_to_do_first(story: Story) -> None:
    assert story.empty["status"]["head"] is None
    assert story.empty["status"]["environments"] == []
    assert [finding["next"] for finding in story.empty["explain"]["findings"]] == ["git push towpath main"]
    assert story.empty["history"] == {"entries": []}


def test_the_promotion_was_one_commit_that_keeps_every_comment_and_tells_the_ledger(story: Story) -> None:
    record = story.record(story.promoted)
    assert (record.act, record.environment, record.gate.partition(" ")[0]) == (Act.PROMOTE, "prod", "passed")
    assert [(move.service, move.tag, move.previous, move.revision) for move in record.moves] == [
        (service, f"sha-{story.first[:7]}", "unreleased", story.first) for service in SERVICES
    ]
    changed = story.platform.hosted_git("show", "--format=", "--unified=0", story.promoted).splitlines()
    edits = [line for line in changed if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]
    tag = f"sha-{story.first[:7]}"
    assert edits == [
        "-    newTag: unreleased  # of the clock",
        f"+    newTag: {tag}  # of the clock",
        "-    newTag: unreleased",
        f"+    newTag: {tag}",
    ]


def test_pods_run_what_git_names_and_say_so_to_kubectl(story: Story) -> None:
    kubectl = story.platform.kubectl
    assert len(story.pods("dev", "clock")) == 1
    assert len(story.pods("prod", "clock")) == 2
    assert kubectl("-n", "prod", "logs", "clock-1").out == "version one green\n"
    digest = story.platform.service_status("prod", "clock")["digest"]
    assert {pod["spec"]["containers"][0]["image"] for pod in story.pods("prod", "clock")} == {
        f"{story.platform.prefix}/clock:sha-{story.first[:7]}@{digest}"
    }
    assert "successfully rolled out" in kubectl("-n", "prod", "rollout", "status", "deployment/lamp").out
    assert kubectl("-n", "prod", "wait", "--for=condition=Ready", "pod/clock-0", "--timeout=120s").code == 0
    assert "clock-0" in kubectl("get", "pods", "-A").out
    assert "Container started" in kubectl("-n", "prod", "describe", "pod", "clock-0").out


def test_a_push_of_one_service_reaches_dev_and_carries_the_others(story: Story) -> None:
    platform = story.platform
    commit = platform.change({source_of("clock"): program("two")}, "Tell the time in words")
    tag = f"sha-{commit[:7]}"
    platform.await_healthy("dev", "clock", commit)
    assert platform.towpath("logs", "clock").out.splitlines()[-1] == "version two green"
    lamp = platform.await_healthy("dev", "lamp", story.first)
    assert tag in platform.tags("lamp"), "every commit has a complete set"
    assert tag in platform.tags("sets")
    ci = platform.document("status")["ci"]
    outcomes = {one["service"]: (one["outcome"], one["digest"]) for one in ci["report"]["services"]}
    assert outcomes["clock"][0] == "built"
    assert outcomes["lamp"] == ("carried", lamp["digest"])
    assert story.pins("prod") == dict.fromkeys(SERVICES, f"sha-{story.first[:7]}"), "prod waits for a promotion"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("sha-{full}", "sha-{short}"),
        ("latest", "latest"),
        ("sha-0000000", "0000000"),
        ("canary", "canary"),
    ],
)
def test_the_gate_refuses_what_was_never_built_or_is_no_version(story: Story, version: str, said: str) -> None:
    before = story.platform.hosted_head()
    words = {"full": story.first, "short": story.first[:7]}
    answer = story.platform.towpath(
        "promote", "lamp", "--to", "prod", "--tag", version.format(**words), "-o", "json", expect=REFUSED
    )
    failed = [one for one in answer.json()["gates"]["lamp"] if one["verdict"] == "failed"]
    assert failed, "a refusal names the check"
    assert any(said.format(**words) in one["evidence"] + one["next"] for one in failed)
    assert all(one["next"] for one in failed), "and the next step"
    assert story.platform.hosted_head() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("promote", "bell", "--to", "prod"), NOT_FOUND, "bell"),
        (("promote", "lamp", "--to", "moon"), NOT_FOUND, "moon"),
        (("promote", "lamp"), WRONG_INPUT, "--to"),
        (("status", "moon"), NOT_FOUND, "moon"),
        (("explain", "dev", "bell"), NOT_FOUND, "bell"),
        (("logs", "bell"), NOT_FOUND, "bell"),
        (("diff", "moon"), NOT_FOUND, "moon"),
        (("events", "moon"), NOT_FOUND, "moon"),
        (("where", "deadbeef"), NOT_FOUND, "deadbeef"),
        (("rollback", "moon"), NOT_FOUND, "moon"),
        (("rollback", "dev"), REFUSED, "dev"),
        (("init", "."), CONFLICT, "NotEmpty"),
        (("up", "--port", "1", "--kube-port", "1"), CONFLICT, "Running"),
        (("fly",), WRONG_INPUT, "fly"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_and_ends_with_its_code(
    story: Story, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answer = story.platform.towpath(*arguments, expect=code)
    assert said in answer.err
    assert "Traceback" not in answer.text


def test_a_live_edit_is_healed_and_named(story: Story) -> None:
    platform = story.platform
    platform.kubectl("-n", "prod", "scale", "statefulset/clock", "--replicas=1")
    found = platform.await_("the drift", lambda: story.finding(subject="prod", reason="behind Git's back"))
    assert "replicas" in found["reason"]
    assert "kubectl" in found["reason"] + found["evidence"]
    platform.await_healthy("prod", "clock", story.first)
    replicas = platform.kubectl("-n", "prod", "get", "statefulset", "clock", "-o", "jsonpath={.spec.replicas}").out
    assert replicas == "2"


def test_a_live_edit_is_only_reported_where_the_blueprint_says_so(story: Story) -> None:
    platform = story.platform
    blueprint = (platform.root / "towpath.yaml").read_text()

    def replicas() -> str:
        return platform.kubectl("-n", "prod", "get", "statefulset", "clock", "-o", "jsonpath={.spec.replicas}").out

    said = platform.change(
        {"towpath.yaml": blueprint.replace("soak: 0s", "soak: 0s\n    drift: report")}, "Report drift"
    )
    platform.await_("the new head", lambda: platform.environment_status("prod")["revision"] == said)
    platform.kubectl("-n", "prod", "scale", "statefulset/clock", "--replicas=1")
    found = platform.await_("the report", lambda: story.finding(subject="prod", state="reported", reason="replicas"))
    assert "kubectl" in found["reason"]
    assert platform.environment_status("prod")["sync"] == "OutOfSync"
    assert replicas() == "1"
    platform.change({"towpath.yaml": blueprint}, "Heal drift")
    platform.await_("the healing", lambda: replicas() == "2")
    platform.await_healthy("prod", "clock", story.first)


def test_manifests_are_rolled_out_to_every_environment_and_old_ones_pruned(story: Story) -> None:
    platform = story.platform
    platform.change({"k3s/base/kustomization.yaml": base("blue")}, "Paint it blue")

    def is_blue() -> bool:
        said = [platform.towpath("logs", "lamp", "-e", name, "-n", "1", expect=None).out for name in ("dev", "prod")]
        maps = platform.kubectl("get", "configmaps", "-A", "-o", "name").out
        return all("blue" in text for text in said) and maps.count("/settings-") == 2

    platform.await_("both environments to be blue and the green ConfigMaps to be gone", is_blue)


def test_a_bad_version_is_refused_by_the_gate_and_rolled_back_when_it_was_forced(story: Story) -> None:
    platform = story.platform
    good = story.pins("prod")["clock"]
    bad = platform.change({source_of("clock"): program("bad", broken="no spring")}, "Save the spring")
    bad_tag = f"sha-{bad[:7]}"
    platform.await_service("dev", "clock", lambda one: (one["tag"], one["health"]) == (bad_tag, "Degraded"), "degraded")
    found = platform.await_("the reason", lambda: story.finding(subject="dev/clock", state="Degraded"))
    assert "CrashLoopBackOff" in found["reason"]
    assert "logs clock" in found["next"]
    assert "no spring" in platform.towpath("logs", "clock", "-e", "dev").out
    refused = platform.document("promote", "clock", "--to", "prod", expect=REFUSED)
    assert [one["check"] for one in refused["gates"]["clock"] if one["verdict"] == "failed"] == ["verified before"]
    platform.towpath("status", "--exit-code", expect=REFUSED)

    platform.git("pull", "-q", "--rebase", "towpath", "main")
    text = (platform.root / overlay_of("prod")).read_text()
    platform.change({overlay_of("prod"): text.replace(good, bad_tag, 1)}, "Force it into prod")
    platform.await_service("prod", "clock", lambda one: one["health"] == "Degraded", "degraded")
    stuck = [pod["metadata"]["uid"] for pod in story.pods("prod", "clock") if not _is_ready(pod)]
    assert stuck, "the StatefulSet waits for a pod that will never be ready"

    rolled_back = platform.document("rollback", "prod", "--reason", "no spring")
    assert [(move["service"], move["tag"]) for move in rolled_back["moves"]] == [("clock", good)]
    record = story.record(rolled_back["commit"])
    assert (record.act, record.environment) == (Act.ROLLBACK, "prod")
    assert [service for service, _ in record.quarantined] == ["clock"]
    platform.await_healthy("prod", "clock", story.first)
    assert not {pod["metadata"]["uid"] for pod in story.pods("prod", "clock")} & set(stuck), "the stuck pod was freed"

    again = platform.document("promote", "clock", "--to", "prod", "--tag", bad_tag, expect=REFUSED)
    assert "not quarantined" in [one["check"] for one in again["gates"]["clock"] if one["verdict"] == "failed"]
    entries = platform.document("history", "prod")["entries"]
    assert [entry["act"] for entry in entries[:1]] == ["rollback"]
    assert {entry["act"] for entry in entries} >= {"promote", "rollback"}

    fixed = platform.change({source_of("clock"): program("three")}, "Wind the spring")
    platform.await_healthy("dev", "clock", fixed)
    platform.document("promote", "clock", "--to", "prod")
    platform.await_healthy("prod", "clock", fixed)
    platform.await_("all to be well", lambda: platform.towpath("status", "--exit-code", expect=None).code == 0)


def _is_ready(pod: Any) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])


DOCUMENTS = {
    "status": (
        ("status",),
        {"platform", "head", "problem", "ci", "environments"},
        "environments",
        {"name", "sync", "sync_message", "health", "health_message", "revision", "message", "next", "hold", "services"},
    ),
    "history": (
        ("history",),
        {"entries"},
        "entries",
        {"at", "environment", "act", "commit", "by", "gate", "verdict", "reason", "moves", "quarantined"},
    ),
    "timeline": (
        ("history", "dev", "--timeline"),
        {"waterfalls"},
        "waterfalls",
        {"commit", "subject", "environment", "received_at", "total_seconds", "ready", "spans"},
    ),
    "where": (
        ("where", "HEAD"),
        {"commit", "subject", "author", "services"},
        "services",
        {"service", "tag", "digest", "state", "message", "environments"},
    ),
    "events": (("events",), {"events"}, "events", {"at", "environment", "type", "reason", "object", "message"}),
    "explain": (("explain",), {"findings"}, "findings", {"subject", "state", "reason", "evidence", "next"}),
    "doctor": (("doctor",), {"checks"}, "checks", {"check", "state", "evidence", "next"}),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_view_prints_the_documented_json(story: Story, name: str) -> None:
    arguments, fields, list_name, entry_fields = DOCUMENTS[name]
    words = [story.platform.hosted_head() if word == "HEAD" else word for word in arguments]
    document = story.platform.document(*words)
    assert set(document) >= fields
    assert document[list_name], "an empty list shows nothing"
    for entry in document[list_name]:
        assert set(entry) >= entry_fields


def test_where_finds_a_commit_by_its_tag_and_tells_where_it_runs(story: Story) -> None:
    document = story.platform.document("where", f"sha-{story.first[:7]}")
    lamp = next(one for one in document["services"] if one["service"] == "lamp")
    assert (document["commit"], lamp["state"]) == (story.first, "built")
    assert {place["environment"]: place["state"] for place in lamp["environments"]} == {
        "dev": "running, healthy",
        "prod": "running, healthy",
    }


def test_nothing_differs_from_git_and_diff_says_so(story: Story) -> None:
    assert story.platform.document("diff", "prod") == {"environment": "prod", "objects": []}


def test_the_waterfall_of_a_push_has_every_stage_in_order(story: Story) -> None:
    newest = story.platform.document("history", "dev", "--timeline")["waterfalls"][0]
    stages = [span["stage"] for span in newest["spans"]]
    assert newest["ready"]
    order = ["received", "fetched", "built", "pushed", "planned", "applied", "ready"]
    assert stages == [stage for stage in order if stage in stages]
    assert {"built", "pushed", "planned", "applied", "ready"} <= set(stages)


def test_two_pushes_within_a_moment_are_both_built_and_the_newer_one_runs(story: Story) -> None:
    platform = story.platform
    platform.git("pull", "-q", "--rebase", "towpath", "main")
    older = platform.commit({source_of("lamp"): program("older")}, "The older")
    newer = platform.commit({source_of("lamp"): program("newer")}, "The newer")
    platform.git("push", "-q", "towpath", f"{older}:refs/heads/main")
    platform.git("push", "-q", "towpath", f"{newer}:refs/heads/main")
    platform.await_healthy("dev", "lamp", newer)
    wanted = {f"sha-{older[:7]}", f"sha-{newer[:7]}"}
    platform.await_("the sets of both", lambda: wanted <= platform.tags("sets"), show=lambda: platform.tags("sets"))
    platform.await_healthy("dev", "lamp", newer)


def test_of_two_writers_at_once_one_lands_and_the_other_is_told_to_fetch(story: Story) -> None:
    platform = story.platform
    base_commit = platform.hosted_head()
    platform.git("fetch", "-q", "towpath")
    tree = platform.git("rev-parse", f"{base_commit}^{{tree}}")
    rivals = [platform.git("commit-tree", tree, "-p", base_commit, "-m", f"Rival {number}") for number in range(4)]
    answers: dict[str, int] = {}

    def push(rival: str) -> None:
        answers[rival] = platform.run("git", "push", "-q", "towpath", f"{rival}:refs/heads/main", expect=None).code

    threads = [threading.Thread(target=push, args=(rival,)) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [rival for rival, code in answers.items() if code == 0]
    assert winners == [platform.hosted_head()]


def test_of_eight_promotions_at_once_every_service_moves_once_and_nobody_is_left_unanswered(story: Story) -> None:
    platform = story.platform
    commit = platform.change({source_of(name): program("rush hour") for name in SERVICES}, "Rush hour")
    for service in SERVICES:
        platform.await_healthy("dev", service, commit)
    before = platform.hosted_head()
    answers: list[tuple[str, int, str]] = []

    def promote(service: str) -> None:
        answer = platform.towpath("promote", service, "--to", "prod", expect=None)
        answers.append((service, answer.code, answer.text))

    threads = [threading.Thread(target=promote, args=(SERVICES[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    for _, code, text in answers:
        assert code == 0 or (code == CONFLICT and "next: " in text), text
    moved = [story.record(commit) for commit in platform.hosted_git("rev-list", f"{before}..main").split()]
    assert sorted(move.service for record in moved for move in record.moves) == sorted(SERVICES)
    assert story.pins("prod") == dict.fromkeys(SERVICES, f"sha-{commit[:7]}")
    for service in SERVICES:
        platform.await_healthy("prod", service, commit)


def test_a_force_push_takes_dev_back_with_the_branch(story: Story) -> None:
    platform = story.platform
    platform.git("pull", "-q", "--rebase", "towpath", "main")
    before = platform.change({}, "A commit to come back to")
    lamp = platform.service_status("dev", "lamp")["commit"]
    gone = platform.change({source_of("lamp"): program("mistake")}, "A mistake")
    platform.await_healthy("dev", "lamp", gone)
    platform.git("push", "-q", "--force", "towpath", f"{before}:refs/heads/main")
    platform.git("reset", "-q", "--hard", before)
    platform.await_healthy("dev", "lamp", lamp)
    assert platform.hosted_head() == before


def test_deleting_a_branch_changes_nothing_and_the_followed_one_cannot_be_deleted(story: Story) -> None:
    platform = story.platform
    head = platform.hosted_head()
    platform.git("push", "-q", "towpath", f"{head}:refs/heads/idea")
    platform.git("push", "-q", "towpath", ":refs/heads/idea")
    assert (platform.hosted_head("idea"), platform.hosted_head()) == ("", head)
    refused = platform.run("git", "push", "-q", "towpath", ":refs/heads/main", expect=1)
    assert "deletion of the current branch prohibited" in refused.err
    assert platform.hosted_head() == head
    platform.towpath("status", "--exit-code")


def test_a_platform_that_does_not_run_is_said_not_to_run(story: Story) -> None:
    platform = story.platform
    assert platform.stop() == 0
    platform.await_no_process()
    answer = platform.towpath("status", expect=WRONG_INPUT)
    assert "NotRunning" in answer.err
    assert "towpath up" in answer.err
    checks = platform.document("doctor")["checks"]
    assert [one["state"] for one in checks if one["check"] == "platform"] == ["warning"]
    platform.start()
    platform.await_("all to be well", lambda: platform.towpath("status", "--exit-code", expect=None).code == 0)
