"""The errors a person can meet, by whose fault they are.

Every error that leaves a package is one of these (a narrower class stands beside the code that raises it). The text is
`<subject> <what failed> (<Reason>): <got vs expected>`; `hint` is the next step. The command line prints
`diagnostics()` and exits with `exit_code`; nothing else prints or exits.

    TowpathError            1   a bug in Towpath, or an unexpected failure
    ├─ UserError            2   input or configuration is wrong: the user can mend it
    ├─ RefusedError         3   a gate, a policy or a safety guard said no
    ├─ NotFoundError        4   what was named does not exist
    ├─ ConflictError        5   another writer was there first, or state forbids it
    ├─ RemoteError          6   a peer broke its contract, is down, or is too slow
    └─ IntegrityError       7   stored or received bytes are not what they claim to be
"""

from typing import ClassVar

_BREAKS = "\n\t"


def show_name(name: str) -> str:
    """A name from outside on one line, whatever it holds: what a terminal would obey is written as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def _show_text(text: str) -> str:
    return "".join(one if one in _BREAKS else show_name(one) for one in text) if not text.isprintable() else text


class TowpathError(Exception):
    """Root of all errors that Towpath raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def diagnostics(self) -> str:
        """What happened and what to do next, for a person: nothing in it moves a terminal."""
        return _show_text(f"{self.message}\n  next: {self.hint}" if self.hint else self.message)


class UserError(TowpathError):
    """The input or the configuration is wrong; the user can mend it."""

    exit_code = 2


class RefusedError(TowpathError):
    """A gate, a policy or a safety guard said no."""

    exit_code = 3


class NotFoundError(TowpathError):
    """What was named does not exist."""

    exit_code = 4


class ConflictError(TowpathError):
    """Another writer was there first, or the present state forbids it."""

    exit_code = 5


class RemoteError(TowpathError):
    """A peer broke its contract, is down, or is too slow."""

    exit_code = 6


class IntegrityError(TowpathError):
    """Stored or received bytes are not what they claim to be."""

    exit_code = 7
