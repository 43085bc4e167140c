"""Commits as a stream for `git fast-import`. Pure.

One child writes all objects of a commit. It writes them under a scratch ref that the same stream removes again, and
answers with the new commit's id; moving the real ref is a compare-and-swap of its own, so that a commit made on an
outdated parent never becomes visible.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from towpath.errors import UserError
from towpath.source.events import NO_COMMIT

_IDENTITY = re.compile(r"[^<>\n\x00]+ <[^<>\n\x00]*>")


@dataclass(frozen=True, slots=True)
class CommitOrder:
    """What to commit.

    Attributes:
        scratch: a ref nobody else uses.
        parent: a full commit id, or None for the first commit.
        message: the whole message.
        author: `Name <address>`.
        time: wall time in whole seconds since the epoch.
    """

    scratch: str
    parent: str | None
    message: str
    author: str
    time: int


def prepare_commit(order: CommitOrder, files: Mapping[str, bytes | None], modes: Mapping[str, str]) -> bytes:
    """A commit that replaces some files and leaves all others.

    Args:
        order: what to commit.
        files: path -> new content, or None to delete it.
        modes: path -> the mode it has; a path without one becomes an ordinary file.

    Raises:
        UserError: a path or the author is malformed.
    """
    changes = []
    for path, content in files.items():
        check_path(path)
        if content is None:
            changes.append(b"D " + _quoted(path) + b"\n")
        else:
            mode = modes.get(path, "100644").encode()
            changes.append(b"M " + mode + b" inline " + _quoted(path) + b"\n" + _data(content))
    return _stream(order, changes)


def check_path(path: str) -> None:
    """Refuse a path Git could not store or a checkout could not hold.

    Raises:
        UserError: it is malformed.
    """
    parts = path.split("/")
    if "\x00" in path or any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
        raise UserError(f"path {path!r} cannot be committed (InvalidPath): expected a path inside the repository")


def _stream(order: CommitOrder, changes: list[bytes]) -> bytes:
    if not _IDENTITY.fullmatch(order.author):
        raise UserError(f"author {order.author!r} is malformed (InvalidAuthor): expected Name <address>")
    identity = order.author.encode()
    when = f" {order.time} +0000\n".encode()
    return b"".join(
        [
            b"feature done\n",
            f"commit {order.scratch}\nmark :1\n".encode(),
            b"author " + identity + when,
            b"committer Towpath <towpath@localhost>" + when,
            _data(order.message.encode()),
            f"from {order.parent}\n".encode() if order.parent else b"",
            *changes,
            b"\nget-mark :1\n",
            f"reset {order.scratch}\nfrom {NO_COMMIT}\n\ndone\n".encode(),
        ]
    )


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _quoted(path: str) -> bytes:
    escaped = path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
