"""Unpacks an archive that an engine wrote into a layout; nothing in it can lead out of its directory.

An OCI archive is a tar of a layout. One without an index is Docker's own format (`engines.docker_archive`).
"""

import asyncio
import re
import shutil
import tarfile
from pathlib import Path

from towpath.build.engines import docker_archive
from towpath.build.engines.engine import EngineFailedError

_INDEX = "index.json"
# All that a layout consists of; what else an archive holds (Docker's own index of it) is of no use here.
_MEMBER = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]+)")


async def unpack_layout(archive: Path, layout: Path) -> None:
    """Unpack into an absent directory, and delete the archive. Raises EngineFailedError."""
    try:
        await asyncio.to_thread(_unpack, archive, layout)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise EngineFailedError(f"archive of the engine cannot be read (EngineFailed): {error}") from error


def _unpack(archive: Path, layout: Path) -> None:
    layout.mkdir(parents=True)
    with tarfile.open(archive, mode="r:") as members:
        if docker_archive.LISTING in members.getnames() and not {_INDEX, f"./{_INDEX}"} & set(members.getnames()):
            docker_archive.write_layout(members, layout)
        else:
            _unpack_oci(members, layout)
    archive.unlink()


def _unpack_oci(members: tarfile.TarFile, layout: Path) -> None:
    for member in members:
        named = _MEMBER.fullmatch(member.name)
        content = members.extractfile(member) if named and member.isfile() else None
        if named is None or content is None:
            continue
        target = layout / named[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
