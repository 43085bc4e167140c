"""The stage of the demo: a platform of its own, the commands typed on it, and the clock."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from towpath.cli.connection import Connection
from towpath.cli.demo.outside import DemoCluster
from towpath.errors import RemoteError, TowpathError, UserError

# Far above what any scene takes: a wait that long is a failure of the product, and says so.
PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.1
STOP_SECONDS = 20.0
BIN = Path(sys.executable).parent
SHOWN_LINES = 14


class DemoError(TowpathError):
    """The demo did not see what it should have seen."""


class Stage:
    """A running platform in `root`; a context manager."""

    def __init__(self, root: Path, *, keep: bool, cluster: DemoCluster | None = None) -> None:
        """Prepare. `cluster` is the user's, to run pods on; None for the embedded one."""
        self.root = root
        self._cluster = cluster
        self._keep = keep
        self._port, self._kube_port = _free_ports(2)
        self._platform: subprocess.Popen[bytes] | None = None
        self._started = time.monotonic()
        self._scenes = 0
        self._env = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "KUBECONFIG": str(cluster.kubeconfig if cluster else root / ".towpath" / "kubeconfig"),
            "KUBECACHEDIR": str(root.parent / "kubectl-cache"),  # not in the home of whoever looks at the demo
            "GIT_TERMINAL_PROMPT": "0",
            "NO_COLOR": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._platform is None or self._platform.poll() is not None:
            return
        if self._keep and error is None:
            click.echo(f"\nThe platform keeps running (process {self._platform.pid}) in {self.root}")
            click.echo(f"  look   towpath status -C {self.root}")
            click.echo(f"  stop   kill {self._platform.pid}")
            return
        self._platform.send_signal(signal.SIGTERM)
        try:
            self._platform.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._platform.kill()
            self._platform.wait()
        if self._cluster is not None:
            self._cluster.clean_up()

    def begin(self, scene: Callable[["Stage"], None]) -> None:
        """Announce a scene: its number, the time since the start, and the first line of its text."""
        self._scenes += 1
        title = (scene.__doc__ or "").strip().splitlines()[0]
        elapsed = time.monotonic() - self._started
        click.secho(f"\n{self._scenes}. {title}  [{elapsed:.1f} s]", bold=True)

    def finish(self) -> None:
        """The last line."""
        click.secho(f"\nThe whole loop took {time.monotonic() - self._started:.1f} s.", bold=True)

    def say(self, text: str) -> None:
        """Narrate."""
        click.echo(textwrap.indent(textwrap.fill(text, 100), "   "))

    def type(self, *argv: str, expect: int = 0, shown: Callable[[str], bool] | None = None, quiet: bool = False) -> str:
        """Type a command in the platform repository, print it and what it says; its output.

        Args:
            argv: the command.
            expect: the exit code it must end with.
            shown: which lines to print; all of them (up to a screen) when left out.
            quiet: print the command, but not its output.

        Raises:
            DemoError: it ended with another code.
        """
        click.secho(f"   $ {' '.join(_shown_word(word) for word in argv)}", fg="cyan")
        done = subprocess.run(
            argv, cwd=self.root, env=self._env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        text = (done.stdout + done.stderr).strip()
        if done.returncode != expect:
            raise DemoError(f"{argv[0]} {argv[1]} ended with {done.returncode}, expected {expect}: {text}")
        if not quiet:
            lines = [line for line in text.splitlines() if shown is None or shown(line)]
            more = [f"… {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
            click.echo(textwrap.indent("\n".join(lines[:SHOWN_LINES] + more), "     "))
        return text

    def scaffold(self) -> None:
        """Write the platform repository, by the command that users run."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        click.secho("   $ towpath init my-homelab", fg="cyan")
        argv = [str(BIN / "towpath"), "init", str(self.root), "--port", str(self._port)]
        done = subprocess.run(argv, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"platform repository was not written: {done.stderr.strip()}")
        for name, value in (("user.name", "You"), ("user.email", "you@example.com")):
            subprocess.run(["git", "config", name, value], cwd=self.root, check=True)

    def start_platform(self) -> float:
        """`towpath up`; the seconds until it accepted a push. Raises DemoError with its log."""
        named = ["--kubeconfig", str(self._cluster.kubeconfig)] if self._cluster else []
        click.secho(f"   $ {' '.join(['towpath', 'up', *named])}", fg="cyan")
        started = time.monotonic()
        log = self.root.parent / "up.log"
        with log.open("wb") as output:
            self._platform = subprocess.Popen(
                [BIN / "towpath", "up", "--port", str(self._port), "--kube-port", str(self._kube_port), *named],
                cwd=self.root,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C ends the demo, which then stops the platform in good order
            )
        deadline = started + PATIENCE_SECONDS
        while " is up at " not in log.read_text():
            if self._platform.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"the platform did not start: {log.read_text().strip()}")
            time.sleep(POLL_SECONDS)
        click.echo(f"     {log.read_text().splitlines()[0]}")
        self._require_reachable_registry()
        return time.monotonic() - started

    def _require_reachable_registry(self) -> None:
        checks = Connection.of(self.root).get("/doctor")["checks"] if self._cluster else []
        for check in checks:
            if check["check"] == "registry address" and check["state"] == "problem":
                raise DemoError(
                    check["evidence"], hint="the demo's registry is at loopback; try towpath up, as it says"
                )

    def edit(self, path: str, before: str, after: str) -> None:
        """Change one place in a file of the repository. Raises DemoError when it is not there exactly once."""
        file = self.root / path
        text = file.read_text()
        if text.count(before) != 1:
            raise DemoError(f"{path} does not hold {before!r} exactly once")
        file.write_text(text.replace(before, after))

    def commit_and_push(self, message: str, *, first: bool = False) -> str:
        """Commit everything, take up what the platform has committed meanwhile, and push; the commit."""
        self.type("git", "commit", "-q", "-a", "-m", message, quiet=True)
        if not first:
            self.type("git", "pull", "-q", "--rebase", "towpath", "main", quiet=True)
        self.type("git", "push", "-q", "towpath", "main", quiet=True)
        return self.head()

    def head(self) -> str:
        """The newest commit of the working copy."""
        return self._resolve("HEAD")

    def commit_of(self, tag: str) -> str:
        """The full id of the commit that a `sha-` tag names."""
        return self._resolve(tag.removeprefix("sha-"))

    def _resolve(self, revision: str) -> str:
        argv = ["git", "rev-parse", revision]
        return subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=True).stdout.strip()

    def status(self) -> dict[str, Any]:
        """What `towpath status -o json` would print."""
        document: dict[str, Any] = Connection.of(self.root).get("/status")
        return document

    def explain(self, environment: str) -> dict[str, Any]:
        """What `towpath explain -o json` would print."""
        document: dict[str, Any] = Connection.of(self.root).get("/explain", environment=environment)
        return document

    def collection(self) -> dict[str, Any]:
        """What `towpath registry collect -o json` would print."""
        document: dict[str, Any] = Connection.of(self.root).get("/registry/collections")
        return document

    def await_service(
        self, environment: str, service: str, wanted: str, holds: Callable[[dict[str, Any]], bool]
    ) -> float:
        """Wait until a service is as wanted; the seconds it took. Raises DemoError after a long patience."""

        def is_so() -> bool:
            found = [one for one in self.status()["environments"] if one["name"] == environment]
            services = [one for one in (found[0]["services"] if found else []) if one["service"] == service]
            return bool(services) and holds(services[0])

        return self.await_(f"{service} in {environment} to be {wanted}", is_so)

    def await_(self, wanted: str, holds: Callable[[], bool]) -> float:
        """Wait for something; the seconds it took. Raises DemoError after a long patience."""
        started = time.monotonic()
        while True:
            try:
                if holds():
                    return time.monotonic() - started
            except RemoteError as error:
                if self._platform is not None and self._platform.poll() is not None:
                    raise DemoError(f"the platform ended while waiting for {wanted}: {error.message}") from error
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise DemoError(f"waited {PATIENCE_SECONDS:.0f} s in vain for {wanted}", hint=self._log_tail())
            time.sleep(POLL_SECONDS)

    def _log_tail(self) -> str:
        return "the platform's log ends with: " + (self.root.parent / "up.log").read_text()[-1500:]


def is_healthy(tag: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a service of `status` runs a version, all of it, and is healthy."""

    def holds(service: dict[str, Any]) -> bool:
        all_ready = service["ready"] == service["desired"] > 0
        return bool(service["tag"] == tag and service["health"] == "Healthy" and all_ready)

    return holds


def _shown_word(word: str) -> str:
    return f"'{word}'" if " " in word else word


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
