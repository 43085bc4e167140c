"""A bare Git repository: read commits, trees, files and notes, and write commits without a work tree.

Reading objects is `objects`' business: one `git` for many questions if it may linger. Everything else runs the program
once per call.
Writers never lose each other's work: a ref moves by compare-and-swap only. Serving is `host`'s business, following an
outside repository `remote`'s; for the latter a `RefMover` moves each ref there first.
"""

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock, SystemClock
from towpath.errors import ConflictError, IntegrityError, NotFoundError, UserError
from towpath.source import git
from towpath.source.commits import LOG_FORMAT, Commit, parse_committed_at, parse_log
from towpath.source.events import BRANCHES, NO_COMMIT, TAGS
from towpath.source.export import export_tree, list_tree
from towpath.source.git import GitError
from towpath.source.objects import ObjectReader
from towpath.source.writing import CommitOrder, check_path, prepare_commit

NOTES = "refs/notes/towpath"
# Refs of our own; hidden from clients.
PRIVATE = "refs/towpath/"
_ABBREVIATION = re.compile("[0-9A-Fa-f]{4,39}")
# The commits that one push makes everyone ask for, and those that environments run.
_REMEMBERED_COMMITS = 64
# 8: each lost race means that another writer got through.
_NOTE_ATTEMPTS = 8
# A lock older than this belongs to a git that died with the machine: our own live for milliseconds.
_STALE_LOCK_SECONDS = 30.0


class StaleBranchError(ConflictError):
    """A ref was moved by someone else since its parent was read."""


class RefMover(Protocol):
    """The outside repository that a mirror follows and writes to."""

    async def move(self, repository: Path, ref: str, *, new: str, old: str | None) -> None:
        """Push a commit; raises `StaleBranchError` when the ref there is no longer at `old`."""
        ...


