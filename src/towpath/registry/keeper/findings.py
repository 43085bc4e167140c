"""What a scrub has found, and how that is written down. Of the manifests that are affected, what names them is kept."""

from dataclasses import dataclass
from typing import Any

from towpath.registry.keeper.facts import ManifestFact, TagFact


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what its digest says.

    Attributes:
        digest: of the blob or the manifest.
        problem: what is wrong.
        affected: manifests that cannot be pulled whole while it is so.
        repaired_from: the repository whose upstream gave it again; empty when none did.
    """

    digest: str
    problem: str
    affected: tuple[ManifestFact, ...] = ()
    repaired_from: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `finished_at` is None while it goes on, or when it was interrupted."""

    started_at: float
    checked: int = 0
    checked_bytes: int = 0
    total_bytes: int = 0
    damages: tuple[Damage, ...] = ()
    finished_at: float | None = None


def format_progress(progress: Progress) -> dict[str, Any]:
    """As a JSON object."""
    return {
        "started_at": progress.started_at,
        "checked": progress.checked,
        "checked_bytes": progress.checked_bytes,
        "total_bytes": progress.total_bytes,
        "damages": [_format_damage(damage) for damage in progress.damages],
        "finished_at": progress.finished_at,
    }


def parse_progress(document: dict[str, Any]) -> Progress:
    """From a JSON object of `format_progress`."""
    return Progress(**{**document, "damages": tuple(_parse_damage(one) for one in document["damages"])})


def _format_damage(damage: Damage) -> dict[str, Any]:
    affected = [
        {
            "repository": fact.repository,
            "digest": fact.digest,
            "size": fact.size,
            "pushed_at": fact.pushed_at,
            "is_index": fact.is_index,
            "tags": [[tag.name, tag.set_at] for tag in fact.tags],
        }
        for fact in damage.affected
    ]
    return {
        "digest": damage.digest,
        "problem": damage.problem,
        "affected": affected,
        "repaired_from": damage.repaired_from,
    }


def _parse_damage(document: dict[str, Any]) -> Damage:
    affected = tuple(
        ManifestFact(**{**one, "tags": tuple(TagFact(*tag) for tag in one["tags"])}) for one in document["affected"]
    )
    return Damage(**{**document, "affected": affected})
