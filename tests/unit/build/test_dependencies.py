"""Packages from a lock, by the real uv and without an outside index: what is installed, refused and remembered."""

import asyncio
import gzip
import http.server
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fakes.elf import elf
from fakes.wheels import write_lock, write_wheel
from towpath.blueprint.model import Service
from towpath.build.base_contents import BaseContents
from towpath.build.cache import LayerCache
from towpath.build.dependencies import Dependencies, DependencyLayer, Target, find_uv
from towpath.build.entries import BuildError
from towpath.build.image import Base, LayerBlob
from towpath.build.lockfiles import parse_lock
from towpath.build.uv_errors import PackageCorruptError, PackagesUnavailableError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.platform import Platform

SENSOR = Service("sensor", "services/sensor")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
CONTENTS = BaseContents(f"/usr/local/bin/python{VERSION}", VERSION, "gnu", frozenset())
BLOB = LayerBlob(Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"base"), 4), Path("/nowhere"))
FOREIGN = Target(Base("r.example/python:3", None, ImageConfig(AMD64), b"", (BLOB,)), CONTENTS, AMD64)
HOST = Target(Base("host", None, ImageConfig(AMD64), b"", (BLOB,)), CONTENTS, AMD64, Path(sys.executable))


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    cache = LayerCache(tmp_path / "cache")
    cache.prepare()
    return cache


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service with one package that has a script."""
    directory = tmp_path / "service"
    greeting = {"greet/__init__.py": "def main():\n    print('hello')\n", "greet/data.txt": "data\n"}
    digest = write_wheel(directory / "wheels", "greet", files=greeting, scripts={"greet": "greet:main"})
    write_lock(directory, {"greet==1.0": [digest]})
    return directory


async def install(cache: LayerCache, service: Path, target: Target = FOREIGN) -> DependencyLayer:
    content = (service / "requirements.lock").read_bytes()
    lock = parse_lock(SENSOR, "requirements.lock", content)
    return await Dependencies(cache, {"PATH": "/usr/bin:/bin"}).install(lock, service, target)


def members(cache: LayerCache, layer: DependencyLayer) -> dict[str, bytes]:
    content = gzip.decompress(cache.path(layer.layer.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name.removeprefix("opt/dependencies/"): file.read() for name, file in files.items() if file}


async def test_the_packages_are_installed_with_scripts_for_the_images_python(cache: LayerCache, service: Path) -> None:
    layer = await install(cache, service)
    files = members(cache, layer)

    assert (layer.cached, layer.scripts) == (False, frozenset({"greet"}))
    assert layer.packages[0].name == "greet"
    assert layer.packages[0].hashes[0].startswith("sha256:")
    assert files["greet/data.txt"] == b"data\n"
    assert files["bin/greet"].startswith(f"#!/usr/local/bin/python{VERSION}\n".encode())


async def test_nothing_of_the_installer_and_its_machine_is_left(cache: LayerCache, service: Path) -> None:
    files = members(cache, await install(cache, service))

    assert sorted(files) == [
        "bin/greet",
        "greet-1.0.dist-info/METADATA",
        "greet-1.0.dist-info/RECORD",
        "greet-1.0.dist-info/WHEEL",
        "greet-1.0.dist-info/entry_points.txt",
        "greet/__init__.py",
        "greet/data.txt",
    ]
    assert not any(str(service.parent).encode() in content for content in files.values())
    listed = [line.split(",")[0] for line in files["greet-1.0.dist-info/RECORD"].decode().splitlines()]
    assert listed == sorted(files)


async def test_on_the_base_of_this_interpreter_modules_have_byte_code_that_needs_no_check(
    cache: LayerCache, service: Path, tmp_path: Path
) -> None:
    files = members(cache, await install(cache, service, HOST))
    (compiled,) = (name for name in files if name.endswith(".pyc"))
    assert compiled == f"greet/__pycache__/__init__.cpython-{VERSION.replace('.', '')}.pyc"

    for name, content in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    code = "import greet; print(greet.main.__code__.co_filename)"
    argv, env = [sys.executable, "-v", "-c", code], {"PYTHONPATH": str(tmp_path / "tree")}
    ran = await asyncio.to_thread(subprocess.run, argv, env=env, capture_output=True, check=True)
    assert f"{tmp_path / 'tree' / compiled}' matches".encode() not in ran.stderr, "an unchecked hash is not compared"
    assert b"code object from" in ran.stderr
    assert str(tmp_path / "tree" / "greet").encode() in ran.stdout, "the import system puts the real place in"


async def test_libraries_that_nobody_brings_are_told_each_time(cache: LayerCache, tmp_path: Path) -> None:
    service = tmp_path / "native"
    tag = f"cp{VERSION.replace('.', '')}-abi3-manylinux_2_17_x86_64"
    modules: dict[str, str | bytes] = {
        "fast.so": elf(needed=("libc.so.6", "libown.so.1", "libX11.so.6")),
        "fast.libs/libown.so.1": elf(needed=("libc.so.6",)),
        "fast.so.txt": "no library\n",
    }
    write_lock(service, {"fast==1.0": [write_wheel(service / "wheels", "fast", files=modules, tag=tag)]})
    target = replace(FOREIGN, contents=replace(CONTENTS, libraries=frozenset({"libc.so.6"})))
    first, again = await install(cache, service, target), await install(cache, service, target)

    assert (first.missing, again.missing, again.cached) == (("libX11.so.6",), ("libX11.so.6",), True)


async def test_a_lock_in_the_standards_form_is_installed_and_enforced(cache: LayerCache, service: Path) -> None:
    wheel = next((service / "wheels").iterdir())
    text = (
        'lock-version = "1.0"\ncreated-by = "hand"\n[[packages]]\nname = "greet"\nversion = "1.0"\n'
        f'wheels = [{{name = "{wheel.name}", path = "wheels/{wheel.name}", hashes = {{sha256 = "DIGEST"}}}}]\n'
    )
    for digest in (Digest.of(wheel.read_bytes()).hex, "0" * 64):
        (service / "pylock.toml").write_text(text.replace("DIGEST", digest))
        lock = parse_lock(SENSOR, "pylock.toml", (service / "pylock.toml").read_bytes())
        installing = Dependencies(cache, {"PATH": "/usr/bin:/bin"}).install(lock, service, FOREIGN)
        if digest.strip("0"):
            assert [package.name for package in (await installing).packages] == ["greet"]
        else:
            with pytest.raises(PackageCorruptError):
                await installing


async def test_an_unchanged_lock_is_one_look_into_the_cache(cache: LayerCache, service: Path) -> None:
    first = await install(cache, service)
    for wheel in (service / "wheels").iterdir():
        wheel.unlink()
    again = await install(cache, service)

    assert again.cached
    assert replace(again, cached=False) == first


async def test_services_that_share_a_lock_install_it_once(cache: LayerCache, service: Path) -> None:
    lock = parse_lock(SENSOR, "requirements.lock", (service / "requirements.lock").read_bytes())
    dependencies = Dependencies(cache, {"PATH": "/usr/bin:/bin"})
    layers = await asyncio.gather(*(dependencies.install(lock, service, FOREIGN) for _ in range(3)))

    assert sorted(layer.cached for layer in layers) == [False, True, True]
    assert len({layer.layer.diff_id for layer in layers}) == 1


async def test_another_platform_gets_its_own_wheels(cache: LayerCache, tmp_path: Path) -> None:
    service = tmp_path / "native"
    tags = {"x86_64": f"cp{VERSION.replace('.', '')}-abi3-manylinux_2_17_x86_64"}
    tags["aarch64"] = tags["x86_64"].replace("x86_64", "aarch64")
    hashes = [
        write_wheel(service / "wheels", "fast", files={"fast.py": f"MACHINE = {machine!r}\n"}, tag=tag)
        for machine, tag in tags.items()
    ]
    write_lock(service, {"fast==1.0": hashes})

    assert b"x86_64" in members(cache, await install(cache, service))["fast.py"]
    other = await install(cache, service, replace(FOREIGN, platform=ARM64))
    assert b"aarch64" in members(cache, other)["fast.py"]


async def test_a_replaced_file_is_refused(cache: LayerCache, service: Path) -> None:
    write_lock(service, {"greet==1.0": [f"sha256:{'0' * 64}"]})

    with pytest.raises(PackageCorruptError, match="HashMismatch"):
        await install(cache, service)


async def test_a_package_that_is_needed_and_not_locked_is_refused(cache: LayerCache, tmp_path: Path) -> None:
    service = tmp_path / "incomplete"
    write_wheel(service / "wheels", "inner")
    write_lock(service, {"outer==1.0": [write_wheel(service / "wheels", "outer", requires=["inner"])]})

    with pytest.raises(BuildError, match="InstallFailed") as caught:
        await install(cache, service)
    assert "inner" in caught.value.message


async def test_a_package_without_a_wheel_is_refused_and_none_of_its_code_runs(
    cache: LayerCache, tmp_path: Path
) -> None:
    service = tmp_path / "source"
    (service / "wheels").mkdir(parents=True)
    ran = tmp_path / "ran"
    archive = service / "wheels" / "evil-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in {
            "evil-1.0/setup.py": f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='evil')\n",
            "evil-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    write_lock(service, {"evil==1.0": [str(Digest.of(archive.read_bytes()))]})

    with pytest.raises(BuildError):
        await install(cache, service)
    assert not ran.exists()


async def test_an_index_that_does_not_answer_is_the_networks_fault(cache: LayerCache, tmp_path: Path) -> None:
    service = tmp_path / "remote"
    service.mkdir()
    (service / "requirements.lock").write_text(f"x==1.0 --hash=sha256:{'0' * 64}\n")
    lock = parse_lock(SENSOR, "requirements.lock", (service / "requirements.lock").read_bytes())

    with pytest.raises(PackagesUnavailableError, match="IndexUnreachable"):
        await Dependencies(cache, {"PATH": "/usr/bin", "UV_OFFLINE": "1"}).install(lock, service, FOREIGN)


@pytest.mark.parametrize(
    ("contents", "platform", "reason"),
    [
        (replace(CONTENTS, python="", version=""), AMD64, "NoPython"),
        (replace(CONTENTS, libc=""), AMD64, "PlatformUnsupported"),
        (CONTENTS, Platform("linux", "s390x"), "PlatformUnsupported"),
    ],
)
async def test_a_base_that_no_wheel_can_be_chosen_for_is_refused(
    cache: LayerCache, service: Path, contents: BaseContents, platform: Platform, reason: str
) -> None:
    with pytest.raises(BuildError, match=reason) as caught:
        await install(cache, service, replace(FOREIGN, contents=contents, platform=platform))
    assert "requirements to false" in caught.value.hint


async def test_nothing_is_left_of_a_failed_installation(cache: LayerCache, service: Path, tmp_path: Path) -> None:
    write_lock(service, {"greet==1.0": [f"sha256:{'0' * 64}"]})
    with pytest.raises(PackageCorruptError):
        await install(cache, service)

    assert list((tmp_path / "cache" / "staging").iterdir()) == []
    assert list(cache.blobs.iterdir()) == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name for it
        del format, args


@pytest.fixture
def index(service: Path) -> Iterator[str]:
    """A package index that has the service's wheels."""
    wheels = sorted((service / "wheels").iterdir())
    page = service / "simple" / "greet" / "index.html"
    page.parent.mkdir(parents=True)
    links = (f'<a href="/wheels/{one.name}#sha256={Digest.of(one.read_bytes()).hex}">{one.name}</a>' for one in wheels)
    page.write_text("".join(links))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(service)))
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    serving.join()
    server.server_close()


