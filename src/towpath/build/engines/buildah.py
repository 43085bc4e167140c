"""Buildah, and podman, which has one inside: no daemon, a store of its own below the build cache.

A store of its own keeps the user's images apart from ours, so that either can be pruned. Which storage driver and which
isolation work on a machine is found out by building: when the runtime or the driver itself fails, not a step of the
Dockerfile, the next setting is tried and remembered. `$BUILDAH_ISOLATION` and `$STORAGE_DRIVER` of the owner win.

    overlay, oci      containers by runc or crun
    overlay, chroot   where no container can be started: inside containers, without namespaces or cgroups
    vfs, chroot       where there is no overlay file system either: slow, and works everywhere

As root each command runs in a mount namespace of its own (`unshare`), where that is allowed: what it mounts goes with
it, however it ends, and the store can be deleted like any directory. For other users the engines do so themselves.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.build.engines.engine import Capabilities, DockerfileBuild, EngineFailedError, OnLine
from towpath.build.engines.running import Command, Ended, format_lines, run_command

BUILDAH, PODMAN = "buildah", "podman"
_NAME = "image"
# Every twentieth build: what is thrown away are steps that changed since, some megabytes each.
UPKEEP_BUILDS = 20
# The store or its driver, before the first step ran.
_DRIVER_FAILED = re.compile(
    r"(?i)overlay.{0,80}(not supported|is not|cannot|permission|invalid)|mount_program|fuse-overlayfs|"
    r"prerequisites for driver|graph driver"
)
# What a user without a range of ids in /etc/subuid is told, in several ways.
_IDS_MISSING = re.compile(
    r"(?i)no sub[ug]id ranges|supplemental groups list: operation not permitted|insufficient UIDs"
)
# The runtime, instead of the step that it was to run.
_RUNTIME_FAILED = re.compile(
    r"(?i)creating container for|container create (message|failed)|no (oci )?runtime|cgroup|rlimit|newuidmap|"
    r"user namespace|unshare|cannot find.{0,40}(runc|crun)|error reading .* pid"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a machine lets containers be built."""

    driver: str
    isolation: str
    own_mounts: bool = False


FIRST = Settings("overlay", "oci")
_OWN_MOUNTS = ("unshare", "--mount")
_UNSHARE_FAILED = re.compile(r"^unshare: ", re.MULTILINE)


def plan_build(program: str, build: DockerfileBuild, settings: Settings, *, store: Path, iidfile: Path) -> Command:
    """The command that builds; the image's id ends in `iidfile`."""
    argv = [
        *_with_store(program, settings, store),
        "build",
        f"--isolation={settings.isolation}",
        f"--file={build.context / build.dockerfile}",
        "--layers",
        "--force-rm",
        f"--iidfile={iidfile}",
        f"--timestamp={build.epoch}",
        f"--platform={build.platform}",
        f"--build-arg=SOURCE_DATE_EPOCH={build.epoch}",
        *(f"--build-arg={name}={value}" for name, value in sorted(build.arguments.items())),
        *(f"--secret=id={name},src={file}" for name, file in sorted(build.secrets.items())),
        *([f"--target={build.target}"] if build.target else []),
        str(build.context),
    ]
    return Command(tuple(argv), {"SOURCE_DATE_EPOCH": str(build.epoch)})


def plan_export(program: str, image: str, settings: Settings, *, store: Path, layout: Path) -> Command:
    """The command that writes an image of the store as a layout."""
    argv = _with_store(program, settings, store)
    if program == PODMAN:
        return Command((*argv, "save", "--quiet", "--format=oci-dir", f"--output={layout}", image))
    return Command((*argv, "push", "--quiet", "--format=oci", image, f"oci:{layout}:{_NAME}"))


def plan_upkeep(program: str, settings: Settings, *, store: Path) -> Command:
    """The command that throws away the steps that no image is made of any more."""
    argv = _with_store(program, settings, store)
    if program == PODMAN:
        return Command((*argv, "image", "prune", "--force"))
    return Command((*argv, "rmi", "--prune"))


def next_settings(settings: Settings, lines: Sequence[str]) -> Settings | None:
    """What to try after a failure that the Dockerfile is not to blame for; None when it is, or nothing is left."""
    # Only the last words count: a step may print anything before.
    said = "\n".join(lines[-6:])
    if settings.own_mounts and _UNSHARE_FAILED.search(said):
        return replace(settings, own_mounts=False)
    if settings.isolation != "chroot" and _RUNTIME_FAILED.search(said):
        return replace(settings, isolation="chroot")
    if settings.driver != "vfs" and _DRIVER_FAILED.search(said):
        return replace(settings, driver="vfs", isolation="chroot")
    return None


