"""Who asks, kept fresh: fixed credentials, a token file that is rotated, or a plugin's short-lived ones.

Each source answers `get(refused=…)`. `refused` says that the server has just answered 401 to what `get` gave before;
a source that can do better then tries, one that cannot gives the same again and the request fails.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.aio.process import SHOWN_ERROR_CHARACTERS, ProcessError, run
from towpath.errors import UserError
from towpath.kube.errors import UnauthorizedError
from towpath.kubeclient.exec_credential import ExecCredential, format_exec_info, parse_exec_credential
from towpath.kubeclient.kubeconfig import Cluster, ExecPlugin, Target, User
from towpath.kubeclient.tls import read_client_certificate

# client-go's period: kubelets rotate a pod's token long before it expires.
TOKEN_FILE_SECONDS = 60.0
# 10: a credential is not used in its last seconds, in which a request may be under way.
EXPIRY_MARGIN_SECONDS = 10.0
PLUGIN_SECONDS = 60.0
# 1 MiB: a token and a chain of certificates are some kilobytes.
PLUGIN_OUTPUT_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries: the `Authorization` header, and the connection's client certificate (PEM)."""

    authorization: str = field(default="", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)


class CredentialSource(Protocol):
    """Where credentials come from."""

    async def get(self, *, refused: bool = False) -> Credentials:
        """Raises UnauthorizedError when there are none to be had."""
        ...


class FixedCredentials:
    """Credentials that stay."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def get(self, *, refused: bool = False) -> Credentials:
        """Always the same."""
        del refused
        return self._credentials


class TokenFile:
    """A bearer token in a file, read again every minute and after a refusal."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._read_at = 0.0

    async def get(self, *, refused: bool = False) -> Credentials:
        """The token. Raises UnauthorizedError when there never was one; a file lost later is forgiven."""
        if refused or not self._token or self._clock.monotonic() - self._read_at >= TOKEN_FILE_SECONDS:
            self._reread()
        return Credentials(f"Bearer {self._token}")

    def _reread(self) -> None:
        try:
            token = self._path.read_text().strip()
        except OSError as error:
            if self._token:
                return
            raise UnauthorizedError(f"token file {self._path} cannot be read (Unreadable): {error.strerror}") from error
        self._token, self._read_at = token or self._token, self._clock.monotonic()
        if not self._token:
            raise UnauthorizedError(f"token file {self._path} is empty (NoToken)")


class PluginCredentials:
    """What a credential plugin prints, until it expires or is refused; one run at a time."""

    def __init__(self, plugin: ExecPlugin, cluster: Cluster, *, environ: Mapping[str, str], clock: Clock) -> None:
        self._plugin = plugin
        self._environ = environ
        self._cluster = cluster
        self._clock = clock
        self._current: ExecCredential | None = None
        self._running = asyncio.Lock()

    async def get(self, *, refused: bool = False) -> Credentials:
        """The credential, fetched when needed. Raises UnauthorizedError when the plugin fails."""
        seen = self._current
        if refused or not self._is_good(seen):
            async with self._running:
                if self._current is seen:  # else another request has just fetched one
                    self._current = await self._run()
                seen = self._current
        if seen is None:
            raise AssertionError("unreachable: a run returns a credential or raises")
        return Credentials(f"Bearer {seen.token}" if seen.token else "", seen.certificate, seen.key)

    def _is_good(self, credential: ExecCredential | None) -> bool:
        if credential is None:
            return False
        return credential.expires is None or self._clock.now() < credential.expires - EXPIRY_MARGIN_SECONDS

    async def _run(self) -> ExecCredential:
        plugin = self._plugin
        info = format_exec_info(plugin, self._cluster)
        try:
            done = await run(
                [plugin.command, *plugin.args],
                cwd=Path.cwd(),
                env={**self._environ, **plugin.env, "KUBERNETES_EXEC_INFO": info},
                timeout_seconds=PLUGIN_SECONDS,
                most_output_bytes=PLUGIN_OUTPUT_LIMIT,
            )
        except (ProcessError, UserError) as error:
            raise self._fault(error.message) from error
        except OSError as error:
            raise self._fault(f"{plugin.command}: {error.strerror}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-SHOWN_ERROR_CHARACTERS:]
            raise self._fault(f"{plugin.command} ended with {done.returncode}: {said}")
        return parse_exec_credential(done.stdout, plugin)

    def _fault(self, text: str) -> UnauthorizedError:
        failure = UnauthorizedError(f"credential plugin failed (PluginFailed): {text}")
        failure.hint = self._plugin.install_hint
        return failure


def open_credentials(target: Target, *, environ: Mapping[str, str], clock: Clock) -> CredentialSource:
    """The source a target's user asks for; a plugin gets `environ`. Raises KubeconfigError for a bad certificate."""
    user = target.user
    certificate, key = read_client_certificate(user)
    if user.exec is not None and not (user.token or user.token_file or user.username or certificate):
        return PluginCredentials(user.exec, target.cluster, environ=environ, clock=clock)
    if user.token_file:
        return TokenFile(Path(user.token_file), clock=clock)
    return FixedCredentials(Credentials(_authorization(user), certificate, key))


def _authorization(user: User) -> str:
    if user.token:
        return f"Bearer {user.token}"
    if user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        return f"Basic {pair}"
    return ""