class GitRepository:
    """One bare repository on disk."""

    def __init__(
        self,
        path: Path,
        *,
        branch: str = "main",
        upstream: RefMover | None = None,
        clock: Clock | None = None,
        new_uid: Callable[[], str] = lambda: secrets.token_hex(8),
        linger_seconds: float = 0.0,
    ) -> None:
        """A repository; with `linger_seconds` a git child stays that long for more questions, until `close`."""
        self.path = path
        self.branch = branch
        self._clock = clock or SystemClock()
        self._upstream = upstream
        self._new_uid = new_uid
        self._notes_lock = asyncio.Lock()
        self._objects = ObjectReader(path, clock=self._clock, linger_seconds=linger_seconds)
        self._read_commits: OrderedDict[str, Commit] = OrderedDict()

    async def init(self) -> None:
        """Make the repository if there is none, and free it from locks that a power failure left."""
        if not (self.path / "HEAD").exists():
            self.path.mkdir(parents=True, exist_ok=True)
            await git.run(None, "init", "--bare", "--quiet", "--template=", str(self.path))
            await git.run(self.path, "symbolic-ref", "HEAD", BRANCHES + self.branch)
        oldest = self._clock.now() - _STALE_LOCK_SECONDS
        for lock in [*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")]:
            if lock.stat().st_mtime < oldest:
                lock.unlink(missing_ok=True)

    async def close(self) -> None:
        """End what lingers."""
        await self._objects.close()

    async def maintain(self) -> None:
        """Pack loose objects when there are many. Takes seconds at most; call it once a day."""
        await git.run(
            self.path,
            "gc",
            "--auto",
            "--quiet",
            config={"gc.auto": "2000", "gc.autoDetach": "false"},
            timeout_seconds=600,
        )

    # --- commits

    async def find_commit(self, rev: str) -> str | None:
        """The full id of the commit a revision names; None when there is none.

        Raises:
            UserError: it is the beginning of several ids.
        """
        if not rev or "\n" in rev or "\x00" in rev:
            return None
        fresh = _ABBREVIATION.fullmatch(rev) is not None
        (found,) = await self._objects.read([f"{rev}^{{commit}}"], contents=False, fresh=fresh)
        return found.id if found is not None and found.type == "commit" else None

    async def get_commit(self, rev: str) -> Commit:
        """The commit a revision names.

        Raises:
            NotFoundError: there is none.
        """
        commit = await self._get_id(rev)
        if commit not in self._read_commits:
            self._read_commits[commit] = (await self.log(commit, limit=1))[0]
            while len(self._read_commits) > _REMEMBERED_COMMITS:
                self._read_commits.popitem(last=False)
        return self._read_commits[commit]

    async def committed_at(self, commit: str) -> float:
        """The time of a commit in seconds since the epoch, without a child of its own. Raises NotFoundError."""
        (found,) = await self._objects.read([await self._get_id(commit)])
        return parse_committed_at(found.content if found is not None else b"")

    async def log(
        self, rev: str, *, paths: Iterable[str] = (), limit: int = 50, after: str = "", first_parent: bool = False
    ) -> list[Commit]:
        """The newest commits that a revision contains, newest first.

        Args:
            rev: where to begin.
            paths: only commits that touch one of these.
            limit: how many at most.
            after: leave out this commit and all it contains.
            first_parent: leave out what merges brought in.

        Raises:
            NotFoundError: there is no such revision.
        """
        commit = await self._get_id(rev)
        options = ["--first-parent"] if first_parent else []
        excluded = [f"^{await self._get_id(after)}"] if after else []
        logged = await git.run(
            self.path,
            "log",
            "-z",
            f"--format={LOG_FORMAT}",
            f"--max-count={limit}",
            *options,
            commit,
            *excluded,
            "--",
            *paths,
        )
        return parse_log(logged.stdout)

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit is contained in another; a commit contains itself.

        Raises:
            NotFoundError: one of them does not exist.
        """
        pair = await self._get_id(ancestor), await self._get_id(descendant)
        compared = await git.run(self.path, "merge-base", "--is-ancestor", *pair, check=False)
        if compared.returncode not in {0, 1}:
            raise GitError(f"git merge-base failed: {git.shown_error(compared.stderr)}")
        return compared.returncode == 0

    # --- trees

    async def tree_ids(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """The id of what stands at each path (a directory's tree, a file's blob); None where there is nothing.

        Raises:
            NotFoundError: there is no such commit.
        """
        commit_id, paths = await self._get_id(commit), list(paths)
        found = await self._objects.read([f"{commit_id}:{_tree_path(path)}" for path in paths], contents=False)
        return {path: one.id if one is not None else None for path, one in zip(paths, found, strict=True)}

    async def find_file(self, commit: str, path: str) -> bytes | None:
        """The content of a file at a commit; None when there is none.

        Raises:
            NotFoundError: there is no such commit.
        """
        commit_id = await self._get_id(commit)
        (found,) = await self._objects.read([f"{commit_id}:{_tree_path(path)}"])
        return found.content if found is not None and found.type == "blob" else None

    async def read(self, commit: str, path: str) -> bytes:
        """The content of a file at a commit.

        Raises:
            NotFoundError: there is no such commit or no such file.
        """
        content = await self.find_file(commit, path)
        if content is None:
            raise NotFoundError(f"file {path} was not found (NotFound): commit {commit[:7]} does not have it")
        return content

    async def paths(self, commit: str, under: str = "") -> list[str]:
        """Every file at a commit, relative to the root, in Git's order; only those under a directory if one is given.

        Raises:
            NotFoundError: there is no such commit.
        """
        tree = (await self.tree_ids(commit, [under]))[under]
        if tree is None:
            return []
        try:
            entries = await list_tree(self.path, tree)
        except GitError:
            return []  # a file stands there
        prefix = f"{under.rstrip('/')}/" if _tree_path(under) else ""
        return [prefix + entry.path for entry in entries]

    async def export(self, commit: str, path: str, destination: Path, *, strict: bool = True) -> None:
        """Write a directory of a commit (`""` for all of it) into an empty or absent directory.

        Args:
            commit: a revision.
            path: the directory in the repository.
            destination: where to; removed again when this fails.
            strict: refuse symbolic links that lead out of the directory; otherwise write them as plain files.

        Raises:
            NotFoundError: there is no such commit or directory.
            UnsafeTreeError: a name or a link leads out.
        """
        tree = (await self.tree_ids(commit, [path]))[path]
        if tree is None:
            raise NotFoundError(f"directory {path} was not found (NotFound): commit {commit[:7]} does not have it")
        await export_tree(self.path, tree, destination, strict=strict)

    # --- refs

    async def refs(self, *prefixes: str) -> dict[str, str]:
        """Full ref name -> commit id of every branch and tag, or of the refs under the prefixes given."""
        # ^{} peels a signed tag to the commit it stands for.
        form = "--format=%(refname)%00%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
        listed = await git.run(self.path, "for-each-ref", form, *(prefixes or (BRANCHES, TAGS)))
        lines = [line.partition("\x00") for line in listed.stdout.decode(errors="replace").splitlines()]
        return {ref: commit for ref, _, commit in lines}

    # --- writing

    async def commit_files(
        self,
        branch: str,
        files: Mapping[str, bytes | None] | Mapping[str, bytes],
        *,
        message: str,
        author: str,
        parent: str | None,
    ) -> str:
        """Commit new contents of some files on a branch that still is at `parent`.

        Args:
            branch: its name, without `refs/heads/`.
            files: path -> content, or None to delete it; all other files stay.
            message: the whole message, trailers included.
            author: `Name <address>`.
            parent: the full id the branch is expected at; None when it must not exist yet.

        Returns:
            The new commit's full id.

        Raises:
            StaleBranchError: the branch is elsewhere; nothing was changed.
            UserError: a path or the author is malformed.
        """
        for path in files:
            check_path(path)
        modes = await self._modes(parent, list(files)) if parent else {}
        order = self._order(parent, message, author)
        commit = await self._write(prepare_commit(order, files, modes))
        await self._move(BRANCHES + branch, new=commit, old=parent)
        return commit

    async def append_note(self, commit: str, line: str) -> None:
        """Add a line to the note of a commit; concurrent writers all get theirs in.

        Raises:
            NotFoundError: there is no such commit.
            StaleBranchError: others kept winning the race.
            UserError: the line has a line break.
        """
        if "\n" in line or "\x00" in line:
            raise UserError("a note could not be written (InvalidLine): it has a line break")
        commit = await self._get_id(commit)
        async with self._notes_lock:
            for attempt in range(_NOTE_ATTEMPTS):
                parent = await self.find_commit(NOTES)
                order = self._order(parent, f"Note on {commit}\n", "Towpath <towpath@localhost>")
                files = await self._with_line(parent, commit, line)
                written = await self._write(prepare_commit(order, files, {}))
                try:
                    await self._move(NOTES, new=written, old=parent)
                except StaleBranchError:
                    if attempt == _NOTE_ATTEMPTS - 1:
                        raise
                else:
                    return

    async def notes(self, commit: str) -> list[str]:
        """The lines noted on a commit, oldest first."""
        commit_id = await self._get_id(commit)
        shown = await git.run(self.path, "notes", f"--ref={NOTES}", "show", commit_id, check=False)
        return shown.stdout.decode(errors="replace").splitlines() if shown.returncode == 0 else []

    async def all_notes(self) -> dict[str, list[str]]:
        """Commit id -> the lines noted on it, for every commit that has any."""
        tip = await self.find_commit(NOTES)
        if tip is None:
            return {}
        entries = await list_tree(self.path, f"{tip}^{{tree}}")
        asked = "".join(f"{entry.id}\n" for entry in entries)
        read = await git.run(self.path, "cat-file", "--batch=%(objectsize)", stdin=asked.encode())
        noted, rest = {}, read.stdout
        for entry in entries:
            size, _, rest = rest.partition(b"\n")
            noted[entry.path.replace("/", "")] = rest[: int(size)].decode(errors="replace").splitlines()
            rest = rest[int(size) + 1 :]
        return noted

    # --- inside

    async def _get_id(self, rev: str) -> str:
        commit = await self.find_commit(rev)
        if commit is not None:
            return commit
        if not await self.refs(BRANCHES):
            raise NotFoundError(
                f"revision {rev} was not found (Empty): the repository has no commit yet", hint="push a first commit"
            )
        raise NotFoundError(f"revision {rev} was not found (NotFound): no commit, branch or tag has that name")

    async def _with_line(self, tip: str | None, commit: str, line: str) -> dict[str, bytes | None]:
        """The files of the notes tree that give a commit one more line, wherever its note stands."""
        entries = await list_tree(self.path, f"{tip}^{{tree}}") if tip else []
        # A note's path is its commit's id, cut into directories as the writer liked; Git reads every such cut.
        paths = [entry.path for entry in entries if entry.path.replace("/", "") == commit]
        lines = [*(await self.notes(commit) if paths else []), line]
        content = "".join(f"{each}\n" for each in lines).encode()
        kept = paths[0] if paths else f"{commit[:2]}/{commit[2:]}"
        return {**dict.fromkeys(paths[1:]), kept: content}

    async def _modes(self, commit: str, paths: list[str]) -> dict[str, str]:
        listed = await git.run(self.path, "ls-tree", "-z", "--full-tree", commit, "--", *paths)
        records = [record.partition("\t") for record in listed.stdout.decode(errors="replace").split("\x00")[:-1]]
        # A link or a submodule that is replaced by content becomes an ordinary file.
        return {path: meta.split()[0] for meta, _, path in records if meta.startswith("100")}

    def _order(self, parent: str | None, message: str, author: str) -> CommitOrder:
        scratch = f"{PRIVATE}scratch/{self._new_uid()}"
        return CommitOrder(scratch, parent, message, author, int(self._clock.now()))

    async def _write(self, stream: bytes) -> str:
        written = await git.run(self.path, "fast-import", "--quiet", "--done", stdin=stream)
        commit = written.stdout.decode().strip()
        if len(commit) < len(NO_COMMIT):
            raise IntegrityError(f"git fast-import answered no commit id (Malformed): got {commit[:80]!r}")
        return commit

    async def _move(self, ref: str, *, new: str, old: str | None) -> None:
        if self._upstream is not None:
            await self._upstream.move(self.path, ref, new=new, old=old)
        moved = await git.run(self.path, "update-ref", ref, new, old or NO_COMMIT, check=False)
        if moved.returncode == 0:
            return
        found = (await self.refs(ref)).get(ref)
        if found == new:
            return
        if found == old:
            raise GitError(f"{ref} could not be moved: {git.shown_error(moved.stderr)}")
        raise StaleBranchError(
            f"{ref} has moved (Stale): got {(found or 'none')[:7]}, expected {(old or 'none')[:7]}",
            hint="read it again and repeat the change",
        )


def _tree_path(path: str) -> str:
    """A path as Git's `<commit>:<path>` takes it; one that cannot exist becomes one that does not."""
    tidy = path.removeprefix("./").strip("/")
    if tidy in {"", "."}:
        return ""
    return tidy if "\n" not in tidy and ".." not in tidy.split("/") else "\x01"
