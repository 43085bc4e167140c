"""What a build by hand is to build: a commit, or the work tree as it stands.

A clean work tree is built as its commit, byte for byte what CI builds, and tagged `sha-<7>`. A dirty one is built as it
stands and tagged `dirty-<7>`, which moves and never passes for a commit's. Only what the chosen services are made of
counts: their directories, and the blueprint.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import BLUEPRINT_FILE, UNRELEASED_TAG, Blueprint, Service, platform_name
from towpath.build.context import LEFT_OUT
from towpath.ci.order import Order, WorkContext
from towpath.ci.ports import Snapshot
from towpath.errors import NotFoundError, TowpathError, UserError
from towpath.oci.reference import Reference, parse_tag
from towpath.oci.tags import is_immutable, sha_tag
from towpath.server.blueprints import Blueprints
from towpath.server.trees import RepositoryTrees
from towpath.source.repository import GitRepository
from towpath.source.worktree import WorkTree, find_worktree

DIRTY = "dirty"
# 1980-01-01, the oldest time that every archive format can hold: for what no commit gives a time.
_NO_TIME = 315532800.0
# The last second that a time in an image's configuration can name (RFC 3339 has four digits for the year).
_LAST_TIME = 253402300799
_SHORT = 7
_EPOCH = "SOURCE_DATE_EPOCH"
# A build asks Git a dozen questions: one child answers them all.
_LINGER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for. What is empty stands for the default: all services, the work tree, its own tag."""

    services: tuple[str, ...] = ()
    commit: str = ""
    tag: str = ""
    registry: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be built.

    Attributes:
        order: for the build.
        changes: files of the work tree that no commit has; empty for a clean one.
        source_url: where the repository is found; empty when nowhere.
        repository: where the commit is read, to be closed by whoever takes it; None outside of Git.
        trees: the repository as CI reads it, for a commit; None for a work tree.
    """

    order: Order
    changes: tuple[str, ...] = ()
    source_url: str = ""
    repository: GitRepository | None = None
    trees: RepositoryTrees | None = None


async def find_order(root: Path, wanted: Wanted, *, address: str, environ: Mapping[str, str]) -> Found:
    """Decide what to build.

    Args:
        root: the platform repository.
        wanted: what the user asked for.
        address: where the embedded registry is, for blueprints that name none.
        environ: `SOURCE_DATE_EPOCH` is looked up in it, for builds that no commit gives a time.

    Raises:
        BlueprintError: the blueprint is wrong.
        NotFoundError: there is no such service or commit.
        UserError: another wish cannot be granted.
    """
    tree = await find_worktree(root)
    if tree is None:
        return _outside_git(root, wanted, address, environ)
    repository = GitRepository(tree.git_directory, linger_seconds=_LINGER_SECONDS)
    try:
        return await _in_git(root, wanted, tree, repository, address=address, environ=environ)
    except BaseException:
        await repository.close()
        raise


async def _in_git(
    root: Path,
    wanted: Wanted,
    tree: WorkTree,
    repository: GitRepository,
    *,
    address: str,
    environ: Mapping[str, str],
) -> Found:
    blueprints = Blueprints(repository, default_name=platform_name(root.name), address=address)
    trees = RepositoryTrees(repository, blueprints, branch="")
    asked = await _ask(tree, repository, trees, wanted)
    commit = asked.commit
    if wanted.commit and not commit:
        raise NotFoundError(f"commit {wanted.commit} was not found (NotFound)", hint="git log --oneline lists them")
    if asked.changes or not commit:
        files = await tree.files(".")
        blueprint = _with_registry(_read_blueprint(root, files, address), wanted.registry)
        chosen = _choose(blueprint, wanted.services)
        changes = _touching(asked.changes, [BLUEPRINT_FILE, *(service.path for service in chosen)])
        if changes or not commit:
            time = await repository.committed_at(commit) if commit else _NO_TIME
            order = _dirty_order(tree.root, files, blueprint, chosen, wanted, commit=commit, time=_epoch(environ, time))
            return Found(order, changes or ("everything",), asked.source_url, repository)
    if not isinstance(asked.snapshot, Snapshot):
        raise asked.snapshot
    snapshot = replace(asked.snapshot, blueprint=_with_registry(asked.snapshot.blueprint, wanted.registry))
    order = Order(snapshot, _choose(snapshot.blueprint, wanted.services), _tag(wanted, sha_tag(commit)))
    return Found(order, (), asked.source_url, repository, trees)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What Git says.

    Attributes:
        source_url: where the repository is found; empty when nowhere.
        commit: the full id of the commit that is wanted, or that the work tree is at; empty for none.
        snapshot: of that commit, or why it cannot be read: a work tree may have mended it.
        changes: everything in the work tree that no commit has; nothing when a commit is wanted.
    """

    source_url: str
    commit: str
    snapshot: Snapshot | TowpathError
    changes: Sequence[str]


