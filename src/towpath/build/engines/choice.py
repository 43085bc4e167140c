"""Finds the engines of this machine and chooses one: the one that is asked for, or the first that works.

An engine counts as there when its program is on the path and answers; a client without its daemon does not. What was
found is kept for as long as the program runs: installing one needs no restart, since nothing found is looked for again.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from towpath.aio import process
from towpath.blueprint.model import DEFAULT_ENGINE
from towpath.build.engines.buildah import BUILDAH, PODMAN, Buildah
from towpath.build.engines.buildkit import BUILDCTL, BUILDKIT, BuildKit
from towpath.build.engines.docker import DOCKER, Docker, exports_oci
from towpath.build.engines.engine import DockerfileBuild, Engine, EngineMissingError
from towpath.build.engines.versions import (
    buildah_capabilities,
    buildkit_capabilities,
    docker_capabilities,
    format_version,
    parse_version,
    podman_capabilities,
)
from towpath.errors import RemoteError, UserError
from towpath.oci.platform import Platform

# Half an hour: a slow machine that compiles; longer is a step that waits for something.
TIMEOUT_SECONDS = 1800.0
# A daemon that does not answer a question about its version in this time is no help.
_QUESTION_SECONDS = 20.0
_MOST_ANSWER_BYTES = 1 << 20
# Without a daemon first: they work for everybody.
ORDER = (BUILDAH, PODMAN, DOCKER, BUILDKIT)
# Until then docker's client had a BuildKit client inside.
_PLUG_IN_SINCE = (23, 0)
_OWN_SECRETS = ("TOWPATH_KEY_PASSWORD",)


class Engines:
    """The engines of this machine."""

    def __init__(
        self,
        *,
        store: Path,
        environ: Mapping[str, str],
        host: Platform,
        which: Callable[[str], str | None] = shutil.which,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Set up; nothing is looked for yet.

        Args:
            store: where engines without a daemon keep their images.
            environ: what engines may know of our environment; our own secrets are taken out.
            host: the platform of this machine.
            which: finds a program.
            timeout_seconds: for one build.
        """
        self._store = store
        self._environ = {name: value for name, value in environ.items() if name not in _OWN_SECRETS}
        self._host = host
        self._which = which
        self._timeout_seconds = timeout_seconds
        self._found: dict[str, Engine] = {}
        self._lock = asyncio.Lock()

    async def choose(self, name: str, build: DockerfileBuild) -> Engine:
        """The engine of that name, or for `auto` the first that can do this build.

        Raises:
            EngineMissingError: there is none; says what to install.
        """
        wanted = ORDER if name == DEFAULT_ENGINE else (name,)
        reasons = []
        for candidate in wanted:
            engine, reason = await self._find(candidate)
            if engine is not None:
                lacking = engine.capabilities.lacking(build, host=self._host)
                if not lacking:
                    return engine
                reason = f"{candidate} {engine.version}: {lacking}"
            reasons.append(reason)
        raise EngineMissingError(
            f"{build.dockerfile} cannot be built (EngineMissing): {'; '.join(reasons)}",
            hint=_install_hint(wanted),
        )

    async def _find(self, name: str) -> tuple[Engine | None, str]:
        async with self._lock:  # services are built side by side; one of them looks
            if name not in self._found:
                program = self._which(BUILDCTL if name == BUILDKIT else name)
                if program is None:
                    return None, f"{name} is not installed"
                try:
                    self._found[name] = await self._examine(name, Path(program))
                except EngineMissingError as error:
                    return None, error.message
            return self._found[name], ""

    async def _examine(self, name: str, program: Path) -> Engine:
        if name in {BUILDAH, PODMAN}:
            said = await self._ask(name, program, "--version")
            parse = buildah_capabilities if name == BUILDAH else podman_capabilities
            return Buildah(
                program,
                version=format_version(said),
                capabilities=parse(parse_version(said)),
                store=self._store / name,
                environ=self._environ,
                timeout_seconds=self._timeout_seconds,
                own_mounts=os.geteuid() == 0 and self._which("unshare") is not None,
            )
        if name == DOCKER:
            return await self._examine_docker(program)
        said = await self._ask(name, program, "--version")
        await self._ask(name, program, "debug", "workers")
        return BuildKit(
            program,
            version=format_version(said),
            capabilities=buildkit_capabilities(parse_version(said)),
            environ=self._environ,
            timeout_seconds=self._timeout_seconds,
        )

    async def _examine_docker(self, program: Path) -> Engine:
        client = await self._ask(DOCKER, program, "version", "--format", "{{.Client.Version}}")
        server = await self._ask(DOCKER, program, "version", "--format", "{{.Server.Version}}")
        info = await self._ask(DOCKER, program, "info")
        try:
            buildx = await self._ask(DOCKER, program, "buildx", "inspect")
        except EngineMissingError:
            if parse_version(client) >= _PLUG_IN_SINCE:
                raise EngineMissingError(f"docker {format_version(client)} does not build without buildx") from None
            buildx = ""  # the client has a builder inside; the daemon builds and saves
        older = min(parse_version(client), parse_version(server))
        return Docker(
            program,
            version=format_version(server),
            capabilities=docker_capabilities(older, exports_oci=exports_oci(buildx, info)),
            environ=self._environ,
            timeout_seconds=self._timeout_seconds,
        )

    async def _ask(self, name: str, program: Path, *arguments: str) -> str:
        """What a program answers. Raises EngineMissingError when it does not, or says that it cannot."""
        try:
            done = await process.run(
                [program, *arguments],
                cwd=Path("/"),
                env=self._environ,
                timeout_seconds=_QUESTION_SECONDS,
                most_output_bytes=_MOST_ANSWER_BYTES,
            )
        except (UserError, RemoteError) as error:
            raise EngineMissingError(f"{name}: {error.message}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise EngineMissingError(f"{name} does not work: {said[-1][: process.SHOWN_ERROR_CHARACTERS]}")
        return done.stdout.decode(errors="replace")


def _install_hint(wanted: Sequence[str]) -> str:
    if len(wanted) > 1 or wanted[0] == BUILDAH:
        return "install buildah, which needs no daemon (Debian: apt-get install buildah), or start docker"
    if wanted[0] == PODMAN:
        return "install podman (Debian: apt-get install podman), or set engine: auto"
    if wanted[0] == DOCKER:
        return "install docker with its buildx plug-in and start its daemon, or set engine: auto"
    return "install buildctl, start buildkitd and set BUILDKIT_HOST, or set engine: auto"
