"""What a registry must hold: sets of names, and one rule, written out again here, of what a collection may take.

It knows nothing of how the registry works. `Witness` notes what the registry answers, for `linear` to judge.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from fakes.linear import Call, explain_all
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError

Key = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A manifest that was pushed; `asked_at` is when it was last pushed, tagged or read."""

    raw: bytes
    media_type: str
    blobs: frozenset[str]
    entries: frozenset[str]
    subject: str
    asked_at: float


@dataclass
class Model:
    """What must be there, and what may be."""

    grace_seconds: float
    manifests: dict[Key, Entry] = field(default_factory=dict)
    tags: dict[Key, str] = field(default_factory=dict)
    blobs: dict[Key, float] = field(default_factory=dict)  # when each was last pushed, mounted or asked for

    def copy(self) -> "Model":
        """One that changes alone."""
        return Model(self.grace_seconds, dict(self.manifests), dict(self.tags), dict(self.blobs))

    def ask_for(self, key: Key, now: float) -> None:
        """Somebody has asked for a manifest."""
        self.manifests[key] = replace(self.manifests[key], asked_at=now)

    def needed(self, now: float) -> set[Key]:
        """The manifests that no collection may remove."""
        kept = {key for key, entry in self.manifests.items() if now - entry.asked_at < self.grace_seconds}
        kept |= {(repository, digest) for (repository, _), digest in self.tags.items()}
        while True:
            digests = {target for key in kept for target in self.manifests[key].entries}
            more = {
                key
                for key, entry in self.manifests.items()
                if key[1] in digests or (entry.subject and (key[0], entry.subject) in kept)
            }
            if more <= kept:
                return kept
            kept |= more

    def needed_blobs(self, now: float) -> set[Key]:
        """The blobs that no collection may remove."""
        of_manifests = {(key[0], blob) for key in self.needed(now) for blob in self.manifests[key].blobs}
        return of_manifests | {key for key, asked_at in self.blobs.items() if now - asked_at < self.grace_seconds}

    def forget_gone(self, key: Key) -> None:
        """A collection has taken what was not needed."""
        self.manifests.pop(key)

    def forget(self, kept: set[Key], blobs: set[Key]) -> None:
        """What is not needed is gone."""
        self.manifests = {key: entry for key, entry in self.manifests.items() if key in kept}
        self.blobs = {key: asked_at for key, asked_at in self.blobs.items() if key in blobs}


class Witness:
    """The calls of one step, and what was answered."""

    def __init__(self) -> None:
        self._calls: list[Call[Model]] = []
        self._moment = 0

    async def ask(self, name: str, act: Awaitable[T], explain: Callable[[T | ErrorCode, Model], bool]) -> T | ErrorCode:
        """Do it and note the answer, with what makes it right; a refusal is its code."""
        self._moment += 1
        began = self._moment
        answer: T | ErrorCode
        try:
            answer = await act
        except RegistryError as error:
            answer = error.code
        self._moment += 1
        said = answer if isinstance(answer, ErrorCode | bool | int | None) else "ok"
        self._calls.append(Call(f"{name}: {said}", began, self._moment, partial(explain, answer)))
        return answer

    def settle(self, model: Model) -> Model:
        """The model after the calls, in whatever order explains them. Raises AssertionError when none does."""
        calls, self._calls = self._calls, []
        return explain_all(calls, model)