async def _ask(tree: WorkTree, repository: GitRepository, trees: RepositoryTrees, wanted: Wanted) -> _Asked:
    """Questions that do not depend on each other, side by side: each waits for a git of its own."""

    async def read_commit() -> tuple[str, Snapshot | TowpathError]:
        commit = await repository.find_commit(wanted.commit or "HEAD") or ""
        try:
            return commit, await trees.snapshot(commit)
        except TowpathError as error:
            return commit, error

    async def find_changes() -> Sequence[str]:
        return [] if wanted.commit else await tree.changes(["."])

    try:
        async with asyncio.TaskGroup() as group:
            source_url = group.create_task(tree.find_remote("towpath", "origin"))
            changes = group.create_task(find_changes())
            read = group.create_task(read_commit())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures.exceptions[0].__cause__
    return _Asked(source_url.result(), *read.result(), changes.result())


def _touching(changes: Iterable[str], paths: Sequence[str]) -> tuple[str, ...]:
    """The changes at, below or around some paths; a repository in the work tree is one change that ends with `/`."""
    if "." in paths:
        return tuple(changes)
    return tuple(
        change
        for change in changes
        if any(change == path or change.startswith(f"{path}/") for path in paths)
        or (change.endswith("/") and any(f"{path}/".startswith(change) for path in paths))
    )


def _dirty_order(
    root: Path,
    files: frozenset[str],
    blueprint: Blueprint,
    chosen: tuple[Service, ...],
    wanted: Wanted,
    *,
    commit: str,
    time: float,
) -> Order:
    # No commit: what is built is in none, and an image that names one would say otherwise.
    snapshot = Snapshot("", time, blueprint, {})
    contexts = {service.name: WorkContext(root / service.path, _below(files, service.path)) for service in chosen}
    return Order(snapshot, chosen, _tag(wanted, f"{DIRTY}-{commit[:_SHORT]}" if commit else DIRTY), contexts)


def _below(files: frozenset[str], directory: str) -> frozenset[str]:
    """The files below a directory, relative to it."""
    prefix = "" if directory == "." else f"{directory}/"
    return frozenset(file.removeprefix(prefix) for file in files if file.startswith(prefix))


def _outside_git(root: Path, wanted: Wanted, address: str, environ: Mapping[str, str]) -> Found:
    if wanted.commit:
        raise UserError(
            f"commit {wanted.commit} cannot be built (NoRepository): {root} is in no Git repository", hint="git init"
        )
    blueprint = _with_registry(_read_blueprint(root, _walk(root), address), wanted.registry)
    chosen = _choose(blueprint, wanted.services)
    contexts = {service.name: WorkContext(root / service.path) for service in chosen}
    snapshot = Snapshot("", _epoch(environ, _NO_TIME), blueprint, {})
    return Found(Order(snapshot, chosen, _tag(wanted, DIRTY), contexts), ("everything",))


def _walk(root: Path) -> frozenset[str]:
    paths = set()
    for parent, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in LEFT_OUT]
        paths |= {Path(parent, name).relative_to(root).as_posix() for name in names}
    return frozenset(paths)


def _read_blueprint(root: Path, paths: frozenset[str], address: str) -> Blueprint:
    try:
        text = (root / BLUEPRINT_FILE).read_text()
    except FileNotFoundError:
        text = None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{BLUEPRINT_FILE} cannot be read (Unreadable): {error}") from error
    existing = [path for path in paths if (root / path).exists()]
    return load_blueprint(text, existing, default_name=platform_name(root.name), default_registry_host=address)


def _with_registry(blueprint: Blueprint, registry: str) -> Blueprint:
    if not registry:
        return blueprint
    prefix = registry.rstrip("/")
    Reference.parse(f"{prefix}/service")  # raises with the place of the problem
    return replace(blueprint, registry=prefix)


def _choose(blueprint: Blueprint, names: tuple[str, ...]) -> tuple[Service, ...]:
    chosen = tuple(blueprint.get_service(name) for name in dict.fromkeys(names)) or tuple(blueprint.services.values())
    if not chosen:
        raise NotFoundError(
            "there is nothing to build (NoServices): the blueprint has no service",
            hint="add a directory under services/ with a main.py",
        )
    return chosen


def _tag(wanted: Wanted, default: str) -> str:
    if not wanted.tag:
        return default
    tag = parse_tag(wanted.tag)
    if (is_immutable(tag) and tag != default) or tag == UNRELEASED_TAG:
        what = "the tag of what was never built" if tag == UNRELEASED_TAG else "the form of a commit's tag"
        raise UserError(
            f"tag {tag} cannot be chosen (TagReserved): it has {what}, and this build's own is {default}",
            hint="choose another one, such as try-1; without --tag it is the right one",
        )
    return tag


def _epoch(environ: Mapping[str, str], default: float) -> float:
    text = environ.get(_EPOCH, "")
    if not text:
        return default
    if not text.isdecimal():
        raise UserError(
            f"{_EPOCH} cannot be used (NotANumber): got {text}, expected seconds since the epoch",
            hint=f"export {_EPOCH}=$(git log -1 --format=%ct), or unset it",
        )
    if len(text.lstrip("0")) > len(str(_LAST_TIME)) or int(text) > _LAST_TIME:
        raise UserError(
            f"{_EPOCH} cannot be used (OutOfRange): got {text[:40]}, expected at most {_LAST_TIME}, the end of 9999",
            hint="give seconds, not milliseconds",
        )
    return float(text)
