"""What is found in a layer, and what is said of one that cannot be read."""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from towpath.attest.components import ComponentKind
from towpath.build.cache import LayerCache
from towpath.build.inventory import Inventory, take_inventory
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest

METADATA = b"Metadata-Version: 2.1\nName: Flask\nVersion: 3.0.1\nLicense-Expression: BSD-3-Clause\n"


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    made = LayerCache(tmp_path / "cache")
    made.prepare()
    return made


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("usr/local/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
        archive.addfile(link)
    return buffer.getvalue()


def take(cache: LayerCache, content: bytes, *, kind: str = media.OCI_LAYER_GZIP, is_host: bool = False) -> Inventory:
    digest = Digest.of(content)
    cache.path(digest).write_bytes(content)
    return take_inventory(cache, Descriptor(kind, digest, len(content)), cache.path(digest), is_host=is_host)


def test_python_distributions_are_found_wherever_they_stand(cache: LayerCache) -> None:
    files = {
        "app/main.py": b"print()",
        "./app/lib/flask-3.0.1.dist-info/METADATA": METADATA,
        "usr/lib/python3/dist-packages/broken-1.dist-info/METADATA": b"nothing",
    }
    (found,) = take(cache, gzip.compress(tar_of(files))).components
    assert (found.kind, found.name, found.version) == (ComponentKind.LIBRARY, "Flask", "3.0.1")
    assert found.purl == "pkg:pypi/flask@3.0.1"
    assert found.license == "BSD-3-Clause"
    assert found.notes == {"path": "app/lib/flask-3.0.1.dist-info"}


def test_packages_of_the_system_are_found_with_its_name(cache: LayerCache) -> None:
    files = {
        "etc/os-release": b"ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nVersion: 2.36\n",
        "var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 2024a\n",
        "var/lib/dpkg/status.d/tzdata.md5sums": b"Package: not-one\nVersion: 1\n",
        "lib/apk/db/installed": b"P:musl\nV:1.2.5\n",
    }
    found = take(cache, gzip.compress(tar_of(files)))
    assert found.distribution == "debian-12"
    assert sorted(one.name for one in found.components) == ["libc6", "musl", "tzdata"]


def test_the_parts_of_the_base_host_are_named_by_their_bytes(cache: LayerCache) -> None:
    library = b"\x7fELF a library"
    files = {
        "usr/local/bin/python3.11": b"\x7fELF\0junk\x003.11.7\0more",
        "usr/lib/x86_64-linux-gnu/libssl.so.3": library,
        "usr/local/lib/python3.11/lib-dynload/_ssl.so": b"part of the interpreter",
        "usr/local/lib/python3.11/os.py": b"",
    }
    content = gzip.compress(tar_of(files))
    interpreter, ssl = take(cache, content, is_host=True).components
    assert (interpreter.kind, interpreter.name, interpreter.version) == (ComponentKind.PLATFORM, "python", "3.11.7")
    assert interpreter.purl == "pkg:generic/python@3.11.7"
    assert (ssl.name, ssl.hashes) == ("libssl.so.3", (f"sha256:{hashlib.sha256(library).hexdigest()}",))
    assert take(cache, content, is_host=False).components == []


def test_the_running_interpreter_states_its_full_version(cache: LayerCache) -> None:
    program = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    name = f"usr/local/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    files = {name: program.read_bytes()}
    for library in program.parent.parent.glob(f"lib/libpython{sys.version_info.major}.*.so.*"):
        files[f"usr/lib/{library.name}"] = library.read_bytes()
    found = take(cache, gzip.compress(tar_of(files), 1), is_host=True).components
    assert sys.version.partition(" ")[0] in {one.version for one in found}


def test_a_layer_is_looked_into_once(cache: LayerCache) -> None:
    content = gzip.compress(tar_of({"x-1.dist-info/METADATA": METADATA}))
    first = take(cache, content)
    descriptor = Descriptor(media.OCI_LAYER_GZIP, Digest.of(content), len(content))
    again = take_inventory(cache, descriptor, Path("/nowhere"), is_host=False)
    assert again == first


def test_an_uncompressed_layer_is_read(cache: LayerCache) -> None:
    found = take(cache, tar_of({"x-1.dist-info/METADATA": METADATA}), kind=media.OCI_LAYER)
    assert [one.name for one in found.components] == ["Flask"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x28\xb5\x2f\xfd zstd", media.OCI_LAYER_ZSTD),
        (b"no gzip", media.OCI_LAYER_GZIP),
        (gzip.compress(tar_of({"a": b"b" * 100_000}))[:-200], media.OCI_LAYER_GZIP),
        (b"no tar at all" * 100, media.OCI_LAYER),
        (b"anything", "application/vnd.example"),
    ],
)
def test_a_layer_that_cannot_be_read_is_said_to_be(cache: LayerCache, content: bytes, kind: str) -> None:
    found = take(cache, content, kind=kind)
    assert (found.readable, found.components) == (False, [])


def test_an_unreadable_record_is_made_again(cache: LayerCache) -> None:
    content = gzip.compress(tar_of({"x-1.dist-info/METADATA": METADATA}))
    first = take(cache, content)
    for record in (cache.blobs.parent / "records").iterdir():
        record.write_text('{"components": [{"kind": "nonsense"}], "distribution": ""}')
    assert take(cache, content) == first
