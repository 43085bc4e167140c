"""A prebuilt program as a service: which file it is on a platform, and whether it can run on its base.

An executable that starts on the build machine tells nothing about the image: the wrong processor ends in `exec format
error`, a dynamic program without its loader in `no such file or directory` for a file that is there. Both are told
before anything is built, from the program's own header.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from towpath.blueprint.model import DEFAULT_BASE, SCRATCH_BASE, Service
from towpath.build.elf import ElfError, Program, is_elf, read_program
from towpath.build.entries import BuildError
from towpath.oci.platform import Platform

_PLACEHOLDERS = re.compile(r"\{(os|arch|variant)\}")


def program_of(service: Service, platform: Platform) -> str:
    """The program's path for a platform, relative to the service's directory."""
    values = {"os": platform.os, "arch": platform.architecture, "variant": platform.variant}
    return _PLACEHOLDERS.sub(lambda match: values[match[1]], service.binary)


def other_programs(service: Service, platform: Platform, names: Iterable[str]) -> frozenset[str]:
    """The same program for other platforms: what this platform's image does without."""
    if not _PLACEHOLDERS.search(service.binary):
        return frozenset()
    parts = _PLACEHOLDERS.split(service.binary)
    # Every second part is a placeholder's name.
    pattern = "".join(re.escape(part) if index % 2 == 0 else "[a-z0-9]*" for index, part in enumerate(parts))
    mine = program_of(service, platform)
    return frozenset(name for name in names if name != mine and re.fullmatch(pattern, name))


def check_program(
    service: Service, platform: Platform, path: Path, *, shown: str, libraries: frozenset[str] | None
) -> None:
    """Refuse a program that could not start. Blocks.

    Args:
        service: from the blueprint.
        platform: what the image is for.
        path: the program.
        shown: what to call it.
        libraries: the names of the files the base has; None when nobody knows.

    Raises:
        BuildError: it is missing, no program, for another processor, or lacks libraries.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BuildError(
            f"program {shown} cannot be read (BinaryMissing): {error.strerror or error}",
            hint="build it and commit it: an image is made of what the commit has",
        ) from error
    if not is_elf(content):
        _check_script(service, content, shown)
        return
    try:
        program = read_program(content)
    except ElfError as error:
        raise BuildError(
            f"program {shown} cannot be used (BinaryDamaged): {error.message}", hint="build it again"
        ) from error
    if program.architecture != platform.architecture:
        raise BuildError(
            f"program {shown} is for another platform (PlatformMismatch): "
            f"expected {platform.architecture}, got {program.architecture}",
            hint=f"build it for {platform}, or name one for each platform as in {service.name}-{{arch}}",
        )
    _check_libraries(service, program, shown=shown, libraries=libraries)


def _check_script(service: Service, content: bytes, shown: str) -> None:
    if content.startswith(b"#!") and service.base != SCRATCH_BASE:
        return  # its interpreter is the base's business
    kind = "a script, and base scratch has no interpreter" if content.startswith(b"#!") else "no ELF program"
    raise BuildError(
        f"program {shown} cannot be run (NotElf): it is {kind}",
        hint=f"name the program itself in services.{service.name}.binary, or a base that can run it",
    )


def _check_libraries(service: Service, program: Program, *, shown: str, libraries: frozenset[str] | None) -> None:
    wanted = [name for name in (program.loader, *program.libraries) if name]
    if libraries is None:
        return
    missing = [name for name in wanted if name.rpartition("/")[2] not in libraries]
    if missing:
        raise BuildError(
            f"program {shown} cannot start on base {service.base} (LibrariesMissing): it needs {', '.join(missing)}",
            hint=f"link it statically (CGO_ENABLED=0, or a musl target), or set services.{service.name}.base to "
            f"{DEFAULT_BASE} or an image that has them",
        )
