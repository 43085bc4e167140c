"""`history --timeline`: how long each stage of the last pushes took, from the stamps of this installation."""

from typing import Any

from towpath.observe.sources import Sources
from towpath.observe.timeline import Waterfall


async def describe_timeline(sources: Sources, *, environment: str = "", limit: int = 20) -> dict[str, Any]:
    """The waterfalls of the last pushes, newest first, as JSON values.

    Raises:
        NotFoundError: no such environment.
        BlueprintError: the blueprint at the head is broken.
    """
    blueprint = await sources.blueprint()
    if blueprint is None:
        return {"waterfalls": []}
    names = [blueprint.get_environment(environment).name] if environment else list(blueprint.environments)
    waterfalls = [waterfall for name in names for waterfall in sources.timeline.recent(name, limit)]
    waterfalls.sort(key=lambda waterfall: waterfall.received_at, reverse=True)
    return {"waterfalls": [await _waterfall(sources, waterfall) for waterfall in waterfalls[:limit]]}


async def _waterfall(sources: Sources, waterfall: Waterfall) -> dict[str, Any]:
    commit = await sources.find_commit(waterfall.commit)
    return {
        "commit": waterfall.commit,
        "subject": commit.subject if commit else "",
        "environment": waterfall.environment,
        "received_at": waterfall.received_at,
        "total_seconds": waterfall.total_seconds,
        "ready": waterfall.is_ready,
        "spans": [
            {"stage": span.stage, "start": span.start_seconds, "end": span.end_seconds} for span in waterfall.spans
        ],
    }
