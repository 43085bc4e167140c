"""Wheels made by hand, and lock files that find them beside themselves: packages without any index."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PURE = "py3-none-any"


def write_wheel(
    directory: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, str | bytes] | Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    tag: str = PURE,
) -> str:
    """Write a wheel; its hash as locks have it, `sha256:<hex>`."""
    information = f"{name}-{version}.dist-info"
    contents: dict[str, str | bytes] = dict(files or {f"{name}.py": f"NAME = {name!r}\nVERSION = {version!r}\n"})
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    contents[f"{information}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}"
    contents[f"{information}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: {tag}\n"
    if scripts:
        lines = "".join(f"{script} = {target}\n" for script, target in scripts.items())
        contents[f"{information}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    raw = {path: content.encode() if isinstance(content, str) else content for path, content in contents.items()}
    record = [f"{path},sha256={_record_hash(content)},{len(content)}" for path, content in raw.items()]
    raw[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,\n"]).encode()
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in raw.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def write_lock(service: Path, pins: Mapping[str, Sequence[str]], *, name: str = "requirements.lock") -> Path:
    """Write a lock of `name==version` to hashes, for the wheels in the service's `wheels` directory."""
    lines = [f"{pin} {' '.join(f'--hash={one}' for one in hashes)}" for pin, hashes in pins.items()]
    path = service / name
    path.write_text("\n".join(["--no-index", "--find-links wheels", *lines]) + "\n")
    return path


def _record_hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
