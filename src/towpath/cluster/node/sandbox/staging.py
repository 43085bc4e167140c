"""Which mounts are put together before bubblewrap runs (pure).

Bubblewrap finds a mount point by its path, as the platform's user and with the host's files in reach. Below a volume
that path is made of what containers wrote there, and one link would lead it out to the host. So a volume with mounts
inside, and a part of a volume (`Mount.inner`), are put together beforehand under `Sandbox.stage`, without following any
link; bubblewrap then binds the whole. `binds` carries the steps out. Paths in the image: `layer_paths`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from towpath.cluster.node.sandbox.argv import Mount, Sandbox, is_below


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Bind `source/inner` at `target/below`; without a source, only make that directory if it can be made."""

    source: str = ""
    inner: str = ""
    target: str
    below: str
    read_only: bool = False
    make: bool = True  # the mount point, if it is missing
    shown: str  # where the container sees it, for messages


def plan_staging(sandbox: Sandbox) -> tuple[Sandbox, list[Step]]:
    """The sandbox as bubblewrap gets it, with no mount inside another, and what has to be done before."""
    trees = _group(sandbox.mounts)
    steps: list[Step] = []
    mounts = []
    places: dict[str, tuple[str, str]] = {}  # of the outermost mounts: where on the host they are written through
    for number, (first, *nested) in enumerate(trees.values()):
        if not nested and not first.inner:
            mounts.append(first)
            places[first.destination] = first.source, ""
            continue
        place = str(number)
        steps.append(_step(first, target=sandbox.stage, below=place))
        for mount in nested:
            below = f"{place}/{_relative(mount.destination, first.destination)}"
            around = [
                one for one in (first, *nested) if one is not mount and is_below(mount.destination, one.destination)
            ]
            make = not max(around, key=_depth).read_only
            steps.append(_step(mount, target=sandbox.stage, below=below, make=make))
        # What is read-only in it stays so; told to bubblewrap, it would be for everything inside.
        mounts.append(Mount(f"{sandbox.stage}/{place}", first.destination))
        places[first.destination] = sandbox.stage, place
    return replace(sandbox, mounts=mounts), [*steps, *_plan_directory(sandbox.directory, trees, places)]


def _group(mounts: Sequence[Mount]) -> Mapping[str, list[Mount]]:
    """The outermost mounts, each with those inside of it, outer ones first; of two in one place the later counts."""
    by_destination = {mount.destination: mount for mount in mounts}
    trees: dict[str, list[Mount]] = {}
    for mount in sorted(by_destination.values(), key=_depth):
        outermost = next((top for top in trees if is_below(mount.destination, top)), mount.destination)
        trees.setdefault(outermost, []).append(mount)
    return trees


def _plan_directory(
    directory: str, trees: Mapping[str, list[Mount]], places: Mapping[str, tuple[str, str]]
) -> list[Step]:
    """A working directory inside a volume is made there, as a runtime does."""
    for top, members in trees.items():
        if directory == top or not is_below(directory, top):
            continue
        nearest = max((mount for mount in members if is_below(directory, mount.destination)), key=_depth)
        if nearest.read_only:
            return []
        target, place = places[top]
        return [Step(target=target, below=f"{place}/{_relative(directory, top)}", shown=directory)]
    return []


def _step(mount: Mount, *, target: str, below: str, make: bool = True) -> Step:
    return Step(
        source=mount.source,
        inner=mount.inner,
        target=target,
        below=below,
        read_only=mount.read_only,
        make=make,
        shown=mount.destination,
    )


def _depth(mount: Mount) -> int:
    return mount.destination.count("/")


def _relative(path: str, top: str) -> str:
    return path.removeprefix(top).lstrip("/")
