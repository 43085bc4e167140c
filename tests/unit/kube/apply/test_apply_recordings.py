"""Server-side apply against what upstream's own code answered (`tests/data/kube/README.md`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from towpath.kube.apply import apply, restore_reset_fields, track_update
from towpath.kube.errors import ApiConflictError
from towpath.kube.objects import Object
from towpath.kube.schema import Schema

LINES = (Path(__file__).parents[3] / "data" / "kube" / "apply_recordings.jsonl").read_text().splitlines()
TIME = "2026-01-01T00:00:00Z"


def comparable(schema: Schema, obj: Object) -> tuple[Object, list[dict[str, Any]]]:
    """The object as stored, and its ownership without times and order."""
    metadata = dict(obj["metadata"])
    entries = [
        {key: value for key, value in entry.items() if key != "time"} for entry in metadata.pop("managedFields", [])
    ]
    return schema.canonical({**obj, "metadata": metadata}), sorted(
        entries, key=lambda entry: json.dumps(entry, sort_keys=True)
    )


@pytest.mark.parametrize("line", LINES, ids=[f"{index}-{json.loads(line)['case']}" for index, line in enumerate(LINES)])
def test_apply_and_update_answer_as_upstream_does(schema: Schema, line: str) -> None:
    record = json.loads(line)
    live, new, subresource = record["live"], record["input"], record.get("subresource", "")
    if record["operation"] == "update":
        result = track_update(schema, live=live, new=new, manager=record["manager"], time=TIME, subresource=subresource)
    elif "causes" in record:
        with pytest.raises(ApiConflictError) as refusal:
            apply(schema, live=live, config=new, manager=record["manager"], time=TIME, subresource=subresource)
        causes = sorted((cause["message"], cause["field"]) for cause in refusal.value.causes)
        assert causes == sorted((cause["message"], cause["field"]) for cause in record["causes"])
        assert sorted(refusal.value.message.splitlines()) == sorted(record["message"].splitlines())
        return
    else:
        result = apply(
            schema,
            live=live,
            config=new,
            manager=record["manager"],
            time=TIME,
            force=record.get("force", False),
            subresource=subresource,
        )
    expected = restore_reset_fields(record["object"], live, subresource)
    assert comparable(schema, result) == comparable(schema, expected)


def test_every_sort_of_case_was_recorded() -> None:
    cases = [json.loads(line)["case"] for line in LINES]
    assert {case: cases.count(case) >= 5 for case in cases} == dict.fromkeys(
        ("apply", "conflict", "create", "prune", "update"), True
    )
