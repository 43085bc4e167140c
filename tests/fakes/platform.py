"""A whole platform as its user has it: `towpath up` in a process of its own, real git, and the command line.

`LivePlatform` starts, stops and kills it, and sees every process that belongs to it (see `keeper`). Whoever waits,
waits for a condition and says which; a wait that ends in vain shows the platform's log.
"""

import base64
import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from fakes.keeper import descendants
from fakes.lab import lab_files
from fakes.worktree import IDENTITY
from towpath.cli.connection import Connection
from towpath.errors import RemoteError, UserError

T = TypeVar("T")

BIN = Path(sys.executable).parent
KEEPER = Path(__file__).with_name("keeper.py")
# Far above what anything here takes: a wait that long is a failure.
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.03
# Below the range from which the system picks ports for outgoing connections: one of those could be in the way when a
# platform wants its port back.
PORTS = range(15000, 32000)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.out + self.err

    def json(self) -> Any:
        """The document it printed."""
        return json.loads(self.out)


class LivePlatform:
    """A platform in a directory; a context manager that leaves no process behind."""

    def __init__(self, directory: Path, *, name: str = "lab") -> None:
        self.name = name
        self.root = directory / name
        self.log = directory / "up.log"
        self.verb = "up"
        self.wrapper: list[str] = []  # what runs it, if it is not to run as it is
        self.port, self.kube_port = free_ports(2)
        self.environment = {
            **os.environ,
            **IDENTITY,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(directory),
            "KUBECONFIG": str(self.root / ".towpath" / "kubeconfig"),
            "NO_COLOR": "1",
        }
        self._keepers: list[subprocess.Popen[str]] = []
        self.pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.pid and error is None:
                self.stop()
        finally:
            for keeper in self._keepers:
                keeper.communicate()

    # -- its files

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / ".towpath"

    @property
    def hosted(self) -> Path:
        """The repository it serves."""
        return self.state / "git" / f"{self.name}.git"

    @property
    def prefix(self) -> str:
        """Of its images."""
        return f"127.0.0.1:{self.port}/{self.name}"

    @property
    def token(self) -> str:
        """The platform's own password."""
        return str(json.loads((self.state / "credentials.json").read_text())["admin_token"])

    def scaffold(self) -> None:
        """Write the repository that users get."""
        self.run("towpath", "init", str(self.root), "--port", str(self.port), cwd=self.root.parent)

    def write_lab(self) -> None:
        """Write the repository of tiny services, with the remote and credentials that users get."""
        self.scaffold()
        self.git("rm", "-rq", ".")
        self.commit(lab_files(self.prefix), "Two tiny services")

    # -- its life

    def launch(self, *options: str) -> None:
        """`towpath up` (or what `verb` says), without waiting."""
        ports = ["--port", str(self.port), *(["--kube-port", str(self.kube_port)] if self.verb == "up" else [])]
        argv = [*self.wrapper, str(BIN / "towpath"), self.verb, *ports, *options]
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), str(self.log), *argv],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._keepers.append(keeper)
        assert keeper.stdout is not None
        self.pid = int(keeper.stdout.readline())

    def start(self, *options: str) -> None:
        """`towpath up`, until it accepts a push."""
        self.launch(*options)
        self.await_("the platform to be up", lambda: self.is_up() or self.has_ended())
        assert not self.has_ended(), f"towpath up has ended: {self.log_tail()}"

    def kill(self) -> None:
        """SIGKILL to `towpath up` alone, as the kernel does when memory is short; it is gone when this returns."""
        os.kill(self.pid, signal.SIGKILL)
        self.exit_code()

    def stop(self) -> int:
        """SIGTERM, as `systemctl stop` does; the exit code."""
        if not self.has_ended():
            os.kill(self.pid, signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        stdout = self._keepers[-1].stdout
        assert stdout is not None
        line = stdout.readline()
        self.pid = 0
        return int(line)

    def family(self) -> list[str]:
        """The command lines of every process that this platform has started and that lives."""
        lines = []
        for keeper in self._keepers:
            for pid in descendants(keeper.pid):
                try:
                    argv = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                lines.append(f"{pid} {argv.replace(bytes(1), b' ').decode(errors='replace')}")
        return lines

    def await_no_process(self) -> None:
        """Wait until nothing of a platform that has ended lives."""
        self.await_("no process to be left", lambda: not self.family(), show=self.family)

    def log_tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:]

    # -- what a user does

    def run(
        self,
        *argv: str,
        expect: int | None = 0,
        stdin: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run a command in the working copy; it must end with `expect` (None: with anything)."""
        done = subprocess.run(
            argv,
            cwd=cwd or self.root,
            env={**self.environment, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert expect in {None, answer.code}, (
            f"{argv} ended with {answer.code}: {answer.text}\n{self._log_or_nothing()}"
        )
        return answer

    def towpath(self, *arguments: str, expect: int | None = 0) -> Answer:
        """Run `towpath`."""
        return self.run("towpath", *arguments, expect=expect)

    def document(self, *arguments: str, expect: int = 0) -> Any:
        """What `towpath … -o json` prints."""
        return self.towpath(*arguments, "-o", "json", expect=expect).json()

    def kubectl(self, *arguments: str, expect: int | None = 0, stdin: str | None = None) -> Answer:
        """Run the real kubectl with the platform's kubeconfig."""
        return self.run("kubectl", *arguments, expect=expect, stdin=stdin)

    def git(self, *arguments: str, expect: int | None = 0) -> str:
        """Run git in the working copy; its output."""
        return self.run("git", *arguments, expect=expect).out.strip()

    def follow_greeting(self) -> None:
        """Have git push over TLS as what `up --tls` printed says."""
        self.environment.pop("GIT_SSL_CAINFO", None)  # it would win over what the repository says
        lines = self.log.read_text().splitlines()
        commands = [line.partition("git ")[2] for line in lines if "git remote set-url" in line or "git config" in line]
        assert len(commands) == 3, lines
        for command in commands:
            self.git(*shlex.split(command.strip().removeprefix("git ")))

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "A change") -> str:
        """Write files (None: remove), commit everything; the commit."""
        for name, content in files.items():
            target = self.root / name
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def push(self) -> Answer:
        """Push `main`; it must be accepted."""
        return self.run("git", "push", "-q", "towpath", "main")

    def change(self, files: Mapping[str, str | bytes | None], message: str = "A change") -> str:
        """Take up what the platform has committed, commit on top, and push; the commit."""
        if self.hosted_head():
            self.git("pull", "-q", "--rebase", "towpath", "main")
        commit = self.commit(files, message)
        self.push()
        return commit

    def head(self) -> str:
        """The newest commit of the working copy."""
        return self.git("rev-parse", "HEAD")

    def hosted_git(self, *arguments: str, expect: int | None = 0) -> str:
        """Run git on the repository that the platform serves."""
        return self.run("git", f"--git-dir={self.hosted}", *arguments, expect=expect).out.strip()

    def hosted_head(self, branch: str = "main") -> str:
        """Where a branch is on the platform; empty while it is unborn."""
        return self.hosted_git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    # -- what a program does

    def api(self, path: str, **query: object) -> Any:
        """A document of the platform API."""
        return Connection.of(self.root).get(path, **query)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> tuple[int, bytes]:
        """A bare HTTP request; status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=120)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def tags(self, repository: str) -> set[str]:
        """The tags of a repository of the registry, such as `clock` or `sets`."""
        scope = f"/token?scope=repository:{self.name}/{repository}:pull"
        status, answer = self.request("GET", scope, headers={"Authorization": basic("towpath", self.token)})
        assert status == 200, answer
        headers = {"Authorization": f"Bearer {json.loads(answer)['token']}"}
        status, answer = self.request("GET", f"/v2/{self.name}/{repository}/tags/list", headers=headers)
        return set(json.loads(answer)["tags"]) if status == 200 else set()

    # -- waiting

    def environment_status(self, name: str) -> dict[str, Any]:
        """One environment of `status`; empty when there is none of that name."""
        found = [one for one in self.api("/status")["environments"] if one["name"] == name]
        return found[0] if found else {}

    def service_status(self, environment: str, service: str) -> dict[str, Any]:
        """One service of `status`; empty when there is none of that name."""
        services = self.environment_status(environment).get("services", [])
        return next((one for one in services if one["service"] == service), {})

    def await_service(
        self, environment: str, service: str, holds: Callable[[dict[str, Any]], bool], wanted: str
    ) -> dict[str, Any]:
        """Wait until a service is as wanted; what `status` says of it then."""

        def find() -> dict[str, Any] | None:
            one = self.service_status(environment, service)
            return one if one and holds(one) else None

        return self.await_(
            f"{service} in {environment} to be {wanted}", find, show=lambda: self.service_status(environment, service)
        )

    def await_healthy(self, environment: str, service: str, commit: str) -> dict[str, Any]:
        """Wait until a service runs a commit's version, all of it, and nothing else."""
        return self.await_service(environment, service, is_healthy(commit), f"healthy at {commit[:7]}")

    def await_(
        self,
        wanted: str,
        find: Callable[[], T | None],
        *,
        seconds: float = PATIENCE_SECONDS,
        show: Callable[[], object] = lambda: "",
    ) -> T:
        """Wait until `find` finds something true; what it found."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = find()
            except (RemoteError, UserError, OSError) as error:
                found = None
                seen: object = error
            else:
                seen = None
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {seconds:.0f} s in vain for {wanted}: {seen or show()}\n{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def is_up(self) -> bool:
        """Whether it has told the command line where it is."""
        run_file = self.state / "run.json"
        return run_file.exists() and bool(json.loads(run_file.read_text())["pid"] == self.pid)

    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.pid == 0 or not Path(f"/proc/{self.pid}").exists()

    def _log_or_nothing(self) -> str:
        return self.log_tail() if self.log.exists() else ""


def is_healthy(commit: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a service of `status` runs a commit's version, all of it, and nothing else."""

    def holds(one: dict[str, Any]) -> bool:
        return bool(
            one["tag"] == f"sha-{commit[:7]}"
            and one["health"] == "Healthy"
            and one["ready"] == one["desired"] > 0
            and set(one["live_digests"]) == {one["digest"]}
        )

    return holds


def basic(username: str, password: str) -> str:
    """The header of basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def free_ports(count: int) -> Sequence[int]:
    """Ports that nobody listens on."""
    found: list[int] = []
    choice = random.SystemRandom()
    while len(found) < count:
        port = choice.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
