"""Run the `git` program: no shell, no configuration of the user or the machine, no hooks, no prompts.

Every child gets an environment made here, not the caller's (a platform started from a Git hook would otherwise inherit
its `GIT_DIR`), a process group of its own, and a deadline. Streaming children are `rpc`'s business.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.children import start_child
from towpath.aio.process import SHOWN_ERROR_CHARACTERS, Completed
from towpath.errors import TowpathError, UserError

# What a child may know of our environment: where programs and certificates are, and how to reach the network.
_PASSED_ON = (
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    *(name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())),
)

_ALWAYS = {
    "HOME": "/nonexistent",  # Git before 2.32 knows no GIT_CONFIG_GLOBAL
    "LC_ALL": "C",  # messages are matched and shown
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a pushed refs/replace/* must not change what a commit contains
    "GIT_OPTIONAL_LOCKS": "0",
}

_CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    # Loose objects too: what is acknowledged is on disk. References are synced by default.
    "core.fsync": "committed,reference",
    # 2 s: writers of one ref wait for each other instead of failing.
    "core.filesRefLockTimeout": "2000",
    "core.packedRefsTimeout": "2000",
    "gc.auto": "0",  # a collector in the background would outlive us; `GitRepository.maintain` runs it
    "maintenance.auto": "false",
    "safe.directory": "*",  # the data directory is ours whoever owns it, as in a container volume
    "user.name": "Towpath",
    "user.email": "towpath@localhost",
    "user.useConfigOnly": "true",
    "i18n.logOutputEncoding": "UTF-8",
}

# 5 s: enough for git to remove its lock files.
_GRACE_SECONDS = 5.0
# 64 KiB: what a pipe holds.
_DISCARDED_BYTES = 64 * 1024


class GitError(TowpathError):
    """Git failed on a repository of ours."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running git and its pipes."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    async def feed(self, chunk: bytes) -> None:
        """Write to it; one that has ended or does not listen is no error here, because its answer says why."""
        # RuntimeError: uvloop's way of saying that the pipe is closed.
        with contextlib.suppress(ConnectionError, RuntimeError):
            if not self.stdin.is_closing():
                self.stdin.write(chunk)
                await self.stdin.drain()

    async def stop(self) -> None:
        """End it and all it started: asked first, so that it removes its locks, then killed."""
        self.stdin.close()
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._end(), _GRACE_SECONDS)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._end()

    async def _end(self) -> None:
        # asyncio sees the end of a child only when its pipes have ended, and a full pipe is not read by itself.
        await asyncio.gather(_discard(self.stdout), _discard(self.stderr))
        await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


async def _discard(pipe: asyncio.StreamReader) -> None:
    with contextlib.suppress(RuntimeError, OSError):  # RuntimeError: somebody else reads it, which does as well
        while await pipe.read(_DISCARDED_BYTES):
            pass


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git child."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, **_ALWAYS, **(extra or {})}


def command(repository: Path | None, *arguments: str, config: Mapping[str, str] | None = None) -> list[str]:
    """The whole argv of a git child; `config` is laid over ours."""
    argv = ["git", "--literal-pathspecs"]
    for name, value in {**_CONFIGURATION, **(config or {})}.items():
        argv += ["-c", f"{name}={value}"]
    if repository is not None:
        argv.append(f"--git-dir={repository}")
    return [*argv, *arguments]


async def spawn(
    repository: Path | None,
    *arguments: str,
    config: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Start a git child with three pipes; the caller ends it with `Child.stop`.

    Raises:
        UserError: git is not installed.
    """
    try:
        process = await start_child(
            command(repository, *arguments, config=config),
            cwd=Path("/"),
            env=environment(env),
            stdin=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise UserError(
            "git could not be started (NotInstalled): no such program on PATH", hint="install git 2.30 or later"
        ) from error
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise GitError("git could not be started (NoPipe): a pipe is missing")
    return Child(process, process.stdin, process.stdout, process.stderr)


async def run(
    repository: Path | None,
    *arguments: str,
    stdin: bytes = b"",
    config: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run git to its end.

    Raises:
        UserError: git is not installed.
        GitError: it failed (with `check`) or ran out of time.
    """
    child = await spawn(repository, *arguments, config=config, env=env)
    try:
        async with asyncio.timeout(timeout_seconds):
            _, stdout, stderr = await asyncio.gather(
                _feed_whole(child, stdin), child.stdout.read(), child.stderr.read()
            )
            code = await child.process.wait()
    except TimeoutError as error:
        raise GitError(f"git {arguments[0]} did not end (Timeout): {timeout_seconds:g} s passed") from error
    finally:
        await asyncio.shield(child.stop())
    completed = Completed(code, stdout, stderr)
    if check and completed.returncode != 0:
        raise GitError(f"git {arguments[0]} failed (exit code {completed.returncode}): {shown_error(completed.stderr)}")
    return completed


async def _feed_whole(child: Child, stdin: bytes) -> None:
    if stdin:
        await child.feed(stdin)
    child.stdin.close()


def shown_error(stderr: bytes) -> str:
    """The end of what git said, short enough to show."""
    return stderr.decode(errors="replace").strip()[-SHOWN_ERROR_CHARACTERS:]
