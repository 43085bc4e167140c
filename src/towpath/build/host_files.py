"""What of the host goes into the base `host`: the running interpreter, its standard library, the libraries they need.

    /usr/local/bin/python3        the interpreter, with python3 and python as links to it
    /usr/local/lib/python3.X      the standard library: sources, byte code, extension modules
    the loader's own path         as the interpreter names it
    where libc stands             every shared library: the one directory that a loader searches without being told;
                                  those that wheels expect of any system among them
    /etc                          passwd and group with root and nonroot, nsswitch.conf, hosts, certificates

Left out: test suites, IDLE and Tk, 2to3, distutils, pip's and venv's bootstrap, site-packages, documentation data, and
the modules that only talk to a terminal or to NIS. There is no shell and no time-zone data.

The libraries are found by the host's own loader (`--list`), with all extension modules preloaded: one process
instead of one for each.
"""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from towpath.build.elf import find_loader
from towpath.build.entries import BuildError, Entry, directory, made_file, symlink
from towpath.errors import RemoteError

PREFIX = "usr/local"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"

_LEFT_OUT_DIRECTORIES = frozenset(
    {
        "__pycache__",
        "distutils",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "idle_test",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
        "venv",
        "curses",
    }
)
_LEFT_OUT_MODULES = re.compile(r"(_test|xx|_xxtest|_tkinter|_curses|readline|nis\.|ossaudiodev|_ctypes_test)")
_LEFT_OUT_FILES = frozenset({"turtle.py", "LICENSE.txt", "EXTERNALLY-MANAGED", "sitecustomize.py"})
# Opened by glibc at run time by name, so that no file lists them as needed: name resolution, and thread cancellation.
_OPENED_BY_LIBC = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")
# PEP 600: what every wheel for glibc may expect of a system, as far as it has no display.
_EXPECTED_BY_WHEELS = (
    "libstdc++.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libexpat.so.1",
    "libz.so.1",
)
_LISTED = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/\S+)")
_LIST_TIMEOUT_SECONDS = 30
_CERTIFICATE_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
_GROUP = b"root:x:0:\nnonroot:x:65532:\n"
_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\n"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python installation on this host.

    Attributes:
        executable: the program itself, not a virtual environment's link to it.
        stdlib: the directory of `os.py`.
        version: as in `3.11`.
    """

    executable: Path
    stdlib: Path
    version: str

    @classmethod
    def running(cls) -> "Interpreter":
        """The interpreter that runs this program.

        Raises:
            BuildError: this is no Linux, or the interpreter hides where it is.
        """
        executable = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
        if sys.platform != "linux" or not executable.is_file():
            raise BuildError(
                f"base host cannot be made (NoInterpreter): on {sys.platform}, from {executable}",
                hint="name an image as the service's base in towpath.yaml",
            )
        return cls(executable, Path(os.__file__).resolve().parent, f"{sys.version_info.major}.{sys.version_info.minor}")


@dataclass(frozen=True, slots=True)
class HostFile:
    """A host's file and its place in the image. `executable` files get mode 0755; `binary` ones lose debug sections."""

    path: str
    source: Path
    executable: bool = False
    binary: bool = False


def find_files(interpreter: Interpreter) -> list[HostFile]:
    """Every host file of the base: interpreter, libraries, standard library, certificates.

    Raises:
        BuildError: the interpreter is no dynamic ELF program, or lacks a library itself.
    """
    library = f"{PREFIX}/{sys.platlibdir}/python{interpreter.version}"
    files = [_binary(f"{PREFIX}/bin/python{interpreter.version}", interpreter.executable)]
    stdlib = list(_stdlib_files(interpreter.stdlib, library))
    files += stdlib
    files += _libraries(interpreter.executable, [file.source for file in stdlib if file.binary])
    bundle = find_certificates()
    if bundle is not None:
        files.append(HostFile(CERTIFICATES, bundle))
    return files


