"""The base `host` holds an interpreter that runs on its own, is made once, and follows the host."""

import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from towpath.build.cache import LayerCache
from towpath.build.entries import BuildError
from towpath.build.host_base import host_platform, prepare_host_base
from towpath.build.host_files import Interpreter, find_certificates, find_files
from towpath.build.image import Base
from towpath.oci.platform import Platform


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LayerCache:
    cache = LayerCache(tmp_path_factory.mktemp("cache"))
    cache.prepare()
    return cache


@pytest.fixture(scope="module")
def base(cache: LayerCache) -> Base:
    return prepare_host_base(cache, Interpreter.running(), host_platform())


@pytest.fixture(scope="module")
def root(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("root")
    with tarfile.open(base.layers[0].path) as archive:
        archive.extractall(directory, filter="fully_trusted")  # noqa: S202 - a layer made above
    return directory


def run_in(root: Path, program: str) -> str:
    """Run Python with nothing but the base's files: its own loader, libraries and standard library."""
    loader = next(path for path in root.rglob("ld-*") if path.is_file())
    libraries = {path.parent for path in root.rglob("libc.*") if ".so" in path.name} or {loader.parent}
    python = root / "usr/local/bin/python3"
    argv: list[str | Path] = [loader, "--library-path", ":".join(map(str, libraries)), python, "-c", program]
    environment = {"PYTHONHOME": str(root / "usr/local")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_interpreter_runs_with_its_own_loader_and_libraries(root: Path) -> None:
    mapped = run_in(root, "print(open('/proc/self/maps').read())")

    libraries = {line.split()[-1] for line in mapped.splitlines() if ".so" in line}
    assert any("libc" in name for name in libraries)
    assert [name for name in libraries if not name.startswith(str(root))] == []


def test_the_modules_a_service_needs_can_be_imported(root: Path) -> None:
    modules = (
        "asyncio, bz2, ctypes, decimal, hashlib, http.server, json, lzma, sqlite3, ssl, uuid, xml.etree.ElementTree"
    )

    assert run_in(root, f"import {modules}; print(ssl.OPENSSL_VERSION != '')") == "True"


def test_byte_code_is_used_as_it_stands(root: Path) -> None:
    program = "import json; print(json.__cached__, __import__('os').path.exists(json.__cached__))"

    assert run_in(root, program).endswith("True")


def test_tests_packages_and_terminal_modules_are_left_out(root: Path) -> None:
    names = {path.name for path in root.rglob("*")}

    assert names.isdisjoint({"site-packages", "idlelib", "ensurepip", "tkinter", "lib2to3", "test_support.py"})
    assert not [name for name in names if name.startswith(("_test", "_tkinter", "readline"))]


def test_accounts_and_a_temporary_directory_are_there(root: Path) -> None:
    assert "nonroot:x:65532:65532:" in (root / "etc/passwd").read_text()
    assert "nonroot:x:65532:" in (root / "etc/group").read_text()
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "usr/local/bin/python").is_symlink()


def test_the_layer_is_small_enough_to_pull_without_notice(base: Base) -> None:
    assert base.layers[0].descriptor.size < 25_000_000


def test_an_unchanged_host_gives_the_layer_from_the_cache(cache: LayerCache, base: Base) -> None:
    before = base.layers[0].path.stat().st_ino

    assert prepare_host_base(cache, Interpreter.running(), host_platform()) == base
    assert base.layers[0].path.stat().st_ino == before


def test_another_cache_gets_the_same_layer(base: Base, tmp_path: Path) -> None:
    other = LayerCache(tmp_path)
    other.prepare()

    assert prepare_host_base(other, Interpreter.running(), host_platform()).config.diff_ids == base.config.diff_ids


def test_a_changed_library_gives_another_base(tmp_path: Path) -> None:
    running = Interpreter.running()
    stdlib = tmp_path / "python"
    stdlib.mkdir()
    shutil.copyfile(running.stdlib / "os.py", stdlib / "os.py")
    small = replace(running, stdlib=stdlib)
    cache = LayerCache(tmp_path / "cache")
    cache.prepare()
    before = prepare_host_base(cache, small, host_platform())
    (stdlib / "os.py").write_text("patched = True\n")
    os.utime(stdlib / "os.py", (1, 1))

    assert prepare_host_base(cache, small, host_platform()).config.diff_ids != before.config.diff_ids


def test_two_files_never_claim_one_place() -> None:
    paths = [file.path for file in find_files(Interpreter.running())]

    assert len(paths) == len(set(paths))


def test_another_platform_is_refused_with_the_next_step(cache: LayerCache) -> None:
    with pytest.raises(BuildError, match="PlatformMismatch") as caught:
        prepare_host_base(cache, Interpreter.running(), Platform("linux", "s390x"))

    assert "base" in caught.value.hint


def test_a_bundle_of_certificates_that_is_named_by_a_link_is_found_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    (tmp_path / "cert.pem").symlink_to(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))  # what OpenSSL itself looks at first

    assert find_certificates() == bundle.resolve()
