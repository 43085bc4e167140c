"""The logins to registries that a person keeps on this machine, as docker, podman and their helpers file them.

The first of these files that exists is read: the one named, `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`,
`$XDG_RUNTIME_DIR/containers/auth.json` (podman's), `~/.docker/config.json`.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from towpath.errors import RemoteError, UserError
from towpath.oci.keyring import DOCKER_HUB_KEY, Credential, Keyring
from towpath.oci.reference import DEFAULT_REGISTRY

HELPER_SECONDS = 30.0


class CredentialHelperError(RemoteError):
    """A program that keeps logins did not give one. The message never has its output: that may be a secret."""


def find_login_file(environ: Mapping[str, str], *, home: Path, named: Path | None = None) -> Path | None:
    """The file that holds the logins; None when there is none. Raises UserError when the named one is not there."""
    if named is not None:
        if not named.is_file():
            raise UserError(f"logins cannot be read (NotFound): there is no file {named}", hint="docker login, first")
        return named
    candidates = []
    if environ.get("REGISTRY_AUTH_FILE"):
        candidates.append(Path(environ["REGISTRY_AUTH_FILE"]))
    if environ.get("DOCKER_CONFIG"):
        candidates.append(Path(environ["DOCKER_CONFIG"]) / "config.json")
    if environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    candidates.append(home / ".docker" / "config.json")
    return next((path for path in candidates if path.is_file()), None)


async def read_logins(file: Path | None, registry: str) -> Keyring:
    """The logins that may fit one registry; a helper is asked for that one alone.

    Raises:
        UserError: the file cannot be read.
        CredentialHelperError: the helper that the file names for this registry failed.
    """
    if file is None:
        return Keyring()
    try:
        content = file.read_bytes()
        document = orjson.loads(content)
    except (OSError, orjson.JSONDecodeError) as error:
        raise UserError(f"logins cannot be read (BadFile): {file}: {error}", hint="docker login writes it") from error
    if not isinstance(document, dict):
        raise UserError(f"logins cannot be read (BadFile): {file}: expected an object", hint="docker login writes it")
    helper = _find_helper(document, registry)
    if helper:
        found = await _ask_helper(helper, _key(registry))
        if found is not None:
            return Keyring.of({registry: found})
    return Keyring.parse(orjson.dumps({"auths": _filled(document.get("auths", {}))}))


def _filled(auths: Any) -> Any:
    """Without the empty entries that stand for logins kept by a helper."""
    return {key: entry for key, entry in auths.items() if entry} if isinstance(auths, dict) else auths


def _find_helper(document: Mapping[str, Any], registry: str) -> str:
    helpers = document.get("credHelpers")
    own = helpers.get(registry, "") if isinstance(helpers, dict) else ""
    found = own or document.get("credsStore", "")
    # It becomes the name of a program: a path or an option must not come of it.
    return found if isinstance(found, str) and found.replace("-", "").replace("_", "").isalnum() else ""


def _key(registry: str) -> str:
    return f"https://{DOCKER_HUB_KEY}/v1/" if registry == DEFAULT_REGISTRY else registry


async def _ask_helper(helper: str, key: str) -> Credential | None:
    """What `docker-credential-<helper> get` says; None when it has no login for this registry."""
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise CredentialHelperError(
            f"{program} cannot be run (NotFound): {error.strerror}", hint="install it, or log in without a helper"
        ) from error
    try:
        async with asyncio.timeout(HELPER_SECONDS):
            output, _ = await process.communicate(key.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CredentialHelperError(f"{program} failed (TimedOut): no answer in {HELPER_SECONDS:.0f} s") from error
    if process.returncode:
        if b"credentials not found" in output:
            return None
        raise CredentialHelperError(f"{program} failed (Exit {process.returncode}) for {key}", hint="log in again")
    try:
        document = json.loads(output)
        return Credential(str(document["Username"]), str(document["Secret"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CredentialHelperError(f"{program} failed (BadAnswer) for {key}", hint="log in again") from error