def made_entries(interpreter: Interpreter) -> list[Entry]:
    """What no host file gives: accounts, name service, directories, the interpreter's other names."""
    program = f"python{interpreter.version}"
    return [
        symlink(f"{PREFIX}/bin/python3", program),
        symlink(f"{PREFIX}/bin/python", program),
        made_file("etc/passwd", _PASSWD),
        made_file("etc/group", _GROUP),
        made_file("etc/nsswitch.conf", _NSSWITCH),
        directory("app"),
        directory("home/nonroot"),
        directory("root"),
        directory("proc"),
        directory("dev"),
        directory("sys"),
        directory("run"),
        directory("tmp", 0o1777),
        directory("var/tmp", 0o1777),
    ]


def find_certificates() -> Path | None:
    """The host's bundle of trusted certificate authorities, if it has one; a link to it is followed."""
    default = ssl.get_default_verify_paths()
    candidates = (default.cafile, default.openssl_cafile, *_CERTIFICATE_FILES)
    return next((Path(name).resolve() for name in candidates if name and Path(name).is_file()), None)


def _stdlib_files(directory_: Path, prefix: str) -> Iterator[HostFile]:
    """The files below a directory, which is given without links."""
    with os.scandir(directory_) as scan:
        items = sorted(scan, key=lambda item: item.name)
    for item in items:
        path = f"{prefix}/{item.name}"
        if item.is_dir():
            if item.name not in _LEFT_OUT_DIRECTORIES and not item.name.startswith("config-"):
                yield from _stdlib_files(_followed(item), path)
        elif item.name.endswith(".so"):
            if not _LEFT_OUT_MODULES.match(item.name):
                yield _binary(path, _followed(item))
        elif item.name not in _LEFT_OUT_FILES and not item.name.endswith((".pyc", ".exe")):
            yield HostFile(path, _followed(item))


def _followed(item: os.DirEntry[str]) -> Path:
    # Links only: to resolve a path asks for each of its directories, and there are six hundred files.
    return Path(item.path).resolve() if item.is_symlink() else Path(item.path)


def _libraries(executable: Path, modules: list[Path]) -> Iterator[HostFile]:
    loader = find_loader(executable.read_bytes())
    if loader is None:
        return  # a static interpreter needs nothing
    yield HostFile(loader.lstrip("/"), Path(loader).resolve(), executable=True)
    found = _list_libraries(Path(loader), executable, modules)
    libc = found.get("libc.so.6")
    home = (libc.parent if libc else Path(loader).parent).as_posix().lstrip("/")
    for name in (*_OPENED_BY_LIBC, *_EXPECTED_BY_WHEELS):
        beside = Path("/") / home / name
        if name not in found and beside.is_file():
            found[name] = beside
    for name, path in sorted(found.items()):
        # musl lists its loader as the C library; it has its place already.
        if path.resolve() != Path(loader).resolve():
            yield _binary(f"{home}/{name}", path.resolve())


def _list_libraries(loader: Path, executable: Path, modules: list[Path]) -> dict[str, Path]:
    # Relative paths: the loader takes blanks and colons in this list for separators, whatever stands in a home's path.
    home = modules[0].parent if modules else executable.parent
    names = [f"./{os.path.relpath(module, home)}" for module in modules]
    try:
        listing = subprocess.run(
            [loader, "--list", executable],
            cwd=home,
            env={**os.environ, "LD_PRELOAD": ":".join(names)},
            check=True,
            capture_output=True,
            timeout=_LIST_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RemoteError(f"libraries of {executable} cannot be listed (LoaderFailed): {error}") from error
    matches = (_LISTED.match(line) for line in listing.stdout.decode(errors="replace").splitlines())
    return {match["name"]: Path(match["path"]) for match in matches if match and "/" not in match["name"]}


def _binary(path: str, source: Path) -> HostFile:
    return HostFile(path, source, executable=True, binary=True)
