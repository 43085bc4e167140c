"""The schema, loaded once: it is read-only."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from towpath.kube.schema import Schema
from towpath.kube.typed import Type


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())


@pytest.fixture(scope="session")
def type_of(schema: Schema) -> Callable[[str], Type]:
    """The type of a definition by the end of its name: `type_of("core.v1.PodSpec")`."""
    return lambda name: schema.get_type(f"io.k8s.api.{name}")


@pytest.fixture
def free_type() -> Type:
    """Free-form data: maps merge by key, lists are whole."""
    return Type({}, _no_references)


def _no_references(name: str) -> Any:
    raise AssertionError(name)


@pytest.fixture(scope="session")
def recordings() -> Path:
    return Path(__file__).parents[2] / "data" / "kube"
