"""The commands of each engine: what is asked, in which words, and what never stands in an argument."""

from pathlib import Path

import pytest

from towpath.build.engines import buildah, buildkit, docker
from towpath.build.engines.buildah import Settings, first_settings, next_settings
from towpath.build.engines.engine import DockerfileBuild
from towpath.build.engines.running import Command
from towpath.oci.platform import Platform

BUILD = DockerfileBuild(
    context=Path("/work/web"),
    dockerfile="deploy/Dockerfile.prod",
    platform=Platform("linux", "amd64"),
    epoch=1_700_000_000,
    target="production",
    arguments={"NODE_ENV": "production", "A": "x y"},
    secrets={"npm": Path("/secrets/npm")},
)
PLAIN = DockerfileBuild(Path("/work/web"), "Dockerfile", Platform("linux", "arm64"), 0)
SETTINGS = Settings("overlay", "oci")
STORE, LAYOUT = Path("/store"), Path("/tmp/layout")  # noqa: S108 - a name, nothing is written
IID = LAYOUT.with_suffix(".iid")
ARCHIVE = LAYOUT.with_suffix(".tar")


def commands_of(build: DockerfileBuild) -> dict[str, Command]:
    return {
        "buildah": buildah.plan_build("buildah", build, SETTINGS, store=STORE, iidfile=IID),
        "podman": buildah.plan_build("podman", build, SETTINGS, store=STORE, iidfile=IID),
        "docker": docker.plan_daemon_build("docker", build, iidfile=IID),
        "docker buildx": docker.plan_export_build("docker", build, archive=ARCHIVE),
        "buildkit": buildkit.plan_build("buildctl", build, archive=ARCHIVE, repro=True),
    }


@pytest.mark.parametrize("program", ["buildah", "podman"])
def test_buildah_and_podman_are_asked_in_the_same_words(program: str) -> None:
    assert commands_of(BUILD)[program].argv == (
        program,
        "--root=/store/root",
        "--runroot=/store/run",
        "--storage-driver=overlay",
        *(["--tmpdir=/store/tmp"] if program == "podman" else []),
        "build",
        "--isolation=oci",
        "--file=/work/web/deploy/Dockerfile.prod",
        "--layers",
        "--force-rm",
        "--iidfile=/tmp/layout.iid",
        "--timestamp=1700000000",
        "--platform=linux/amd64",
        "--build-arg=SOURCE_DATE_EPOCH=1700000000",
        "--build-arg=A=x y",
        "--build-arg=NODE_ENV=production",
        "--secret=id=npm,src=/secrets/npm",
        "--target=production",
        "/work/web",
    )


def test_buildah_pushes_into_a_layout_and_podman_saves_one() -> None:
    pushed = buildah.plan_export("buildah", "sha256:1", SETTINGS, store=STORE, layout=LAYOUT).argv
    assert pushed[4:] == ("push", "--quiet", "--format=oci", "sha256:1", "oci:/tmp/layout:image")
    saved = buildah.plan_export("podman", "sha256:1", SETTINGS, store=STORE, layout=LAYOUT).argv
    assert saved[5:] == ("save", "--quiet", "--format=oci-dir", "--output=/tmp/layout", "sha256:1")


def test_docker_writes_an_archive_where_its_builder_can() -> None:
    assert commands_of(BUILD)["docker buildx"].argv == (
        "docker",
        "buildx",
        "build",
        "--progress=plain",
        "--provenance=false",
        "--sbom=false",
        "--output=type=oci,dest=/tmp/layout.tar,rewrite-timestamp=true,compression=uncompressed",
        "--file=/work/web/deploy/Dockerfile.prod",
        "--platform=linux/amd64",
        "--build-arg=SOURCE_DATE_EPOCH=1700000000",
        "--build-arg=A=x y",
        "--build-arg=NODE_ENV=production",
        "--secret=id=npm,src=/secrets/npm",
        "--target=production",
        "/work/web",
    )


def test_docker_saves_what_its_daemon_built_and_lets_it_go() -> None:
    assert commands_of(PLAIN)["docker"].argv == (
        "docker",
        "build",
        "--iidfile=/tmp/layout.iid",
        "--file=/work/web/Dockerfile",
        "--platform=linux/arm64",
        "--build-arg=SOURCE_DATE_EPOCH=0",
        "/work/web",
    )
    save, forget = docker.plan_save("docker", "sha256:1", archive=ARCHIVE)
    assert save.argv == ("docker", "save", "--output=/tmp/layout.tar", "sha256:1")
    assert forget.argv == ("docker", "image", "rm", "--no-prune", "sha256:1")


def test_buildctl_names_the_directory_of_the_dockerfile_and_the_file() -> None:
    assert commands_of(BUILD)["buildkit"].argv == (
        "buildctl",
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        "--local=context=/work/web",
        "--local=dockerfile=/work/web/deploy",
        "--opt=filename=Dockerfile.prod",
        "--opt=platform=linux/amd64",
        "--opt=build-arg:SOURCE_DATE_EPOCH=1700000000",
        "--opt=build-arg:A=x y",
        "--opt=build-arg:NODE_ENV=production",
        "--opt=target=production",
        "--secret=id=npm,src=/secrets/npm",
        "--output=type=oci,dest=/tmp/layout.tar,rewrite-timestamp=true,compression=uncompressed",
    )