async def test_a_lock_of_uv_is_exported_and_its_hashes_are_enforced(
    cache: LayerCache, service: Path, index: str
) -> None:
    project = '[project]\nname = "sensor"\nversion = "0"\nrequires-python = ">=3.8"\ndependencies = ["greet"]\n'
    (service / "pyproject.toml").write_text(project)
    environ = {"PATH": "/usr/bin:/bin", "UV_DEFAULT_INDEX": index}
    argv = [str(find_uv()), "lock", "--quiet", "--cache-dir", str(service / "cache"), "--python", sys.executable]
    await asyncio.to_thread(subprocess.run, argv, cwd=service, env=environ, check=True, capture_output=True)
    content = (service / "uv.lock").read_bytes()
    layer = await Dependencies(cache, environ).install(parse_lock(SENSOR, "uv.lock", content), service, FOREIGN)

    assert [package.name for package in layer.packages] == ["greet"]
    assert layer.packages[0].hashes

    wheel = next((service / "wheels").iterdir())
    (service / "uv.lock").write_text(content.decode().replace(Digest.of(wheel.read_bytes()).hex, "0" * 64))
    changed = parse_lock(SENSOR, "uv.lock", (service / "uv.lock").read_bytes())
    with pytest.raises(PackageCorruptError):
        await Dependencies(cache, environ).install(changed, service, FOREIGN)
