"""What the blueprint says of a service that is built from a Dockerfile. Pure.

A Dockerfile decides itself on base, user and packages, so the keys for those are refused beside it. Secrets are named
here and never given: their files stand on the machine that builds (docs/blueprint.md).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from towpath.blueprint.document import Entries, did_you_mean
from towpath.blueprint.model import DEFAULT_ENGINE, ENGINES

DOCKERFILE_KEYS = ("dockerfile", "target", "build_args", "secrets", "engine")
_REFUSED_BESIDE = ("base", "user", "requirements", "static", "into", "binary")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class DockerfileKeys:
    """The five keys, as `model.Service` has them."""

    dockerfile: str = ""
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    engine: str = DEFAULT_ENGINE


def read_dockerfile(entry: Entries, find_file: Callable[[str], str]) -> DockerfileKeys:
    """The keys of a Dockerfile; problems are reported.

    Args:
        entry: the service's.
        find_file: reads a key that names a file below the service's directory.
    """
    dockerfile = find_file("dockerfile")
    if dockerfile:
        for key in _REFUSED_BESIDE:
            if key in entry.entries:
                entry.report(key, "cannot be given beside dockerfile", hint="the Dockerfile says it")
    arguments = entry.pairs("build_args")
    for name in arguments:
        if not _ARGUMENT.fullmatch(name):
            entry.mapping("build_args").report(name, "is not an argument's name: letters, digits and underscores")
    return DockerfileKeys(dockerfile, _target(entry), arguments, _secrets(entry), _engine(entry))


def _target(entry: Entries) -> str:
    value = entry.text("target", "")
    if value and not _STAGE.fullmatch(value):
        entry.report("target", f"got {value}, expected the name of a stage")
    return value


def _secrets(entry: Entries) -> tuple[str, ...]:
    names = entry.texts("secrets")
    for name in names:
        if not _SECRET.fullmatch(name):
            entry.report("secrets", f"got {name}, expected names: letters, digits, dots, hyphens and underscores")
    return names


def _engine(entry: Entries) -> str:
    value = entry.text("engine", DEFAULT_ENGINE)
    if value not in ENGINES:
        entry.report("engine", f"got {value}, expected one of {', '.join(ENGINES)}", hint=did_you_mean(value, ENGINES))
    return value
