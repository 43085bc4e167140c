"""Keys on disk: a pair in `.towpath/keys`, and the public keys of others that are trusted beside it.

    keys/attest.key     the private key, readable by its owner alone (0600), encrypted if a password was given
    keys/attest.pub     its public half, to be given away
    keys/<other>.pub    whoever else's attestations are believed here

A password comes from the environment or from a file that it names, never from the command line. An existing key is
never overwritten: whoever loses a private key loses the word of every image it signed.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from towpath.attest.errors import KeyFileError
from towpath.attest.keys import PrivateKey, PublicKey, parse_private_key, parse_public_keys
from towpath.errors import ConflictError

KEYS_DIRECTORY = "keys"
PRIVATE_KEY = "attest.key"
PUBLIC_SUFFIX = ".pub"
PASSWORD_VARIABLE = "TOWPATH_KEY_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_FILE_VARIABLE = "TOWPATH_KEY_PASSWORD_FILE"  # noqa: S105 - the name of a variable
# A key is some hundred bytes; a megabyte is a mistake.
LARGEST_BYTES = 1 << 20
_NO_KEY = "name another file; towpath keys create makes a pair"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a pair stands."""

    private: Path
    public: Path


def write_pair(directory: Path, key: PrivateKey, *, name: str, password: bytes | None) -> KeyPair:
    """Write a pair, as `<name>.key` and `<name>.pub`; the directory is made when missing.

    Raises:
        ConflictError: there is one already.
        KeyFileError: no space, or no permission.
    """
    pair = KeyPair(directory / f"{name}.key", directory / f"{name}{PUBLIC_SUFFIX}")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(pair.private, key.to_pem(password), 0o600)
        try:
            _create(pair.public, key.public.to_pem(), 0o644)
        except OSError:
            pair.private.unlink(missing_ok=True)  # half a pair would stand in the way of the next attempt
            raise
    except FileExistsError as error:
        raise ConflictError(
            f"key {error.filename} was not written (Exists): there is one already",
            hint="use it, or move it away first; what it signed can only be verified with its public half",
        ) from error
    except OSError as error:
        raise _unusable(directory, "written", error) from error
    return pair


def read_signer(path: Path, environ: Mapping[str, str]) -> PrivateKey:
    """The private key in a file. Raises KeyFileError, also when everybody may read it or others may replace it."""
    _check_kept(path)
    return parse_private_key(_read(path), name=str(path), password=read_password(environ))


def find_signer(keys: Path, environ: Mapping[str, str]) -> PrivateKey | None:
    """The platform's own private key, if it has one. Raises KeyFileError when it cannot be used."""
    path = keys / PRIVATE_KEY
    return read_signer(path, environ) if path.exists() else None


def read_trusted(path: Path) -> tuple[PublicKey, ...]:
    """The public keys in a file. Raises KeyFileError."""
    return parse_public_keys(_read(path), name=str(path))


def find_trusted(keys: Path) -> tuple[PublicKey, ...]:
    """Every public key that the platform trusts. Raises KeyFileError when one cannot be read."""
    files = sorted(path for path in keys.glob(f"*{PUBLIC_SUFFIX}")) if keys.is_dir() else []
    return tuple(key for path in files for key in read_trusted(path))


def read_password(environ: Mapping[str, str]) -> bytes | None:
    """The password of the private key, if one is given. Raises KeyFileError."""
    if PASSWORD_VARIABLE in environ:
        return environ[PASSWORD_VARIABLE].encode() or None
    file = environ.get(PASSWORD_FILE_VARIABLE, "")
    return _read(Path(file)).rstrip(b"\r\n") or None if file else None


def _create(path: Path, content: bytes, mode: int) -> None:
    """Write a new file, on disk when this returns; never through a link, never over another."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check_kept(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unusable(path, "read", error) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):  # a group may read: volumes of secrets are mounted that way
        raise KeyFileError(f"key {path} is not kept (KeyOpen): others may read or write it", hint=f"chmod 600 {path}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise _unusable(path, "read", error) from error
    if len(content) > LARGEST_BYTES:
        raise KeyFileError(
            f"{path} cannot be read (TooLarge): more than {LARGEST_BYTES} bytes are no key", hint=_NO_KEY
        )
    return content


def _unusable(path: Path, verb: str, error: OSError) -> KeyFileError:
    step = (
        "name a file that you may read; towpath keys create makes a pair"
        if verb == "read"
        else "free space, or name a directory that you may write to"
    )
    return KeyFileError(f"{path} cannot be {verb} (KeyFile): {error.strerror or error}", hint=step)
