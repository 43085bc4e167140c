"""What a platform repository declares: its services and its environments.

Plain values with every convention already applied; `load` makes them from `towpath.yaml` and the repository's paths.
Nothing here does I/O. The format is documented in `docs/blueprint.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from towpath.errors import NotFoundError

BLUEPRINT_FILE = "towpath.yaml"
SERVICES_DIRECTORY = "services"
OVERLAYS_DIRECTORY = "k3s/overlays"
KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

DEFAULT_REGISTRY_HOST = "127.0.0.1:7070"
DEFAULT_BRANCH = "main"
DEFAULT_CHANNEL = "canary"
DEFAULT_BASE = "host"
# No base at all: an image of the service's own files.
SCRATCH_BASE = "scratch"
# Where a service's own files stand in its image.
DEFAULT_INTO = "/app"
DEFAULT_PORT = 8080
OPTIONAL, REQUIRED = "optional", "required"
HEAL, REPORT = "heal", "report"
DEFAULT_ENGINE = "auto"
# What can build a Dockerfile; `auto` takes the first that is installed and works.
ENGINES = (DEFAULT_ENGINE, "buildah", "podman", "docker", "buildkit")
# 65532: the "nonroot" user of the common minimal images; owns nothing on any host.
DEFAULT_USER = "65532:65532"
# A minute: long enough to see a crash loop or a failing probe, short enough for a person to wait.
DEFAULT_SOAK_SECONDS = 60.0

# The tag an overlay carries before the first promotion. No artifact ever has it: whoever renders an overlay reports
# the workload as not yet promoted instead of letting a node try to pull it.
UNRELEASED_TAG = "unreleased"
# What every image tells its process about itself: the tag of its artifact, and the commit it was built from.
VERSION_VARIABLE = "TOWPATH_VERSION"
COMMIT_VARIABLE = "TOWPATH_COMMIT"
# The name every environment's namespace gives its pull secret.
PULL_SECRET = "towpath-pull"  # noqa: S105 - the name of a Secret, not a secret

V = TypeVar("V")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Service:
    """A source directory that becomes an image.

    Attributes:
        name: a DNS label; the last part of the image's repository.
        path: the directory, relative to the repository's root, without a trailing slash.
        base: `host`, `scratch`, or the reference of the image to build on.
        entrypoint: the program and its arguments; empty when the builder is to find it by its conventions.
        env: variables set in the image.
        port: the port it listens on.
        user: `uid` or `uid:gid`, numeric.
        requirements: the lock file of its Python packages, relative to the directory; empty for the conventional ones,
            None for no packages.
        static: the directory of files to serve, relative to the directory; empty when it is no static site.
        into: where static files stand in the image.
        binary: the program to run, relative to the directory; `{os}` and `{arch}` stand for the platform's. Empty when
            it is no prebuilt program.
        dockerfile: the Dockerfile, relative to the directory; empty when there is none, or it is found by convention.
        target: the stage of the Dockerfile to build; empty for the last.
        build_args: the Dockerfile's arguments.
        secrets: names of the files that its steps may read while they run.
        engine: the program that builds the Dockerfile, one of `ENGINES`.
    """

    name: str
    path: str
    base: str = DEFAULT_BASE
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = DEFAULT_PORT
    user: str = DEFAULT_USER
    requirements: str | None = ""
    static: str = ""
    into: str = DEFAULT_INTO
    binary: str = ""
    dockerfile: str = ""
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    engine: str = DEFAULT_ENGINE


@dataclass(frozen=True, slots=True)
class Environment:
    """An overlay and what must hold before a version enters it.

    Attributes:
        name: a DNS label.
        overlay: the directory of its kustomization, relative to the repository's root.
        promotes_from: the environment whose versions may be promoted into this one; None for the first.
        soak_seconds: how long a version must have been healthy there without a break.
        attestation: `required` when only versions may enter that a key trusted by the platform stands for.
        drift: `heal` to undo what is changed behind Git's back, `report` to tell of it only.
    """

    name: str
    overlay: str
    promotes_from: str | None = None
    soak_seconds: float = DEFAULT_SOAK_SECONDS
    attestation: str = OPTIONAL
    drift: str = HEAL


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the embedded registry keeps.

    Attributes:
        collects_daily: whether unneeded images are removed by themselves.
        history_seconds: what an overlay named at any commit within it stays. 90 days: a season of looking back.
        releases: how many of the last good releases of each environment stay, however old.
        sets: how many of the newest sets stay.
        grace_seconds: what was pushed or asked for within it stays. Two hours: longer than any push takes.
        outside_tags: how many tags stay in a repository of no service; None for all of them.
        scrub_seconds: how often everything is read again to find bit rot; None for never.
        quota: the most bytes by glob of repositories, `total` for all of them.
    """

    collects_daily: bool = False
    history_seconds: float = 90 * 86_400.0
    releases: int = 5
    sets: int = 10
    grace_seconds: float = 7200.0
    outside_tags: int | None = None
    scrub_seconds: float | None = 7 * 86_400.0
    quota: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The services and environments of one platform repository.

    Attributes:
        name: a DNS label.
        registry: host and path prefix of every image, as in `127.0.0.1:7070/my-homelab`.
        branch: the only branch that is built and reconciled.
        channel: the moving tag that follows the branch.
        source: where the repository is found, for images to name; empty for its Git remote.
        services: by name, in alphabetical order.
        environments: by name, in the order a version passes through them.
        keeping: what the embedded registry keeps.
    """

    name: str
    registry: str
    branch: str = DEFAULT_BRANCH
    channel: str = DEFAULT_CHANNEL
    source: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    keeping: Keeping = field(default_factory=Keeping)

    def get_service(self, name: str) -> Service:
        """The service of that name.

        Raises:
            NotFoundError: there is none; the hint names those there are.
        """
        return _get(self.services, name, subject="service")

    def get_environment(self, name: str) -> Environment:
        """The environment of that name.

        Raises:
            NotFoundError: there is none; the hint names those there are.
        """
        return _get(self.environments, name, subject="environment")

    def image(self, service: str) -> str:
        """The image name of a service, without a tag: `127.0.0.1:7070/my-homelab/sensor`."""
        return f"{self.registry}/{service}"


def is_label(text: str) -> bool:
    """Whether `text` is a DNS label (RFC 1123): what Kubernetes accepts as a name everywhere."""
    return _LABEL.fullmatch(text) is not None


def platform_name(directory_name: str) -> str:
    """A platform's name made from its directory's: lower case, hyphens for the rest; `platform` if nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", directory_name.lower()).strip("-")[:63].strip("-") or "platform"


def _get(known: Mapping[str, V], name: str, *, subject: str) -> V:
    if name in known:
        return known[name]
    names = ", ".join(known) or "none"
    raise NotFoundError(
        f"{subject} {name} is not known (NotFound): the blueprint has {names}",
        hint=f"name one of them, or add it to {BLUEPRINT_FILE}",
    )
