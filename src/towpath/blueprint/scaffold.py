"""Write a new platform repository from `templates/`.

The templates are the files themselves, in their places; `{{name}}` and the like are filled in, and `dot-` at the
beginning of a name stands for a dot. All or nothing: no existing file is ever replaced.
"""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import UNRELEASED_TAG
from towpath.errors import ConflictError, UserError

_LEFT_OUT = {"__pycache__"}


class ScaffoldConflictError(ConflictError):
    """A file of the scaffold exists already."""


def write_scaffold(directory: Path, *, name: str, registry: str) -> list[Path]:
    """Write the repository's files into a directory, which is made if need be.

    Args:
        directory: where to; other files in it stay.
        name: the platform's name, a DNS label.
        registry: host and path prefix of every image.

    Returns:
        The files written, relative to the directory, in order.

    Raises:
        ScaffoldConflictError: a file of the scaffold exists already; nothing was written.
        BlueprintError: the name or the registry is malformed; nothing was written.
        UserError: the directory cannot be written to.
    """
    contents = prepare_scaffold(name=name, registry=registry)
    present = [path for path in contents if (directory / path).exists()]
    if present:
        raise ScaffoldConflictError(
            f"{directory} has a platform already (Exists): {', '.join(present[:3])}"
            + (f" and {len(present) - 3} more" if len(present) > 3 else ""),
            hint="choose another directory, or move these files away",
        )
    written: list[Path] = []
    try:
        for name_in_repository, content in contents.items():
            target = directory / name_in_repository
            target.parent.mkdir(parents=True, exist_ok=True)
            write_durably(target, content)
            written.append(Path(name_in_repository))
    except OSError as error:
        for made in written:
            (directory / made).unlink(missing_ok=True)
        raise UserError(f"{directory} cannot be written to ({type(error).__name__}): {error.strerror}") from error
    return written


def prepare_scaffold(*, name: str, registry: str) -> dict[str, bytes]:
    """Path -> content of every file.

    Raises:
        BlueprintError: the name or the registry is malformed.
    """
    values = {"name": name, "registry": registry, "unreleased": UNRELEASED_TAG}
    contents = {}
    for path, template in sorted(_templates(files("towpath.blueprint") / "templates")):
        text = template.read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace("{{" + key + "}}", value)
        contents[path] = text.encode()
    load_blueprint(contents["towpath.yaml"].decode(), contents, default_name=name)
    return contents


def _templates(directory: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in directory.iterdir():
        name = f".{item.name[4:]}" if item.name.startswith("dot-") else item.name
        if item.is_dir() and item.name not in _LEFT_OUT:
            yield from _templates(item, f"{prefix}{name}/")
        elif item.is_file() and not name.endswith(".pyc"):
            yield prefix + name, item
