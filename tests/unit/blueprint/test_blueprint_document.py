"""`docs/blueprint.md` and the code name the same keys and the same defaults."""

import dataclasses
import re
from pathlib import Path

import pytest

from towpath.blueprint.durations import format_duration
from towpath.blueprint.environments import ENVIRONMENT_KEYS
from towpath.blueprint.load import KEYS, load_blueprint
from towpath.blueprint.model import DEFAULT_SOAK_SECONDS, UNRELEASED_TAG, Blueprint, Environment, Service
from towpath.blueprint.services import SERVICE_KEYS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "blueprint.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def documented(title: str) -> dict[str, str]:
    """Key -> default, from the section's table."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section(title), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("title", "keys"),
    [("Top level", KEYS), ("`services.<name>`", SERVICE_KEYS), ("`environments.<name>`", ENVIRONMENT_KEYS)],
)
def test_every_key_is_documented_and_no_other(title: str, keys: tuple[str, ...]) -> None:
    assert tuple(documented(title)) == keys


@pytest.mark.parametrize(
    ("model", "keys"),
    [(Blueprint, KEYS), (Service, ("name", *SERVICE_KEYS)), (Environment, ("name", *ENVIRONMENT_KEYS))],
)
def test_every_field_of_the_model_is_a_key(model: type, keys: tuple[str, ...]) -> None:
    names = [field.name.removesuffix("_seconds").replace("keeping", "keeper") for field in dataclasses.fields(model)]
    assert names == list(keys)


def test_documented_defaults_are_the_real_ones() -> None:
    service, environment, top = Service("x", "y"), documented("`environments.<name>`"), documented("Top level")
    services = documented("`services.<name>`")
    assert services["base"] == f"`{service.base}`"
    assert services["port"] == f"`{service.port}`"
    assert services["user"] == f"`{service.user}`"
    assert environment["soak"] == f"`{format_duration(DEFAULT_SOAK_SECONDS)}`"
    blueprint = load_blueprint(None, [], default_name="my-homelab")
    assert top["branch"] == f"`{blueprint.branch}`"
    assert top["channel"] == f"`{blueprint.channel}`"
    assert top["registry"].replace("<name>", "my-homelab") == f"`{blueprint.registry}`"
    assert f"`{UNRELEASED_TAG}`" in DOCUMENT


def test_the_example_is_valid() -> None:
    example = re.findall(r"```yaml\n(.*?)```", DOCUMENT, flags=re.DOTALL)[0]
    paths = ["services/sensor/main.py", "k3s/overlays/prod/kustomization.yaml"]
    blueprint = load_blueprint(example, paths, default_name="x")
    assert blueprint.environments["prod"].soak_seconds == 600
