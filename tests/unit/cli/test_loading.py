"""Each command loads what it needs and nothing heavier: what it loads is most of the time that it takes.

Measured by what is in `sys.modules` of a process of its own, never by a clock.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fakes.worktree import Worktree
from towpath.cli.commands import towpath
from towpath.cli.table import CommandTable

# What takes milliseconds to load, and packages of ours that bring it.
HEAVY = frozenset(
    {
        *("asyncio", "http.client", "sqlite3", "ssl", "tomllib"),
        *(
            "cryptography",
            "httptools",
            "httpx",
            "orjson",
            "prometheus_client",
            "rich",
            "ruamel",
            "starlette",
            "uvicorn",
        ),
        *("yaml",),
        *("towpath.attest", "towpath.build.engines", "towpath.cluster", "towpath.kubeclient", "towpath.ociclient"),
        *("towpath.registry", "towpath.server.platform", "towpath.web"),
    }
)
NOTHING: frozenset[str] = frozenset()
TALKING = frozenset({"http.client", "ssl"})
LOOP = frozenset({"asyncio", "ssl"})
BUILDING = LOOP | {"orjson", "yaml"}
# Before any work: what the module of a command brings.
COMMANDS = {
    "init": {"yaml"},
    "up": LOOP | {"towpath.kubeclient", "yaml"},
    "serve": LOOP | {"towpath.kubeclient", "yaml"},
    "manifest": BUILDING | {"towpath.ociclient"},
    "demo": LOOP | TALKING | {"yaml"},
    "build": BUILDING,
    "status": TALKING,
    "history": TALKING,
    "where": TALKING,
    "events": TALKING,
    "logs": TALKING,
    "diff": TALKING,
    "explain": TALKING,
    "promote": TALKING,
    "rollback": TALKING,
    "hold": TALKING,
    "reconcile": TALKING,
    "registry serve": NOTHING,
    "registry collect": TALKING,
    "registry scrub": TALKING,
    "registry usage": TALKING,
    "registry notifications": LOOP | {"sqlite3", "towpath.registry"},
    "robot create": TALKING | {"orjson"},
    "robot list": TALKING,
    "robot rotate": TALKING | {"orjson"},
    "robot revoke": TALKING,
    "secrets list": TALKING,
    "secrets rotate": TALKING,
    "mirror": LOOP | TALKING | {"orjson", "rich", "towpath.ociclient"},
    "verify": LOOP | TALKING | {"cryptography", "orjson", "towpath.attest", "towpath.ociclient"},
    "keys create": {"cryptography", "towpath.attest"},
    "keys list": {"cryptography", "towpath.attest"},
    "doctor": TALKING,
    "webhook": NOTHING,
    "kubeconfig": {"towpath.kubeclient", "yaml"},
    "completion": NOTHING,
    "git-credential": NOTHING,
}

_PROGRAM = """
import json, os, sys
from towpath.cli.main import main
shown = os.dup(1)
os.dup2(2, 1)
code = main(sys.argv[1:])
os.write(shown, json.dumps([code, sorted(sys.modules)]).encode())
"""


def loaded_by(*arguments: str, directory: Path, code: int = 0) -> frozenset[str]:
    """What of the heavy is loaded when a command has ended."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], cwd=directory, input=b"", capture_output=True, check=True
    )
    ended, modules = json.loads(ran.stdout)
    assert ended == code, ran.stderr.decode()
    return frozenset(modules)


def walk(group: CommandTable) -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that a user types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, CommandTable):
            yield from ((f"{name} {inner}", one) for inner, one in walk(command))
        else:
            yield name, command


def test_every_command_is_in_the_table_and_called_what_its_group_calls_it() -> None:
    assert isinstance(towpath, CommandTable)
    commands = dict(walk(towpath))

    assert set(commands) == set(COMMANDS)
    assert {words for words, command in commands.items() if command.name != words.split()[-1]} == set()
    assert {words for words, command in commands.items() if not (command.help or "").strip()} == set()
    assert {words for words, command in commands.items() if command.hidden} == {"git-credential"}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_loads_nothing_heavier_than_it_needs(words: str, tmp_path: Path) -> None:
    heavy = loaded_by(*words.split(), "--help", directory=tmp_path) & HEAVY

    assert sorted(heavy - COMMANDS[words]) == []


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("registry", "--help"), ("completion", "bash")])
def test_help_and_version_load_no_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = loaded_by(*arguments, directory=tmp_path)

    assert sorted(modules & HEAVY) == []
    assert "towpath.config" not in modules


def test_git_is_answered_without_the_network_and_without_a_loop(tmp_path: Path) -> None:
    (tmp_path / "towpath.yaml").touch()

    for typed in (("get",), ("-C", str(tmp_path), "get"), ("-C", ".", "erase")):
        modules = loaded_by("git-credential", *typed, directory=tmp_path)
        assert sorted(modules & (HEAVY | {"click", "towpath.cli.commands"})) == []


class TestBuild:
    """`towpath build`, by what there is to do."""

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Worktree:
        lab = Worktree(tmp_path / "lab")
        lab.commit(
            {
                "towpath.yaml": "registry: 127.0.0.1:1/lab\nservices:\n"
                "  site: {base: scratch, static: public, entrypoint: [/app/server]}\n",
                "services/site/public/index.html": "one\n",
                ".gitignore": "/.towpath/\n",
            }
        )
        return lab

    def test_nothing_changed_needs_no_builder(self, lab: Worktree) -> None:
        loaded_by("build", directory=lab.path)
        modules = loaded_by("build", directory=lab.path)

        assert sorted(modules & HEAVY - BUILDING) == []
        assert (
            sorted(modules & {"http", "towpath.build.builder", "towpath.build.layer", "towpath.server.building"}) == []
        )

    def test_a_change_needs_no_registry_no_engine_and_no_signature(self, lab: Worktree) -> None:
        lab.write({"services/site/public/index.html": "two\n"})
        modules = loaded_by("build", directory=lab.path)

        assert "towpath.build.builder" in modules
        assert sorted(modules & HEAVY - BUILDING - {"tomllib"}) == []

    def test_a_push_needs_the_registrys_client(self, lab: Worktree) -> None:
        assert "towpath.ociclient.client" in loaded_by("build", "--push", directory=lab.path, code=6)
