"""What `towpath git-credential` says to git: the credential helper protocol (gitcredentials(7)). Pure.

Git writes `key=value` lines and a blank line, and reads the same. A helper that knows nothing stays silent, and git
asks the next one. Ours knows the platform's own address only.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from towpath.errors import UserError


class CredentialRequestError(UserError):
    """What git asked is malformed."""


@dataclass(frozen=True, slots=True)
class GitCredential:
    """A user name and a password for one origin, such as `http://127.0.0.1:7070`."""

    origin: str
    username: str
    password: str = field(repr=False)


def parse_attributes(text: str) -> dict[str, str]:
    """The attributes git wrote, up to the first blank line; a `url` is taken apart as git does.

    Raises:
        CredentialRequestError: a line has no `=`, or a value could be mistaken for more lines.
    """
    attributes: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            break
        key, equals, value = line.partition("=")
        if not equals or "\x00" in line or "\r" in line:
            raise CredentialRequestError(
                f"credential request is malformed (Malformed): got {line[:40]!r}, expected key=value"
            )
        if key == "url":
            parts = urlsplit(value)
            attributes |= {"protocol": parts.scheme, "host": parts.netloc.rpartition("@")[2], "path": parts.path[1:]}
        else:
            attributes[key] = value
    return attributes


def format_attributes(attributes: dict[str, str]) -> str:
    """The inverse of `parse_attributes`.

    Raises:
        CredentialRequestError: a value has a line break, and git would read another attribute.
    """
    for key, value in attributes.items():
        if any(mark in value for mark in "\n\r\x00"):
            raise CredentialRequestError(f"credential {key} is malformed (LineBreak): it would be read as two")
    return "".join(f"{key}={value}\n" for key, value in attributes.items())


def answer(operation: str, text: str, credential: GitCredential | None) -> str:
    """What to print for `towpath git-credential <operation>`.

    Args:
        operation: `get`, `store` or `erase`; git may invent more, which are to be ignored.
        text: what git wrote.
        credential: the platform's own, if there is a platform.

    Returns:
        The credentials if git asks for the platform's origin (and for that user, or any); otherwise nothing.

    Raises:
        CredentialRequestError: what git wrote is malformed.
    """
    if operation != "get" or credential is None:
        return ""
    asked = parse_attributes(text)
    origin = urlsplit(credential.origin)
    if (asked.get("protocol"), asked.get("host", "").lower()) != (origin.scheme, origin.netloc.lower()):
        return ""
    if asked.get("username", credential.username) != credential.username:
        return ""
    return format_attributes({"username": credential.username, "password": credential.password})
