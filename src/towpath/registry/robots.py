"""Robot accounts: made and revoked by people, kept in `robots.json` of a registry's directory, hashed.

A robot's secret is 256 random bits. Guessing it is hopeless at any speed, so its hash is salted and fast: stretching
(PBKDF2 with many rounds, scrypt, argon2) protects secrets that people choose, and would cost each login 0.1 s here.

The file is the truth, and whoever serves from it looks at its stamp at every lookup: what another process has written
counts from the next request on, so the command line needs no running registry, and a revoked robot is out at once.
Writers take turns by `robots.lock`.
"""

import fcntl
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from towpath.aio.files import write_durably
from towpath.errors import ConflictError, IntegrityError, NotFoundError, TowpathError, UserError
from towpath.http.credentials import hash_secret
from towpath.oci.challenge import DELETE, PULL, PUSH
from towpath.registry.accounts import ANONYMOUS, Account, Grant, StoredSecret
from towpath.registry.globs import check_repository_glob

log = logging.getLogger(__name__)

FILE = "robots.json"
LOCK = "robots.lock"
CATALOG = "catalog.db"
FORMAT = 1
# So that scanners for leaked secrets, and people, know one when they see it.
SECRET_PREFIX = "twr_"  # noqa: S105 - what secrets begin with
ROUNDS = 1
# What each permission brings with it: clients look before they push, and before they delete.
ACTIONS = {PULL: frozenset({PULL}), PUSH: frozenset({PULL, PUSH}), DELETE: frozenset({PULL, DELETE})}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RESERVED = frozenset({"towpath", ANONYMOUS})
RESERVED_PREFIX = "pull-"


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot account."""

    name: str
    grants: tuple[Grant, ...]
    created_at: float
    expires_at: float | None
    secrets: tuple[StoredSecret, ...] = field(repr=False)
    rotated_at: float | None = None

    def account(self) -> Account:
        """The account that requests are measured by."""
        return Account(self.name, self.secrets, self.grants)


@dataclass(frozen=True, slots=True)
class Made:
    """A robot and its secret, which is shown this once and stored nowhere."""

    robot: Robot
    secret: str = field(repr=False)


def is_registry(root: Path) -> bool:
    """Whether a directory is a registry's: one was served from it, or robots were made for one."""
    return (root / FILE).is_file() or (root / CATALOG).is_file()


