"""Which file locks a service's packages, what it locks, and what is refused with the command that mends it."""

from dataclasses import replace

import pytest

from towpath.blueprint.model import Service
from towpath.build.entries import BuildError
from towpath.build.image import LockedPackage
from towpath.build.lockfiles import check_project, find_lock, parse_lock

SENSOR = Service("sensor", "services/sensor")
A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"requirements.txt", "requirements.lock"}, "requirements.lock"),
        ({"requirements.txt", "pylock.toml"}, "pylock.toml"),
        ({"requirements.txt", "uv.lock"}, "uv.lock"),
        ({"requirements.txt"}, "requirements.txt"),
        ({"main.py", "sub/requirements.txt"}, ""),
    ],
)
def test_a_file_that_can_only_be_a_lock_comes_before_one_that_may_be_a_wish_list(
    names: set[str], expected: str
) -> None:
    assert find_lock(SENSOR, frozenset(names)) == expected


def test_the_blueprint_names_another_file_or_none() -> None:
    names = frozenset({"requirements.txt", "deploy.txt"})

    assert find_lock(replace(SENSOR, requirements="deploy.txt"), names) == "deploy.txt"
    assert find_lock(replace(SENSOR, requirements=None), names) == ""


@pytest.mark.parametrize(
    ("name", "command"),
    [("poetry.lock", "poetry export"), ("pdm.lock", "pdm export"), ("Pipfile.lock", "pipenv requirements --hash")],
)
def test_another_tools_lock_is_refused_with_that_tools_command(name: str, command: str) -> None:
    with pytest.raises(BuildError, match="LockUnsupported") as caught:
        find_lock(SENSOR, frozenset({name}))
    assert f"in services/sensor: {command}" in caught.value.hint

    assert find_lock(SENSOR, frozenset({name, "requirements.lock"})) == "requirements.lock"


def test_a_lock_in_pips_format_is_read() -> None:
    text = f"""# made by hand
--index-url https://example.org/simple
flask==3.0.1 \\
    --hash={A} \\
    --hash={B}    # via me
Jinja2[extra]==3.1 ; python_version >= "3.9" --hash={A}
local @ https://example.org/local-1.0-py3-none-any.whl --hash={B}
"""
    assert parse_lock(SENSOR, "requirements.txt", text.encode()).packages == (
        LockedPackage("flask", "3.0.1", (A, B)),
        LockedPackage("Jinja2", "3.1", (A,)),
        LockedPackage("local", "", (B,)),
    )


def test_wheels_beside_the_lock_are_known_to_be_no_part_of_what_runs() -> None:
    text = f"--find-links ./wheels/\n-f https://example.org/w\nflask==3.0 --hash={A}\n"
    lock = parse_lock(SENSOR, "deploy/requirements.lock", text.encode())
    names = frozenset({"deploy/wheels/flask-3.0-py3-none-any.whl", "deploy/wheels/README", "wheels/x.whl", "main.py"})

    assert lock.vendored(names) == {"deploy/wheels/flask-3.0-py3-none-any.whl"}
    assert parse_lock(SENSOR, "requirements.txt", b"").vendored(names) == frozenset()


def test_locks_in_toml_are_read() -> None:
    flask = 'name = "flask"\nversion = "3.0"\n'
    pylock = f'lock-version = "1.0"\n[[packages]]\n{flask}wheels = [{{hashes = {{sha256 = "{A[7:]}"}}}}]'
    uv = f'version = 1\n[[package]]\n{flask}wheels = [{{url = "x", hash = "{B}"}}]'

    assert parse_lock(SENSOR, "pylock.toml", pylock.encode()).packages == (LockedPackage("flask", "3.0", (A,)),)
    assert parse_lock(SENSOR, "uv.lock", uv.encode()).packages == (LockedPackage("flask", "3.0", (B,)),)


def test_a_lock_without_a_package_locks_nothing() -> None:
    assert parse_lock(SENSOR, "requirements.txt", b"# nothing\n\n--no-index\n").packages == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flask\n", "without == or --hash: flask"),
        ("flask==3.0\n", "without == or --hash: flask==3.0"),
        (f"flask>=3.0 --hash={A}\n", "without == or --hash: flask>=3.0"),
        ("a\nb\nc\nd\ne\n", "a, b, c and 2 more"),
        ("-r other.txt\n", "-r cannot be locked"),
        ("--requirement=other.txt\n", "--requirement cannot be locked"),
        ("-e .\n", "-e cannot be locked"),
    ],
)
def test_what_is_not_locked_is_refused_with_the_command_that_locks_it(text: str, problem: str) -> None:
    with pytest.raises(BuildError, match="Unlocked") as caught:
        parse_lock(SENSOR, "requirements.txt", text.encode())

    assert problem in caught.value.message
    assert "services/sensor/requirements.txt" in caught.value.message
    assert "uv pip compile --universal --generate-hashes requirements.txt -o requirements.lock" in caught.value.hint


@pytest.mark.parametrize(("name", "content"), [("requirements.txt", b"\xff"), ("pylock.toml", b"[[packages")])
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes) -> None:
    with pytest.raises(BuildError, match=rf"services/sensor/{name} cannot be read \(LockInvalid\)") as caught:
        parse_lock(SENSOR, name, content)
    assert "in services/sensor: " in caught.value.hint


def test_a_project_that_names_packages_needs_a_lock() -> None:
    project = '[project]\nname = "sensor"\ndependencies = ["flask"]\n'
    with pytest.raises(BuildError, match="LockMissing") as caught:
        check_project(SENSOR, project)
    assert "uv lock" in caught.value.hint

    check_project(replace(SENSOR, requirements=None), project)
    check_project(SENSOR, '[project]\nname = "sensor"\n')
    check_project(SENSOR, "[tool.ruff]\n")
    check_project(SENSOR, "")
