"""What a tag says: `sha-<7>` names an artifact for ever, everything else is a channel that moves.

`sha-` plus the first seven digits of the commit is the convention of docker/metadata-action, so images built by GitHub
Actions and images built by Towpath carry the same tags.
"""

import re

SHA_PREFIX = "sha-"
SHORT_LENGTH = 7

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SHA_TAG = re.compile(r"sha-([0-9a-f]{7,64})")


def sha_tag(commit: str) -> str:
    """The artifact tag of a commit: `sha-` and its first seven digits.

    Raises:
        ValueError: this is not a commit id of at least seven lower-case hexadecimal digits.
    """
    if not _COMMIT.fullmatch(commit):
        raise ValueError(f"not a commit id: {commit!r}")
    return SHA_PREFIX + commit[:SHORT_LENGTH]


def parse_sha_tag(tag: str) -> str | None:
    """The commit prefix that an artifact tag names, or None when the tag is not of that form."""
    matched = _SHA_TAG.fullmatch(tag)
    return matched.group(1) if matched else None


def is_immutable(tag: str) -> bool:
    """Whether the registry refuses to move this tag once it is set."""
    return tag.startswith(SHA_PREFIX)


def is_channel(tag: str) -> bool:
    """Whether this tag may point elsewhere tomorrow, so that its digest must be resolved and recorded."""
    return bool(tag) and not is_immutable(tag)