def first_settings(environ: Mapping[str, str], *, own_mounts: bool) -> Settings:
    """Where to begin: what the owner asks for, or else with what is best."""
    driver, isolation = environ.get("STORAGE_DRIVER"), environ.get("BUILDAH_ISOLATION")
    return Settings(driver or FIRST.driver, isolation or FIRST.isolation, own_mounts)


class Buildah:
    """`Engine` over buildah or podman."""

    def __init__(
        self,
        program: Path,
        *,
        version: str,
        capabilities: Capabilities,
        store: Path,
        environ: Mapping[str, str],
        timeout_seconds: float,
        own_mounts: bool = False,
    ) -> None:
        """Set up.

        Args:
            program: the file; its name says which of the two it is.
            version: as it says itself.
            capabilities: of that version.
            store: where images and containers are kept; made when missing.
            environ: what it may know of our environment.
            timeout_seconds: for one build.
            own_mounts: begin with mount namespaces made by `unshare`.
        """
        self.name = program.name
        self.version = version
        self.capabilities = capabilities
        self._program = program
        self._store = store
        self._environ = environ
        self._timeout_seconds = timeout_seconds
        self._settings = first_settings(environ, own_mounts=own_mounts)
        self._running = 0
        self._built = 0

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        """Build into a layout."""
        self._store.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._running += 1
        try:
            image, settings = await self._build_image(build, layout.with_suffix(".iid"), on_line)
            export = plan_export(self.name, image, settings, store=self._store, layout=layout)
            ended = await self._run(export, settings, build.context, on_line)
            if ended.returncode != 0:
                raise self._failed(build, ended)
        finally:
            self._running -= 1
        self._built += 1
        if self._built % UPKEEP_BUILDS == 0 and not self._running:  # never below another build's feet
            upkeep = plan_upkeep(self.name, self._settings, store=self._store)
            await self._run(upkeep, self._settings, self._store, on_line)

    async def _build_image(self, build: DockerfileBuild, iidfile: Path, on_line: OnLine) -> tuple[str, Settings]:
        """The id of the image and where it is stored; goes down the ladder when the machine is what fails."""
        while True:
            settings = self._settings
            command = plan_build(self.name, build, settings, store=self._store, iidfile=iidfile)
            ended = await self._run(command, settings, build.context, on_line)
            if ended.returncode == 0:
                return iidfile.read_text().strip(), settings
            following = next_settings(settings, ended.lines)
            if following is None:
                raise self._failed(build, ended)
            on_line(f"{self.name}: {_describe(settings)} does not work here; trying {_describe(following)}")
            self._settings = following

    async def _run(self, command: Command, settings: Settings, cwd: Path, on_line: OnLine) -> Ended:
        wrapper = _OWN_MOUNTS if settings.own_mounts else ()
        return await run_command(
            replace(command, argv=(*wrapper, str(self._program), *command.argv[1:])),
            cwd=cwd,
            environ=self._environ,
            timeout_seconds=self._timeout_seconds,
            on_line=on_line,
        )

    def _failed(self, build: DockerfileBuild, ended: Ended) -> EngineFailedError:
        hint = "mend the step that failed, and push or build again"
        if _IDS_MISSING.search("\n".join(ended.lines)):
            hint = "give this user a range of ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
        return EngineFailedError(
            f"{build.dockerfile} could not be built (EngineFailed): {self.name} {self.version} ended with "
            f"{ended.returncode}\n{format_lines(ended.lines)}",
            hint=hint,
        )


def _with_store(program: str, settings: Settings, store: Path) -> tuple[str, ...]:
    # Podman keeps its locks elsewhere than its containers; those of the user's own podman are none of our business.
    own = (f"--tmpdir={store / 'tmp'}",) if Path(program).name == PODMAN else ()
    shared = (f"--root={store / 'root'}", f"--runroot={store / 'run'}", f"--storage-driver={settings.driver}")
    return (program, *shared, *own)


def _describe(settings: Settings) -> str:
    own = " and mounts of its own" if settings.own_mounts else ""
    return f"{settings.driver} with {settings.isolation} isolation{own}"
