"""The lock file of a Python service: which one it is, what it locks, and what keeps it from being one. Pure.

    requirements.lock, requirements.txt   pip's format; every requirement with `==` and at least one `--hash`
    pylock.toml                           PEP 751
    uv.lock                               beside the `pyproject.toml` it belongs to

What is not locked is refused: the same commit must give the same image tomorrow, and a package that somebody replaced
must not get in. Every refusal says the command that makes a lock.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from towpath.blueprint.model import Service
from towpath.build.entries import BuildError
from towpath.build.image import LockedPackage
from towpath.build.recipes import PROJECT_FILE

REQUIREMENTS = "requirements.txt"
UV_LOCK = "uv.lock"
PYLOCK = "pylock.toml"
# The first that a service has is taken: a file that can only be a lock comes before one that may be a wish list.
LOCK_FILES = ("requirements.lock", PYLOCK, UV_LOCK, REQUIREMENTS)
_FOREIGN_LOCKS = {
    "poetry.lock": "poetry export -f requirements.txt -o requirements.lock",
    "pdm.lock": "pdm export -f pylock -o pylock.toml",
    "Pipfile.lock": "pipenv requirements --hash > requirements.lock",
}
_HASH = re.compile(r"--hash[= ](?P<hash>[a-z0-9]+:[0-9a-fA-F]+)")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:===?\s*(?P<version>[^\s;]+)|@\s*\S+)")
_LINKS = re.compile(r"^(?:--find-links|-f)[= ]\s*(?P<place>\S+)", re.MULTILINE)
_COMMENT = re.compile(r"(^|\s)#.*$")
# Options that take in other files, or packages that no hash can cover.
_REFUSED_OPTIONS = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "--no-binary")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file.

    Attributes:
        name: relative to the service's directory.
        content: its bytes.
        packages: what it locks, for any platform.
        wheelhouses: directories beside it that it takes wheels from.
    """

    name: str
    content: bytes
    packages: tuple[LockedPackage, ...]
    wheelhouses: tuple[str, ...] = ()

    def vendored(self, names: frozenset[str]) -> frozenset[str]:
        """Those of a service's files that are only there to be installed from: no part of what runs."""
        inside = tuple(f"{wheelhouse}/" for wheelhouse in self.wheelhouses)
        return frozenset(name for name in names if name.startswith(inside) and name.endswith(".whl"))


def find_lock(service: Service, names: frozenset[str]) -> str:
    """The name of a service's lock file; empty when it has none.

    Raises:
        BuildError: its packages are locked in a form that cannot be read.
    """
    if service.requirements is None:
        return ""
    if service.requirements:
        return service.requirements
    found = next((name for name in LOCK_FILES if name in names), "")
    foreign = next((name for name in _FOREIGN_LOCKS if name in names), "")
    if not found and foreign:
        raise BuildError(
            f"packages of service {service.name} cannot be installed (LockUnsupported): {foreign} is no format of pip",
            hint=f"in {service.path}: {_FOREIGN_LOCKS[foreign]}",
        )
    return found


def parse_lock(service: Service, name: str, content: bytes) -> Lock:
    """Read a lock file.

    Raises:
        BuildError: it is malformed, or does not lock everything.
    """
    shown = f"{service.path}/{name}"
    try:
        text = content.decode()
        if name.endswith(".toml") or name.rpartition("/")[2] == UV_LOCK:
            packages = tuple(_toml_packages(tomllib.loads(text)))
        else:
            packages = tuple(_requirements(service, shown, text))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = f"byte {error.start} is no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise BuildError(
            f"lock file {shown} cannot be read (LockInvalid): {problem}",
            hint=f"in {service.path}: write it anew with the program that made it, as UTF-8",
        ) from error
    links = (match["place"].removeprefix("./").rstrip("/") for match in _LINKS.finditer(text))
    below = name.rpartition("/")[0]
    return Lock(name, content, packages, tuple(f"{below}/{link}".lstrip("/") for link in links if "://" not in link))


def check_project(service: Service, project: str) -> None:
    """Refuse a project that names dependencies and has no lock. Raises BuildError."""
    try:
        declared: Any = tomllib.loads(project).get("project", {})
    except tomllib.TOMLDecodeError:
        return  # whoever needs more of it says so
    wanted = declared.get("dependencies") if isinstance(declared, dict) else None
    if wanted and service.requirements is not None:
        raise BuildError(
            f"service {service.name} names packages without a lock (LockMissing): {PROJECT_FILE} has {len(wanted)}",
            hint=f"in {service.path}: uv lock, and commit uv.lock; or services.{service.name}.requirements: false",
        )


def _requirements(service: Service, shown: str, text: str) -> Iterator[LockedPackage]:
    unlocked: list[str] = []
    for line in _logical_lines(text):
        if line.startswith("-"):
            option = line.split()[0].partition("=")[0]
            if option in _REFUSED_OPTIONS:
                raise _unlocked(service, shown, f"{option} cannot be locked by hashes")
            continue
        pinned = _PINNED.match(line)
        hashes = tuple(match["hash"].lower() for match in _HASH.finditer(line))
        if pinned is None or not hashes:
            unlocked.append(line.partition("--hash")[0].strip())
        else:
            yield LockedPackage(pinned["name"], pinned["version"] or "", hashes)
    if unlocked:
        more = f" and {len(unlocked) - _SHOWN} more" if len(unlocked) > _SHOWN else ""
        raise _unlocked(service, shown, f"without == or --hash: {', '.join(unlocked[:_SHOWN])}{more}")


def _unlocked(service: Service, shown: str, problem: str) -> BuildError:
    source = shown.rpartition("/")[2]
    return BuildError(
        f"packages of service {service.name} are not locked (Unlocked): {shown}: {problem}",
        hint=f"in {service.path}: uv pip compile --universal --generate-hashes {source} -o requirements.lock",
    )


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, continued ones joined."""
    for raw in re.sub(r"[ \t]*\\\r?\n[ \t]*", " ", text).splitlines():
        line = _COMMENT.sub("", raw).strip()
        if line:
            yield line


def _toml_packages(document: dict[str, Any]) -> Iterator[LockedPackage]:
    """`[[packages]]` of pylock.toml, `[[package]]` of uv.lock."""
    entries = document.get("packages", document.get("package", []))
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            wheels = entry.get("wheels", [])
            found = (_wheel_hash(wheel) for wheel in wheels if isinstance(wheel, dict))
            yield LockedPackage(entry["name"], str(entry.get("version", "")), tuple(one for one in found if one))


def _wheel_hash(wheel: dict[str, Any]) -> str:
    if isinstance(wheel.get("hash"), str):
        return str(wheel["hash"])
    hashes = wheel.get("hashes")
    return f"sha256:{hashes['sha256']}" if isinstance(hashes, dict) and "sha256" in hashes else ""
