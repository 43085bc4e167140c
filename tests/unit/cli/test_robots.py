"""`towpath robot`: through the running platform, and in the files of one that does not run."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform
from towpath.server.running import remove_run_info

Type = Callable[..., Any]
SECRET = "twr_shown-this-once"
ROBOT: dict[str, Any] = {
    "name": "ci",
    "repositories": ["home/*"],
    "allow": ["pull", "push"],
    "created": "2026-01-31T09:30:00Z",
    "rotated": None,
    "expires": None,
    "expired": False,
    "secrets": 1,
    "last_used": None,
}
MADE = {"registry": "127.0.0.1:7070", "robot": ROBOT, "secret": SECRET}


@pytest.fixture
def running(platform: CannedPlatform) -> CannedPlatform:
    platform.answer("GET /robots", {"registry": "127.0.0.1:7070", "robots": [ROBOT]})
    platform.answer("POST /robots", MADE)
    platform.answer("POST /robots/rotations", MADE)
    platform.answer("POST /robots/revocations", {"name": "ci"})
    return platform


def test_a_robot_is_made_by_the_running_platform(running: CannedPlatform, type_: Type) -> None:
    said = type_("robot", "create", "ci", "--repository", "home/*", "--allow", "push", "--expires", "90d")
    assert said.code == 0
    assert said.out.count(SECRET) == 1
    assert "paste it when asked:\n  docker login --username ci 127.0.0.1:7070\n" in said.out
    assert running.asked[-1] == (
        "POST /robots",
        {},
        {"name": "ci", "repositories": ["home/*"], "allow": ["push"], "lifetime_seconds": 90 * 86_400},
    )


def test_a_robot_without_an_expiry_is_asked_for_without_one(running: CannedPlatform, type_: Type) -> None:
    assert type_("robot", "create", "ci", "--repository", "home/*").code == 0
    assert running.asked[-1][2]["lifetime_seconds"] is None


def test_rotation_and_revocation_go_to_the_running_platform(running: CannedPlatform, type_: Type) -> None:
    assert SECRET in type_("robot", "rotate", "ci", "--overlap", "1h30m").out
    assert running.asked[-1][2] == {"name": "ci", "overlap_seconds": 5400}
    assert "robot ci is revoked" in type_("robot", "revoke", "ci").out
    assert running.asked[-1][2] == {"name": "ci"}


@pytest.mark.usefixtures("running")
def test_the_secret_is_printed_as_programs_want_it(type_: Type) -> None:
    create = ("robot", "create", "ci", "--repository", "home/*")
    assert type_(*create, "-o", "json").json() == MADE
    config = json.loads(type_(*create, "--format", "docker-config").out)
    login = base64.b64decode(config["auths"]["127.0.0.1:7070"]["auth"]).decode()
    assert login == f"ci:{SECRET}"
    manifest = type_(*create, "--format", "kubernetes-secret", "--namespace", "apps", "--registry", "reg.lan:5000").out
    fields = dict(line.strip().split(": ", 1) for line in manifest.splitlines() if ": " in line)
    assert (fields["kind"], fields["name"], fields["namespace"]) == ("Secret", "ci-registry", "apps")
    assert list(json.loads(base64.b64decode(fields[".dockerconfigjson"]))["auths"]) == ["reg.lan:5000"]


def test_a_list_shows_no_secret(running: CannedPlatform, type_: Type) -> None:
    running.answer(
        "GET /robots", {"registry": "x", "robots": [ROBOT, {**ROBOT, "name": "old", "expires": "T", "expired": True}]}
    )
    lines = type_("robot", "list").lines
    assert lines[1].split() == ["ci", "pull,push", "home/*", "2026-01-31T09:30:00Z", "never", "-"]
    assert "(expired)" in lines[2]
    assert type_("robot", "list", "-o", "json").json()["robots"][0] == ROBOT


def test_without_a_running_platform_its_files_are_changed(platform: CannedPlatform, type_: Type) -> None:
    remove_run_info(platform.state)
    made = type_("robot", "create", "ci", "--repository", "home/*", "-o", "json").json()
    assert made["registry"] == "127.0.0.1:7070"
    assert platform.asked == []
    stored = (platform.state / "registry" / "robots.json").read_text()
    assert made["secret"] not in stored
    assert type_("robot", "list").lines[1].startswith("ci")
    assert type_("robot", "rotate", "ci", "-o", "json").json()["secret"] != made["secret"]
    assert type_("robot", "revoke", "ci").code == 0
    assert type_("robot", "revoke", "ci").code == 4
    assert "no robots" in type_("robot", "list").out


def test_a_registry_on_its_own_has_robots_of_its_own(tmp_path: Path, type_: Type) -> None:
    root = ("--root", str(tmp_path / "registry"))
    assert type_("robot", "create", "ci", "--repository", "*", *root).code == 0
    assert (tmp_path / "registry" / "robots.json").exists()
    refused = type_("robot", "rotate", "ci", "--format", "docker-config", *root)
    assert (refused.code, "NoRegistry" in refused.err) == (2, True)
    config = type_("robot", "rotate", "ci", "--format", "docker-config", "--registry", "reg:1", *root)
    assert list(json.loads(config.out)["auths"]) == ["reg:1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "ci"),
        ("create", "ci", "--repository", "home/*", "--allow", "admin"),
        ("create", "ci", "--repository", "home/*", "--expires", "soon"),
        ("create", "ci", "--repository", "home/*", "--expires", "1d1"),
        ("create", "ci", "--repository", "home/*", "--expires", "0d"),
        ("create", "ci", "--repository", "home/*", "--expires", "0h0s"),
        ("create", "ci", "--repository", "home/*", "--expires", "-1d"),
        ("create", "ci", "--repository", "home/*", "--expires", "36501d"),
        ("create", "ci", "--repository", "home/*", "--format", "kubernetes-secret", "--namespace", "Bad NS"),
        ("create", "ci", "--repository", "home/*", "--namespace", "apps"),
        ("create", "ci", "--repository", "home/*", "--format", "docker-config", "--namespace", "apps"),
        ("create", "ci", "--repository", "home/*", "--format", "docker-config", "--registry", "http://r:5000/"),
        ("create", "ci", "--repository", "home/*", "--format", "docker-config", "-o", "json"),
        ("rotate", "ci", "--format", "kubernetes-secret", "-o", "json"),
        ("create", "--repository", "home/*"),
    ],
)
def test_wrong_input_ends_with_2(running: CannedPlatform, type_: Type, arguments: tuple[str, ...]) -> None:
    assert type_("robot", *arguments).code == 2
    assert not any(asked.startswith("POST") for asked, *_ in running.asked)


def test_a_lifetime_of_nothing_makes_no_robot_that_lives_for_ever(tmp_path: Path, type_: Type) -> None:
    create = ("robot", "create", "ci", "--repository", "home/*", "--root", str(tmp_path))
    refused = type_(*create, "--expires", "0d")
    assert (refused.code, "'0d' would end at once: expected more than 0s" in refused.err) == (2, True)
    assert not (tmp_path / "robots.json").exists()
    assert type_(*create, "-o", "json").json()["robot"]["expires"] is None
    assert type_(*create[:2], "short", *create[3:], "--expires", "1s", "-o", "json").json()["robot"]["expires"]


def test_elsewhere_than_in_a_platform_it_says_so(tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = type_("robot", "list")
    assert (said.code, "no platform repository" in said.err) == (2, True)


@pytest.mark.parametrize("command", [("list",), ("rotate", "ci"), ("revoke", "ci")])
@pytest.mark.parametrize("holds", [None, "", "letter.txt"])
def test_a_root_that_is_no_registry_is_not_taken_for_one(
    tmp_path: Path, type_: Type, command: tuple[str, ...], holds: str | None
) -> None:
    root = tmp_path / "mistyped"
    if holds is not None:
        root.mkdir()
    if holds:
        (root / holds).touch()
    said = type_("robot", *command, "--root", str(root))
    assert (said.code, said.out) == (4, "")
    assert f"{root} is no registry (NotFound)" in said.err
    assert "towpath registry serve --root" in said.err
    assert root.exists() == (holds is not None)


def test_a_robot_for_a_registry_to_come_is_made_and_that_there_is_none_yet_is_said(tmp_path: Path, type_: Type) -> None:
    root = tmp_path / "registry"
    create = ("robot", "create", "--repository", "home/*", "--root", str(root))
    first = type_(*create, "ci", "-o", "json")
    assert first.code == 0
    assert first.json()["robot"]["name"] == "ci"
    assert f"{root} is made new: no registry was served from it yet" in first.err
    second = type_(*create, "other")
    assert (second.code, second.err) == (0, "")
    assert type_("robot", "list", "--root", str(root)).code == 0


def test_no_robot_is_made_among_the_files_of_something_else(tmp_path: Path, type_: Type) -> None:
    (tmp_path / "letter.txt").touch()
    said = type_("robot", "create", "ci", "--repository", "*", "--root", str(tmp_path))
    assert (said.code, "got 1 other files" in said.err) == (4, True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_robot_is_not_made_for_what_no_repository_is_called(tmp_path: Path, type_: Type) -> None:
    said = type_("robot", "create", "ci", "--repository", "s/../*", "--root", str(tmp_path))
    assert (said.code, "no repository can have a name that it matches" in said.err) == (2, True)
    assert not (tmp_path / "robots.json").exists()