class RobotFile:
    """The robots of one registry directory; it satisfies `accounts.Directory`."""

    def __init__(
        self,
        root: Path,
        *,
        new_secret: Callable[[], str] = lambda: SECRET_PREFIX + secrets.token_urlsafe(32),
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(16),
    ) -> None:
        """Prepare; the directory may be made later."""
        self._root = root
        self._path = root / FILE
        self._new_secret = new_secret
        self._new_salt = new_salt
        self._stamp: tuple[int, int, int] | None = None
        self._robots: dict[str, Robot] = {}
        self._accounts: dict[str, Account] = {}

    def find(self, name: str) -> Account | None:
        """The account of a robot. A file that cannot be read lets nobody in: what it revokes cannot be known."""
        try:
            self._refresh()
        except (TowpathError, OSError) as error:
            log.error("robots are refused: %s", error)  # noqa: TRY400 - the message says all
            return None
        return self._accounts.get(name)

    def list(self) -> list[Robot]:
        """All robots, by name. Raises IntegrityError, OSError."""
        self._refresh()
        return [self._robots[name] for name in sorted(self._robots)]

    def create(self, name: str, grants: Sequence[Grant], *, now: float, expires_at: float | None = None) -> Made:
        """Make a robot; `expires_at` None is never.

        Raises:
            UserError: the name or a repository is not one, or its end is not ahead.
            ConflictError: there is a robot of that name.
        """
        check_name(name)
        for grant in grants:
            check_repository_glob(grant.repository_glob)
        if expires_at is not None and expires_at <= now:
            raise UserError(
                f"robot {name} cannot be made (BadExpiry): it would end {now - expires_at:.0f} s ago, expected later",
                hint="say how long it lives, or nothing: until it is revoked",
            )
        with self._writing() as robots:
            if name in robots:
                raise ConflictError(
                    f"robot {name} cannot be made (Exists): there is one of that name",
                    hint=f"towpath robot rotate {name} gives it a new secret; towpath robot revoke {name} ends it",
                )
            secret = self._new_secret()
            robot = Robot(name, tuple(grants), now, expires_at, (self._store(secret, expires_at),))
            robots[name] = robot
        return Made(robot, secret)

    def rotate(self, name: str, *, now: float, overlap_seconds: float = 0.0) -> Made:
        """Give a robot a new secret; the old ones open the door for `overlap_seconds` more.

        Raises:
            NotFoundError: there is no such robot.
            ConflictError: the robot has expired.
        """
        with self._writing() as robots:
            robot = _get(robots, name)
            if robot.expires_at is not None and robot.expires_at <= now:
                raise ConflictError(
                    f"robot {name} cannot be rotated (Expired): its time is over",
                    hint=f"revoke it, and make a new one: towpath robot revoke {name}",
                )
            ends = now + overlap_seconds
            kept = tuple(
                replace(one, expires_at=ends if one.expires_at is None else min(one.expires_at, ends))
                for one in robot.secrets
                if overlap_seconds > 0 and one.is_valid(now)
            )
            secret = self._new_secret()
            robots[name] = replace(robot, secrets=(self._store(secret, robot.expires_at), *kept), rotated_at=now)
            return Made(robots[name], secret)

    def revoke(self, name: str) -> Robot:
        """End a robot, its secrets and every token made for them. Raises NotFoundError."""
        with self._writing() as robots:
            return robots.pop(_get(robots, name).name)

    def _store(self, secret: str, expires_at: float | None) -> StoredSecret:
        salt = self._new_salt()
        return StoredSecret(salt.hex()[:12], hash_secret(secret, salt=salt, iterations=ROUNDS), expires_at)

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Robot]]:
        """The robots as they are, to be changed; written when the block ends well."""
        descriptor = -1
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._stamp = None
            self._refresh()
            robots = dict(self._robots)
            yield robots
            document = {"version": FORMAT, "robots": [_format_robot(robots[name]) for name in sorted(robots)]}
            write_durably(self._path, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise TowpathError(
                f"robots of {self._root} cannot be changed ({type(error).__name__}): {error.strerror}",
                hint="is the directory yours, and is there space?",
            ) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._robots, self._accounts = None, {}, {}
            return
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        robots = _read(self._path)
        self._robots = {robot.name: robot for robot in robots}
        self._accounts = {robot.name: robot.account() for robot in robots}
        self._stamp = stamp


def check_name(name: str) -> None:
    """Refuse what cannot be a robot's name. Raises UserError."""
    if not _NAME.fullmatch(name) or name in _RESERVED or name.startswith(RESERVED_PREFIX):
        raise UserError(
            f"robot {name[:80]!r} cannot be made (BadName): expected at most 63 lower-case letters, digits and dashes, "
            f"not {', '.join(sorted(_RESERVED))} or {RESERVED_PREFIX}…",
            hint="for example: ci",
        )


def _get(robots: dict[str, Robot], name: str) -> Robot:
    if name not in robots:
        raise NotFoundError(
            f"robot {name} was not found (NotFound): there are {', '.join(sorted(robots)) or 'none'}",
            hint="towpath robot list",
        )
    return robots[name]


def _format_robot(robot: Robot) -> dict[str, Any]:
    return {
        "name": robot.name,
        "created_at": robot.created_at,
        "expires_at": robot.expires_at,
        "rotated_at": robot.rotated_at,
        "grants": [{"repository": one.repository_glob, "actions": sorted(one.actions)} for one in robot.grants],
        "secrets": [{"id": one.id, "hash": one.hash, "expires_at": one.expires_at} for one in robot.secrets],
    }


def _read(path: Path) -> list[Robot]:
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != FORMAT:
            raise UserError(f"{path} cannot be read (Version): {document['version']}, expected {FORMAT}")
        return [_parse_robot(entry) for entry in document["robots"]]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path} cannot be read (Damaged): {error}", hint="restore it, or move it away and make the robots anew"
        ) from error


def _parse_robot(entry: dict[str, Any]) -> Robot:
    return Robot(
        name=entry["name"],
        grants=tuple(Grant(one["repository"], frozenset(one["actions"])) for one in entry["grants"]),
        created_at=entry["created_at"],
        expires_at=entry["expires_at"],
        secrets=tuple(StoredSecret(one["id"], one["hash"], one["expires_at"]) for one in entry["secrets"]),
        rotated_at=entry["rotated_at"],
    )
