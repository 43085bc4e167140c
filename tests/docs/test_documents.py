"""What the documents say exists, is so, and is all."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from towpath.cli.commands import COMMANDS, towpath
from towpath.errors import TowpathError

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]

    assert missing == []


def test_the_page_of_commands_is_what_the_commands_say_of_themselves() -> None:
    spec = importlib.util.spec_from_file_location("generate_commands", ROOT / "tools" / "generate_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert (ROOT / "docs" / "commands.md").read_text() == module.document()


def test_every_listed_command_exists_and_is_called_what_the_list_says() -> None:
    context = click.Context(towpath)
    for name in COMMANDS:
        command = towpath.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    codes = {TowpathError.exit_code, *(error.exit_code for error in TowpathError.__subclasses__())}

    assert all(f"| {code} |" in text for code in codes)


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = [path.parent.name for path in (ROOT / "src" / "towpath").glob("*/__init__.py")]

    assert [name for name in packages if f"**{name}**" not in text] == []


def test_every_decision_says_what_was_rejected() -> None:
    for record in (ROOT / "docs" / "adr").glob("*.md"):
        text = record.read_text()
        assert "## Options" in text, record.name
        assert "(chosen)" in text, record.name


COMMAND_LINE = re.compile(r"^\s*\$? ?towpath ([a-z-]+)(.*?)(?:#.*)?$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_in_the_documents_can_be_parsed(document: Path) -> None:
    context = click.Context(towpath)
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", document.read_text(), re.DOTALL)
    for name, rest in (found for block in blocks for found in COMMAND_LINE.findall(block)):
        command = towpath.get_command(context, name)
        assert command is not None, f"{document.name}: towpath {name}"
        words = re.split(r"&&|[|>]", rest)[0].split()
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
            assert command is not None, f"{document.name}: towpath {name}{rest}"
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        options = [word for word in words if word.startswith("-") and not word.lstrip("-").isdigit()]
        assert set(options) <= known | {"--help"}, f"{document.name}: towpath {name}{rest}"
