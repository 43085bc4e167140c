"""The releases of an environment: each distinct set of pins its overlay has named, newest first, read from Git."""

from collections.abc import Mapping
from dataclasses import dataclass

from towpath.blueprint.model import UNRELEASED_TAG, Environment
from towpath.errors import NotFoundError
from towpath.promote.pins import Pin, PinError
from towpath.promote.repository import PlatformRepository, find_overlay_file, pins_at
from towpath.source.commits import Commit


@dataclass(frozen=True, slots=True)
class Release:
    """The pins of one environment at one commit. `commit` is the first that named them."""

    environment: str
    commit: Commit
    pins: Mapping[str, Pin]

    @property
    def tags(self) -> dict[str, str]:
        """The released tags by image name, without placeholders."""
        return {name: pin.tag for name, pin in self.pins.items() if pin.tag not in ("", UNRELEASED_TAG)}


async def read_releases(
    repository: PlatformRepository, branch: str, environment: Environment, *, limit: int = 50
) -> list[Release]:
    """Up to `limit` releases, newest first. A commit whose overlay cannot be read released nothing."""
    head = await repository.find_commit(f"refs/heads/{branch}")
    if head is None:
        return []
    path = await find_overlay_file(repository, head, environment)
    if path is None:
        return []
    releases: list[Release] = []
    for commit in await repository.log(head, paths=(path,), limit=limit * 4):
        try:
            release = Release(environment.name, commit, await pins_at(repository, commit.id, environment))
        except (NotFoundError, PinError):
            continue
        if releases and releases[-1].tags == release.tags:
            releases[-1] = release  # the same pins, named earlier: the release began here
        else:
            releases.append(release)
        if len(releases) > limit:
            break
    return releases[:limit]
