"""The layer of a Python service's packages: installed from its lock by uv, once for a lock, a Python and a platform.

    /opt/dependencies        what is imported; on PYTHONPATH
    /opt/dependencies/bin    their console scripts; on PATH, started by the image's own Python

Rules: hashes are enforced, and only wheels are taken, on every platform: nothing that a package brings runs while an
image is built. What installers write about themselves is left out, so that the layer is a function of the lock. On
the base `host` the modules get byte code of that very interpreter, with unchecked hashes; on other bases none, for its
bytes would depend on the machine that builds.

An unchanged lock costs one look into the cache, whatever the network does.
"""

import asyncio
import hashlib
import importlib
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.aio.process import Completed, run
from towpath.build.base_contents import BaseContents
from towpath.build.cache import Layer, LayerCache, cache_errors
from towpath.build.compression import compressor_name
from towpath.build.entries import BuildError
from towpath.build.image import Base, LockedPackage
from towpath.build.installed import Installed, read_installed
from towpath.build.layer import write_layer
from towpath.build.lockfiles import UV_LOCK, Lock
from towpath.build.rules import PACKAGE_RULES
from towpath.build.uv_errors import explain_failure
from towpath.errors import UserError
from towpath.oci.platform import Platform

# A quarter of an hour: a gigabyte of machine learning over a slow line.
_TIMEOUT_SECONDS = 900.0
_OUTPUT_BYTES = 1 << 20
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
# glibc 2.28: what wheels are built for today, and older than any base with a supported Python.
_PLATFORMS = {"gnu": "{machine}-manylinux_2_28", "musl": "{machine}-unknown-linux-musl"}
# What uv may know of our environment: the way to the packages, and nothing of a virtual environment.
_PASSED_ON = (
    "PATH",
    "HOME",
    "TMPDIR",
    "NETRC",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_TIMEOUT",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    *(name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What packages are installed for.

    Attributes:
        base: what the layer goes upon.
        contents: what the base has.
        platform: what the image is for.
        compiler: the interpreter that the base is made of, for byte code; None for other bases.
    """

    base: Base
    contents: BaseContents
    platform: Platform
    compiler: Path | None = None


@dataclass(frozen=True, slots=True)
class DependencyLayer:
    """Installed packages as a layer.

    Attributes:
        layer: the layer.
        cached: whether it was there already.
        packages: what was installed.
        scripts: the names of the console scripts.
        missing: shared libraries that neither the packages nor the base have.
    """

    layer: Layer
    cached: bool
    packages: tuple[LockedPackage, ...]
    scripts: frozenset[str]
    missing: tuple[str, ...] = ()


class Dependencies:
    """Makes dependency layers in a cache."""

    def __init__(self, cache: LayerCache, environ: Mapping[str, str]) -> None:
        self._cache = cache
        self._environ = {name: environ[name] for name in _PASSED_ON if name in environ}
        # pip's way to name a mirror, for machines that are set up for pip.
        if "PIP_INDEX_URL" in environ and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & self._environ.keys():
            self._environ["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def install(self, lock: Lock, context: Path, target: Target) -> DependencyLayer:
        """The layer of a lock's packages.

        Args:
            lock: what to install.
            context: the service's directory, for wheels that the lock finds beside itself.
            target: what they are for.

        Raises:
            BuildError: the base has no Python, or the packages do not fit it.
            PackagesUnavailableError: the index cannot be reached.
            PackageCorruptError: a file is not the one its hash names.
            CacheError: no space, or no permission.
        """
        key = _key(lock, target)
        # Services that share a lock share its layer: one installs, the others wait for it.
        async with self._locks[key]:
            layer = await asyncio.to_thread(self._cache.find, key)
            if layer is not None:
                return _recall(layer, self._cache.find_record(key), target)
            return await self._install(lock, context, target, key)

    async def _install(self, lock: Lock, context: Path, target: Target, key: str) -> DependencyLayer:
        with self._cache.staging() as staging:
            tree = staging / "installed"
            requirements = context / lock.name
            if requirements.name == UV_LOCK:
                requirements = await self._export(requirements.parent, staging / "requirements.txt")
            options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--link-mode", "copy"]
            chosen = ["--python-version", target.contents.version, "--python-platform", _uv_platform(target)]
            argv = ["pip", "install", *options, "--python", sys.executable, *chosen, "--target", str(tree)]
            argv += ["--requirements", str(requirements)]
            done = await self._uv(argv, cwd=context)
            if done.returncode != 0:
                raise explain_failure(lock.name, done.stderr.decode(errors="replace"))
            installed, layer = await asyncio.to_thread(self._write, tree, staging, target)
        packages = _with_hashes(installed.packages, lock)
        self._cache.put(
            key,
            layer,
            packages=[[one.name, one.version, list(one.hashes)] for one in packages],
            scripts=sorted(installed.scripts),
            needs=sorted(installed.needs),
        )
        missing = tuple(sorted(installed.needs - target.contents.libraries))
        return DependencyLayer(layer, cached=False, packages=packages, scripts=installed.scripts, missing=missing)

    def _write(self, tree: Path, staging: Path, target: Target) -> tuple[Installed, Layer]:
        """Blocks."""
        tree.mkdir(exist_ok=True)  # a lock whose packages are all for other platforms installs nothing
        installed = read_installed(tree, python=target.contents.python, compiler=target.compiler, staging=staging)
        with cache_errors(self._cache.blobs):
            return installed, write_layer(installed.entries, self._cache.blobs)

    async def _export(self, project: Path, destination: Path) -> Path:
        """Pip's form of a `uv.lock`."""
        argv = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", str(destination)]
        done = await self._uv([*argv, "--python", sys.executable, "--no-python-downloads"], cwd=project)
        if done.returncode != 0:
            raise explain_failure(UV_LOCK, done.stderr.decode(errors="replace"))
        return destination

    async def _uv(self, argv: list[str], *, cwd: Path) -> Completed:
        environ = {**self._environ, "LC_ALL": "C", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
        cache = ["--cache-dir", str(self._cache.blobs.parent / "packages")]
        return await run(
            [find_uv(), *argv, *cache],
            cwd=cwd,
            env=environ,
            timeout_seconds=_TIMEOUT_SECONDS,
            most_output_bytes=_OUTPUT_BYTES,
        )


def find_uv() -> Path:
    """The uv program that was installed with Towpath, or else one on PATH. Raises UserError."""
    beside = Path(sys.executable).parent / "uv"
    try:
        found: str | None = importlib.import_module("uv").find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise UserError("uv could not be started (NotInstalled): packages are installed by it", hint="pip install uv")
    return Path(os.fspath(found))


def _key(lock: Lock, target: Target) -> str:
    contents = target.contents
    if not contents.python:
        raise BuildError(
            f"packages of {lock.name} cannot be installed on base {target.base.name} (NoPython): it has no python3",
            hint="name an image with Python as the base, or set requirements to false",
        )
    content = hashlib.sha256(lock.content).hexdigest()
    # Byte code belongs to one build of the interpreter, which is what the layer of `host` is.
    code = str(target.base.layers[0].descriptor.digest) if target.compiler else "none"
    place = f"{contents.python} {_uv_platform(target)}"
    return f"dependencies {PACKAGE_RULES} {compressor_name()} {lock.name} {content} {place} bytecode {code}"


def _uv_platform(target: Target) -> str:
    machine = _ARCHITECTURES.get(target.platform.architecture)
    form = _PLATFORMS.get(target.contents.libc)
    if machine is None or form is None:
        raise BuildError(
            f"packages cannot be installed for {target.platform} on base {target.base.name} (PlatformUnsupported): "
            f"its C library is {target.contents.libc or 'unknown'}",
            hint="wheels are chosen for glibc or musl on amd64 or arm64; use a base that has the packages, "
            "and set requirements to false",
        )
    return form.format(machine=machine)


def _with_hashes(installed: tuple[LockedPackage, ...], lock: Lock) -> tuple[LockedPackage, ...]:
    known = {_normal(package.name): package.hashes for package in lock.packages}
    return tuple(LockedPackage(one.name, one.version, known.get(_normal(one.name), ())) for one in installed)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _recall(layer: Layer, document: Mapping[str, Any], target: Target) -> DependencyLayer:
    packages, scripts = document.get("packages"), document.get("scripts")
    known = [LockedPackage(name, version, tuple(hashes)) for name, version, hashes in packages or []]
    missing = sorted(set(document.get("needs") or []) - target.contents.libraries)
    names = frozenset(scripts or [])
    return DependencyLayer(layer, cached=True, packages=tuple(known), scripts=names, missing=tuple(missing))