def test_an_older_buildkit_is_not_asked_to_rewrite_times() -> None:
    argv = buildkit.plan_build("buildctl", PLAIN, archive=ARCHIVE, repro=False).argv
    assert argv[-1] == "--output=type=oci,dest=/tmp/layout.tar,compression=uncompressed"


@pytest.mark.parametrize("engine", ["buildah", "podman", "docker", "docker buildx", "buildkit"])
def test_every_engine_is_told_the_commits_time_twice(engine: str) -> None:
    command = commands_of(BUILD)[engine]
    assert command.env["SOURCE_DATE_EPOCH"] == "1700000000"
    assert any("build-arg" in argument and "SOURCE_DATE_EPOCH=1700000000" in argument for argument in command.argv)


@pytest.mark.parametrize("engine", ["buildah", "podman", "docker", "docker buildx", "buildkit"])
def test_nothing_is_said_that_was_not_asked_for(engine: str) -> None:
    argv = commands_of(PLAIN)[engine].argv
    assert not any("--target" in argument or "target=" in argument or "secret" in argument for argument in argv)


RUNTIME_FAILED = (
    "error running container: from /usr/bin/crun creating container for [/bin/sh]: cgroups in hybrid mode",
    ": exit status 1",
    'Error: building at STEP "RUN make": while running runtime: exit status 1',
)
STEP_FAILED = ("make: *** no rule", 'error building at STEP "RUN make": exit status 2', "exit status 2")


@pytest.mark.parametrize(
    "lines",
    [
        RUNTIME_FAILED,
        ("cannot set RLIMIT_NPROC: setting rlimit: operation not permitted",),
        ('Error: cannot find newuidmap: exec: "newuidmap": executable file not found',),
        ('level=error msg="error unsharing user namespace: Operation not permitted"',),
        ("Error: did not get container create message from subprocess: EOF",),
    ],
)
def test_when_no_container_can_be_started_it_is_tried_without_one(lines: tuple[str, ...]) -> None:
    assert next_settings(SETTINGS, lines) == Settings("overlay", "chroot")


@pytest.mark.parametrize(
    "lines",
    [
        ("Error: kernel does not support overlay fs: 'overlay' is not supported over overlayfs",),
        ("Error: 'overlay' is not supported over extfs: unsupported for this graph driver",),
        ("Error: mount /x:/y, flags: 0x1000: permission denied: fuse-overlayfs: cannot mount",),
        ("prerequisites for driver not satisfied (wrong filesystem?)",),
    ],
)
def test_without_an_overlay_file_system_files_are_copied(lines: tuple[str, ...]) -> None:
    assert next_settings(Settings("overlay", "chroot"), lines) == Settings("vfs", "chroot")


def test_a_step_that_fails_is_not_tried_in_another_way() -> None:
    assert next_settings(SETTINGS, STEP_FAILED) is None
    assert next_settings(Settings("overlay", "chroot"), STEP_FAILED) is None


def test_what_a_step_printed_long_before_its_end_decides_nothing() -> None:
    lines = (*RUNTIME_FAILED, *(f"compiling {number}" for number in range(10)), *STEP_FAILED)
    assert next_settings(SETTINGS, lines) is None


def test_at_the_foot_of_the_ladder_there_is_nothing_left() -> None:
    assert next_settings(Settings("vfs", "chroot"), RUNTIME_FAILED) is None


def test_the_owners_wish_is_where_it_begins() -> None:
    assert first_settings({}, own_mounts=False) == SETTINGS
    asked = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    assert first_settings(asked, own_mounts=True) == Settings("vfs", "chroot", own_mounts=True)


def test_without_the_right_to_mount_namespaces_it_goes_on_without() -> None:
    lines = ("unshare: unshare failed: Operation not permitted",)
    assert next_settings(Settings("overlay", "oci", own_mounts=True), lines) == SETTINGS


def test_upkeep_throws_away_what_no_image_is_made_of() -> None:
    assert buildah.plan_upkeep("buildah", SETTINGS, store=STORE).argv[4:] == ("rmi", "--prune")
    assert buildah.plan_upkeep("podman", SETTINGS, store=STORE).argv[5:] == ("image", "prune", "--force")


@pytest.mark.parametrize(
    ("inspect", "info", "able"),
    [
        ("Name: b\nDriver: docker-container\n", "", True),
        ("Name: default\nDriver: docker\n", "driver-type: io.containerd.snapshotter.v1", True),
        ("Name: default\nDriver: docker\n", "Storage Driver: overlay2", False),
        ("", "Storage Driver: overlay2", False),
    ],
)
def test_a_docker_that_exports_oci_is_told_by_its_builder(inspect: str, info: str, able: bool) -> None:
    assert docker.exports_oci(inspect, info) is able
