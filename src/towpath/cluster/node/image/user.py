"""Which user a container runs as: `securityContext`, else what the image says, by number or by name."""

from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError

# 1 MiB: some 20,000 users; an image may have made the file as large as a disk.
MOST_CHARACTERS = 1 << 20
_PASSWD_FIELDS, _GROUP_FIELDS = 4, 3


class UnknownUserError(UserError):
    """The image names a user or group that its files do not know."""


@dataclass(frozen=True, slots=True)
class User:
    """A user and a group, as numbers; `home` for `$HOME`."""

    uid: int = 0
    gid: int = 0
    home: str = "/"


def resolve_user(text: str, *, passwd: str, group: str) -> User:
    """The user an image's `User` means: `1000`, `1000:1000`, `app`, `app:staff` or nothing (root).

    Args:
        text: the image's `User`.
        passwd: the content of the image's `/etc/passwd`.
        group: the content of its `/etc/group`.

    Raises:
        UnknownUserError: a name that the files do not hold.
    """
    name, colon, group_name = text.partition(":")
    entries = [line.split(":") for line in passwd.splitlines()]
    entry = next((e for e in entries if len(e) > _PASSWD_FIELDS and name in {e[0], e[2]}), None)
    if entry is None and name and not name.isdecimal():
        raise UnknownUserError(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(entry[2]) if entry else int(name or 0)
    gid = int(entry[3]) if entry else 0
    home = entry[5] if entry and len(entry) > 5 else "/"
    if colon and group_name:
        gid = _resolve_group(group_name, group)
    return User(uid, gid, home or "/")


def read_file(roots: list[Path], name: str) -> str:
    """The beginning of an image's text file, of the topmost layer that has it; "" if none has. No link is followed."""
    for root in reversed(roots):
        path = root / name
        if path.is_file() and not path.is_symlink() and not path.parent.is_symlink():
            with path.open(errors="replace") as file:
                return file.read(MOST_CHARACTERS)
    return ""


def _resolve_group(name: str, group: str) -> int:
    if name.isdecimal():
        return int(name)
    for line in group.splitlines():
        entry = line.split(":")
        if len(entry) >= _GROUP_FIELDS and entry[0] == name:
            return int(entry[2])
    raise UnknownUserError(f"unable to find group {name}: no matching entries in group file")
