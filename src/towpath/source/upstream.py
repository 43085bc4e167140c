"""Speak to an outside repository by URL: list its refs, mirror them, and move one of them.

Any protocol git speaks, through git. Credentials reach it through a credential helper that reads them from the child's
environment: they are in no argument, no file and no URL, and are given to the URL's own origin only. Every call has a
deadline and a floor under its speed, so that a remote that hangs is an error like one that refuses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from towpath.aio.process import Completed
from towpath.errors import RefusedError, RemoteError, UserError
from towpath.source import git
from towpath.source.events import BRANCHES, TAGS
from towpath.source.git import GitError
from towpath.source.repository import NOTES, StaleBranchError

_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCP_FORM = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)\S+")
_MIRRORED = (BRANCHES, TAGS, NOTES)
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" '
    '"$TOWPATH_GIT_USERNAME" "$TOWPATH_GIT_PASSWORD"; }; f'
)

LIST_SECONDS = 30.0
# A first fetch of a large repository over a slow line; one that stalls is ended by the speed floor long before.
FETCH_SECONDS = 1800.0
# A ref moves seldom; whoever finds one moved three times in a row has met something else.
FETCHES = 3
# Of git's refs/files-backend.c: the ref is not where the fetch found it, or is being written at this moment.
_MOVED_MEANWHILE = re.compile(r"cannot lock ref .*(but expected|already exists|File exists)")

# Old history of real repositories has these faults; they harm nobody.
_TOLERATED = ("zeroPaddedFilemode", "missingSpaceBeforeDate", "badTimezone", "missingSpaceBeforeEmail", "badDate")


class UpstreamError(RemoteError):
    """The outside repository cannot be reached, or did not answer as a Git repository does."""


class UpstreamRefusedError(RefusedError):
    """The outside repository does not let us do this."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An outside repository.

    Attributes:
        url: where it is; without credentials.
        username: for HTTP; empty for none.
        password: a password or an access token.
        speed_floor_seconds: a transfer slower than 1 KB/s for this long is given up.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    speed_floor_seconds: int = 20

    def __post_init__(self) -> None:
        """Refuse a URL that git would take for something else.

        Raises:
            UserError: it is none, or has credentials in it.
        """
        parts = urlsplit(self.url)
        known = parts.scheme in _SCHEMES if "://" in self.url else self.url.startswith("/") or _is_scp(self.url)
        if not known or any(character.isspace() for character in self.url):
            raise UserError(
                f"repository URL {self.url!r} cannot be used (BadURL): "
                f"expected one of {', '.join(_SCHEMES)}, or user@host:path"
            )
        if parts.scheme in {"http", "https"} and "@" in parts.netloc:
            raise UserError(
                f"repository URL of {parts.hostname} cannot be used (Credentials): there is a user name in it",
                hint="give user name and password beside the URL: every process on the machine can read it there",
            )

    def names(self, full_name: str) -> bool:
        """Whether a forge's `owner/name` means this repository, as far as the URL tells."""
        path = urlsplit(self.url).path if "://" in self.url else self.url.rpartition(":")[2]
        return path.strip("/").removesuffix(".git").lower().endswith(full_name.strip("/").lower())

    async def refs(self) -> dict[str, str]:
        """Full ref name -> object id of its branches, tags and our notes; empty for an empty repository.

        Raises:
            UpstreamError: it cannot be reached, or refuses us.
        """
        patterns = [f"{prefix}*" for prefix in _MIRRORED]
        listed = await self._run(None, "ls-remote", "--refs", self.url, *patterns, timeout_seconds=LIST_SECONDS)
        refs = {}
        for line in listed.stdout.decode(errors="replace").splitlines():
            object_id, _, ref = line.partition("\t")
            if ref.startswith(_MIRRORED):
                refs[ref] = object_id
        return refs

    async def fetch(self, repository: Path) -> None:
        """Make a bare repository's branches, tags and notes the same as the remote's.

        Raises:
            UpstreamError: it cannot be reached, or sent what is not sound. Refs moved before that stay moved; the
                next fetch goes on from there.
        """
        refspecs = [f"+{prefix}*:{prefix}*" for prefix in _MIRRORED]
        # Not --atomic: a branch that takes a deleted one's name as its directory needs the deletion done first.
        options = ["--prune", "--no-tags", "--no-write-fetch-head", "--force", "--quiet"]
        fetch = partial(self._run, repository, "fetch", *options, self.url, *refspecs, timeout_seconds=FETCH_SECONDS)
        for _ in range(FETCHES - 1):
            try:
                await fetch()
            except UpstreamError as error:
                # A commit or a note of ours has moved a ref of the mirror meanwhile: the remote is well.
                if not _MOVED_MEANWHILE.search(error.message):
                    raise
            else:
                return
        await fetch()

    async def move(self, repository: Path, ref: str, *, new: str, old: str | None) -> None:
        """Push a commit to a ref that still is at `old` (None: does not exist).

        Raises:
            StaleBranchError: it is elsewhere; nothing was changed.
            UpstreamRefusedError: a rule there forbids it.
            UpstreamError: it cannot be reached.
        """
        lease = f"--force-with-lease={ref}:{old or ''}"
        arguments = ["push", "--porcelain", "--no-verify", lease, self.url, f"{new}:{ref}"]
        try:
            await self._run(repository, *arguments, timeout_seconds=FETCH_SECONDS)
        except _RejectedError as error:
            raise self._rejection(ref, error.line) from error
        except UpstreamError:
            # The answer may have been lost after the push was done.
            if not await self._is_at(ref, new):
                raise

    async def _is_at(self, ref: str, commit: str) -> bool:
        try:
            return (await self.refs()).get(ref) == commit
        except UpstreamError:
            return False

    def _rejection(self, ref: str, line: str) -> Exception:
        if any(sign in line for sign in ("stale info", "fetch first", "non-fast-forward", "already exists")):
            return StaleBranchError(
                f"{ref} has moved at {self.url} (Stale): {line}", hint="fetch, and repeat the change on what is there"
            )
        return UpstreamRefusedError(
            f"{self.url} does not take a commit on {ref} (Rejected): {line}",
            hint="allow the user to push there, or lift the branch's protection for it",
        )

    async def _run(self, repository: Path | None, *arguments: str, timeout_seconds: float) -> Completed:
        try:
            completed = await git.run(
                repository,
                *arguments,
                config=self._configuration(),
                env=self._environment(),
                timeout_seconds=timeout_seconds,
                check=False,
            )
        except GitError as error:
            raise UpstreamError(f"{self.url} did not answer (Timeout): {error.message}") from error
        if completed.returncode == 0:
            return completed
        rejected = [line for line in completed.stdout.decode(errors="replace").splitlines() if line.startswith("!")]
        if rejected:
            raise _RejectedError(rejected[0].rpartition("\t")[2])
        raise _failure(self.url, git.shown_error(completed.stderr))

    def _configuration(self) -> dict[str, str]:
        configuration = {
            "http.lowSpeedLimit": "1000",
            "http.lowSpeedTime": str(self.speed_floor_seconds),
            "http.followRedirects": "initial",
            "credential.helper": "",
            "fetch.fsckObjects": "true",
            **{f"fetch.fsck.{fault}": "ignore" for fault in _TOLERATED},
        }
        if self.password:
            parts = urlsplit(self.url)
            configuration[f"credential.{parts.scheme}://{parts.netloc}.helper"] = _HELPER
        return configuration

    def _environment(self) -> Mapping[str, str]:
        environment = {
            "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES),
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
        }
        if self.password:
            environment |= {"TOWPATH_GIT_USERNAME": self.username, "TOWPATH_GIT_PASSWORD": self.password}
        return environment


async def local_refs(repository: Path) -> dict[str, str]:
    """Full ref name -> object id of what `Upstream.refs` tells of the remote."""
    listed = await git.run(repository, "for-each-ref", "--format=%(refname)%00%(objectname)", *_MIRRORED)
    pairs = [line.partition("\x00") for line in listed.stdout.decode(errors="replace").splitlines()]
    return {ref: object_id for ref, _, object_id in pairs}


class _RejectedError(Exception):
    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


def _is_scp(url: str) -> bool:
    return _SCP_FORM.fullmatch(url) is not None and not url.startswith("-")


def _failure(url: str, said: str) -> UpstreamError:
    if re.search(r"Authentication failed|could not read (Username|Password)|Permission denied|\b40[13]\b", said):
        return UpstreamError(
            f"{url} refuses our credentials (Unauthorized): {said}",
            hint="check the user name and the access token; it needs to read, and to write for promotions",
        )
    if re.search(r"not found|does not exist|does not appear to be a git repository|\b404\b", said, re.IGNORECASE):
        return UpstreamError(
            f"{url} was not found (NotFound): {said}", hint="check the URL, and what the token may see"
        )
    return UpstreamError(f"{url} could not be read (Unreachable): {said}", hint="it is tried again by itself")
