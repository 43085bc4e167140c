"""What may be said of a service that is built from a Dockerfile, and of an environment beside its order."""

import pytest

from towpath.blueprint.document import BlueprintError
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import Blueprint

PATHS = ("services/web/Dockerfile", "services/web/deploy/Dockerfile.prod", "k3s/overlays/prod/kustomization.yaml")


def load(text: str) -> Blueprint:
    return load_blueprint(text, PATHS, default_name="home")


def test_a_service_may_be_built_from_a_dockerfile() -> None:
    web = load(
        """
services:
  web:
    dockerfile: deploy/Dockerfile.prod
    target: production
    build_args: {NODE_ENV: production, PORT: 8080}
    secrets: [npm-token]
    engine: buildah
"""
    ).services["web"]
    assert (web.dockerfile, web.target, web.engine) == ("deploy/Dockerfile.prod", "production", "buildah")
    assert (web.build_args, web.secrets) == ({"NODE_ENV": "production", "PORT": "8080"}, ("npm-token",))


def test_without_keys_the_builder_decides() -> None:
    web = load("").services["web"]
    assert (web.dockerfile, web.target, web.build_args, web.secrets, web.engine) == ("", "", {}, (), "auto")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{dockerfile: Nowhere}", "got Nowhere, expected a file below services/web"),
        ("{dockerfile: ../Dockerfile}", "without . or .."),
        ("{dockerfile: Dockerfile, base: host}", "cannot be given beside dockerfile; the Dockerfile says it"),
        ("{dockerfile: Dockerfile, user: 0}", "cannot be given beside dockerfile"),
        ("{target: --privileged}", "expected the name of a stage"),
        ("{build_args: {--help: x}}", "is not an argument's name"),
        ("{build_args: {A: true}}", "expected text"),
        ("{secrets: [a/b]}", "got a/b, expected names"),
        ("{secrets: [-x]}", "got -x, expected names"),
        ("{engine: bildah}", "did you mean buildah?"),
    ],
)
def test_mistakes_are_named(entry: str, problem: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        load(f"services:\n  web: {entry}\n")
    assert problem in str(caught.value)


def test_an_environment_may_demand_attestations() -> None:
    assert load("").environments["prod"].attestation == "optional"
    assert load("environments: {prod: {attestation: required}}").environments["prod"].attestation == "required"
    with pytest.raises(BlueprintError, match="got always, expected required or optional"):
        load("environments: {prod: {attestation: always}}")


def test_an_environment_may_have_drift_only_reported() -> None:
    assert load("").environments["prod"].drift == "heal"
    assert load("environments: {prod: {drift: report}}").environments["prod"].drift == "report"
    with pytest.raises(BlueprintError, match="got reports, expected report or heal"):
        load("environments: {prod: {drift: reports}}")
