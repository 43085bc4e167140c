"""References to artifacts: `registry/repository[:tag][@digest]`.

The grammar is the distribution specification's, with the defaults of every container tool: no registry means
`docker.io`, and a single-word repository there lives under `library/`. A tag beside a digest is kept (people read the
tag, machines pull the digest).
"""

import re
from dataclasses import dataclass, replace
from typing import Self

from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.syntax import InvalidTextError, describe_character

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
# 255: the limit of every registry for host and repository together; longer names break clients' file systems.
NAME_LIMIT = 255
TAG_LIMIT = 128

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HOST = re.compile(
    r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_PORT = re.compile(r":[0-9]{1,5}")


class InvalidReferenceError(InvalidTextError):
    """A text that is not an image reference, a repository name or a tag."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. Build it with `parse`; the fields are then valid."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference. Raises InvalidReferenceError with the place of the problem."""
        if not text:
            raise InvalidReferenceError("reference", text, "expected registry/repository:tag, got nothing", position=0)
        if "://" in text:
            problem = "a reference has no scheme"
            raise InvalidReferenceError(
                "reference", text, problem, position=text.index("://"), hint="leave the scheme out"
            )
        name, at, digest_text = text.partition("@")
        digest = _parse_digest(text, digest_text, len(name) + 1) if at else None
        slash = name.rfind("/")
        colon = name.find(":", slash + 1)
        tag = ""
        if colon >= 0:
            tag = name[colon + 1 :]
            _check_tag(text, tag, colon + 1)
            name = name[:colon]
        registry, start = _split_registry(text, name)
        repository = name[start:]
        _check_repository(text, repository, start)
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        if len(registry) + 1 + len(repository) > NAME_LIMIT:
            problem = f"registry and repository have at most {NAME_LIMIT} characters together, got {len(name)}"
            raise InvalidReferenceError("reference", text, problem, position=NAME_LIMIT)
        return cls(registry, repository, tag, digest)

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What a manifest request names: the digest, else the tag, else `latest`."""
        return str(self.digest) if self.digest else self.tag or DEFAULT_TAG

    def with_tag(self, tag: str) -> Self:
        """The same repository at another tag, without a digest. Raises InvalidReferenceError."""
        return replace(self, tag=parse_tag(tag), digest=None)

    def with_digest(self, digest: Digest) -> Self:
        """The same reference pinned to a digest; the tag stays for people to read."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_repository(text: str) -> str:
    """Check a bare repository name (`team/app`) and return it. Raises InvalidReferenceError."""
    _check_repository(text, text, 0)
    if len(text) > NAME_LIMIT:
        problem = f"a repository name has at most {NAME_LIMIT} characters, got {len(text)}"
        raise InvalidReferenceError("repository", text, problem, position=NAME_LIMIT)
    return text


def parse_tag(text: str) -> str:
    """Check a bare tag and return it. Raises InvalidReferenceError."""
    _check_tag(text, text, 0)
    return text


def _split_registry(text: str, name: str) -> tuple[str, int]:
    """The registry and where the repository starts in `name`."""
    first, slash, _ = name.partition("/")
    # Docker's rule: the first component is a host only if it could not be a repository component, or is `localhost`.
    looks_like_host = first == "localhost" or any(c in ".:[" for c in first) or (slash and first != first.lower())
    if not looks_like_host:
        return DEFAULT_REGISTRY, 0
    if not slash:
        if ":" not in first and first != "localhost":
            return DEFAULT_REGISTRY, 0  # `my.app` alone is a repository
        problem = f"{first!r} is a registry without a repository"
        raise InvalidReferenceError("reference", text, problem, position=len(first), hint=f"write {first}/<repository>")
    host = _HOST.match(first)
    end = host.end() if host else 0
    port = _PORT.match(first, end) if host else None
    end = port.end() if port else end
    if end != len(first):
        problem = f"{describe_character(first, end)} is not allowed in a registry host"
        raise InvalidReferenceError("reference", text, problem, position=end)
    return first, len(first) + 1


def _check_repository(text: str, repository: str, start: int) -> None:
    position = 0
    for component in repository.split("/"):
        matched = _COMPONENT.match(component)
        length = matched.end() if matched else 0
        if not component:
            problem = "a repository component is empty"
            raise InvalidReferenceError("reference", text, problem, position=start + position)
        if length != len(component):
            problem = f"{describe_character(component, length)} is not allowed here in a repository name"
            hint = "use lower-case letters, digits, and single . _ - between them"
            raise InvalidReferenceError("reference", text, problem, position=start + position + length, hint=hint)
        position += len(component) + 1


def _check_tag(text: str, tag: str, start: int) -> None:
    if not tag:
        raise InvalidReferenceError("reference", text, "the tag is empty", position=start)
    matched = _TAG.match(tag)
    length = matched.end() if matched else 0
    if length != len(tag):
        problem = f"{describe_character(tag, length)} is not allowed here in a tag"
        raise InvalidReferenceError("reference", text, problem, position=start + length)
    if len(tag) > TAG_LIMIT:
        problem = f"a tag has at most {TAG_LIMIT} characters, got {len(tag)}"
        raise InvalidReferenceError("reference", text, problem, position=start + TAG_LIMIT)


def _parse_digest(text: str, digest: str, start: int) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidDigestError as error:
        raise InvalidReferenceError("reference", text, error.problem, position=start + error.position) from error
