"""Images from memory, and a small root file system of the running interpreter to put into them."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from towpath.cluster.node.registration import local_platform
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import Failure, PullCause, PullError

# Never needed by a test's workload, and most of the library's size.
_LEFT_OUT = (
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "config-3",
    "turtledemo",
)


@dataclass(frozen=True)
class FakeImage:
    """What `ImageSource.image` gives."""

    manifest: Manifest
    config: ImageConfig


@dataclass
class FakeRegistry:
    """Images by reference text; makes sources (`source` satisfies the node's `pull`)."""

    images: dict[str, FakeImage] = field(default_factory=dict)
    # Left out of the representation: a failed test would print a whole interpreter.
    blobs: dict[Digest, bytes] = field(default_factory=dict, repr=False)
    credentials: Credential | None = None  # None: everyone may pull
    heads: int = 0
    downloads: list[Digest] = field(default_factory=list)

    def add(self, text: str, layers: Sequence[bytes], config: ImageConfig | None = None) -> Digest:
        """Push an image of uncompressed layers; its digest."""
        descriptors = []
        for layer in layers:
            digest = Digest.of(layer)
            self.blobs[digest] = layer
            descriptors.append(Descriptor(media.OCI_LAYER, digest, len(layer)))
        full = replace(config or ImageConfig(local_platform()), diff_ids=tuple(entry.digest for entry in descriptors))
        raw_config = format_image_config(full)
        manifest = Manifest(Descriptor(media.OCI_CONFIG, Digest.of(raw_config), len(raw_config)), tuple(descriptors))
        raw = format_manifest(manifest)
        self.images[text] = self.images[f"{Reference.parse(text).name}@{Digest.of(raw)}"] = FakeImage(manifest, full)
        return Digest.of(raw)

    def source(self, keyring: Keyring) -> "FakeSource":
        """A source that pulls with a keyring."""
        return FakeSource(self, keyring)


@dataclass
class FakeSource:
    """Satisfies `image.store.ImageSource`."""

    registry: FakeRegistry
    keyring: Keyring

    def _find(self, reference: Reference) -> FakeImage:
        wanted = self.registry.credentials
        if wanted is not None and wanted not in self.keyring.find(reference):
            raise PullError(
                reference, Failure(PullCause.TOKEN_REFUSED, "no", status=401, anonymous=not self.keyring.entries)
            )
        pinned = f"{reference.name}@{reference.digest}"
        found = self.registry.images.get(pinned if reference.digest else f"{reference.name}:{reference.target}")
        if found is None:
            raise PullError(reference, Failure(PullCause.NOT_FOUND, "no", status=404))
        return found

    async def resolve(self, reference: Reference) -> Descriptor:
        self.registry.heads += 1
        raw = format_manifest(self._find(reference).manifest)
        return Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw))

    async def image(self, reference: Reference, platform: Platform) -> FakeImage:  # noqa: ARG002 - the port's
        return self._find(reference)

    async def blob(self, reference: Reference, descriptor: Descriptor) -> AsyncIterator[bytes]:  # noqa: ARG002
        self.registry.downloads.append(descriptor.digest)
        content = self.registry.blobs[descriptor.digest]
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    async def close(self) -> None:
        return


def make_layer(files: Mapping[str, bytes | str], *, mode: int = 0o755) -> bytes:
    """A tar with these files; a text value is the target of a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size, info.mode = len(content), mode
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_interpreter_layer() -> bytes:
    """The running interpreter with the shared libraries it needs, at the places it has here."""
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    buffer = io.BytesIO()
    added: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(path: Path) -> None:
            name = str(path).lstrip("/")
            if name not in added and path.exists():
                added.add(name)
                tar.add(path.resolve(), arcname=name)

        binaries = [program, *library.joinpath("lib-dynload").glob("*.so")]
        for shared in _shared_libraries(binaries):
            add(shared)
        add(program)
        for parent, directories, names in os.walk(library):
            directories[:] = [name for name in directories if not name.startswith(_LEFT_OUT)]
            for name in names:
                add(Path(parent, name))
        link = tarfile.TarInfo("usr/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, str(program)
        tar.addfile(link)
    return buffer.getvalue()


def _shared_libraries(binaries: Sequence[Path]) -> list[Path]:
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    output = subprocess.run([ldd, *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    words = [word for line in output.splitlines() for word in line.split() if word.startswith("/")]
    return sorted({Path(word) for word in words if not word.endswith(":")})


def digest_of(content: bytes) -> str:
    """sha256 as `algorithm:hex`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
