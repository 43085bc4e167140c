"""What a push did to one ref."""

from dataclasses import dataclass

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
# The id Git uses for "there was none" and "there is none".
NO_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class PushEvent:
    """One ref moved.

    A hint to go and look, never a statement of what is there: between it and the look the ref may have moved again.

    Attributes:
        repository: the name the repository has here.
        ref: the full name, as in `refs/heads/main`.
        before: the id it had; all zeros when it is new.
        after: the id it has; all zeros when it was deleted.
        received_at: wall time in seconds since the epoch.
        pusher: the account that pushed; empty when unknown.
    """

    repository: str
    ref: str
    before: str
    after: str
    received_at: float
    pusher: str = ""

    @property
    def branch(self) -> str:
        """The branch's name; empty when the ref is none."""
        return self.ref.removeprefix(BRANCHES) if self.ref.startswith(BRANCHES) else ""

    @property
    def created(self) -> bool:
        """Whether the ref is new."""
        return not self.before.strip("0")

    @property
    def deleted(self) -> bool:
        """Whether the ref is gone."""
        return not self.after.strip("0")
