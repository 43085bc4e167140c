"""Server-side apply against upstream's field manager over structured-merge-diff v6, on random configurations.

Faster than an API server by far, and free of defaults and validation, so that sequences grow long. Both sides use the
same schema; that the schema is right is what `test_differential` checks.
"""

import json
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from kubernetes.operations import CONFIGURATIONS, KINDS, Generator
from towpath.kube.apply import apply
from towpath.kube.apply.reset import reset_fields
from towpath.kube.apply.zero import zero_object
from towpath.kube.errors import ApiError
from towpath.kube.objects import Object, clone, gvk_of
from towpath.kube.problems import ProblemKind
from towpath.kube.schema import Schema

pytestmark = pytest.mark.kubernetes
SCHEMA = Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())
TIME = "2026-01-31T09:30:00Z"
UNTRACKED = frozenset({"status", "unknown", "stringData"})


class Oracle:
    """Asks upstream's code."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def apply(self, live: Object | None, config: Object, manager: str, *, force: bool) -> dict[str, Any]:
        """`object`, or `error` with `causes`."""
        gvk = gvk_of(config)
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("unreachable: both are pipes")
        question = {
            "Manager": manager,
            "Force": force,
            "Live": live or {"apiVersion": config["apiVersion"], "kind": config["kind"]},
            "Config": config,
            "Zero": zero_object(gvk),
            "Reset": [[element[2:] for element in path] for path in reset_fields(gvk, "")],
        }
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def oracle(control_plane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    definitions = tmp_path_factory.mktemp("oracle") / "definitions.json"
    definitions.write_text(json.dumps(SCHEMA.definitions))
    argv = [str(control_plane_binary), "apply-oracle", str(definitions)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Oracle(process)
        process.terminate()


def prune(generator: Generator, value: Any) -> Any:
    """Part of a configuration: managers differ in what they say at all."""
    if isinstance(value, dict):
        kept = {"apiVersion", "kind", "metadata", "name", "namespace", "containerPort", "port", "mountPath"}
        return {key: prune(generator, item) for key, item in value.items() if key in kept or generator.chance(0.8)}
    return [prune(generator, item) for item in value] if isinstance(value, list) else value


def without_times(obj: Object) -> Object:
    plain = SCHEMA.canonical({**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}})
    entries = [{k: v for k, v in one.items() if k != "time"} for one in obj["metadata"].get("managedFields", [])]
    plain["metadata"]["managedFields"] = sorted(entries, key=lambda one: str(one["manager"]))
    return plain


def attempt(live: Object | None, config: Object, manager: str, *, force: bool) -> Object | ApiError:
    """Our side: the object, or the refusal."""
    try:
        return apply(SCHEMA, live=clone(live), config=config, manager=manager, time=TIME, force=force)
    except ApiError as error:
        return error


@pytest.mark.parametrize("seed", range(1, 101))
def test_apply_does_what_upstream_does(seed: int, oracle: Oracle) -> None:
    generator = Generator(seed)
    gvk = generator.pick(*KINDS)
    live: Object | None = None
    applied = 0
    for step in range(CONFIGURATIONS):
        whole = generator.object(gvk, "one")
        config = prune(generator, {key: value for key, value in whole.items() if key not in UNTRACKED})
        if any(problem.kind is ProblemKind.VALUE for problem in SCHEMA.problems(config)):
            continue  # found out by reading the result, which is no part of structured-merge-diff
        manager, force = generator.pick("alice", "bob", "carol"), generator.chance(0.4)
        told = f"seed {seed}, step {step}: {manager} force={force} {config}"
        theirs = oracle.apply(clone(live), config, manager, force=force)
        ours = attempt(live, config, manager, force=force)
        if isinstance(ours, ApiError):
            assert "error" in theirs, told
            expected = sorted((one["field"], one["message"]) for one in theirs.get("causes") or [])
            assert sorted((one["field"], one["message"]) for one in ours.causes) == expected, told
            continue
        assert "object" in theirs, f"{told}: {theirs}"
        assert without_times(ours) == without_times(theirs["object"]), told
        live, applied = ours, applied + 1
    assert applied > CONFIGURATIONS / 4, "too many refusals to have tested much"
