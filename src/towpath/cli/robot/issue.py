"""How a robot's secret is handed over: for people, for programs, for docker, for kubectl. It is shown this once."""

import base64
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from towpath.cli.output import output_option, print_json
from towpath.errors import UserError
from towpath.oci.keyring import Credential, format_docker_config

F = TypeVar("F", bound=Callable[..., Any])

DOCKER = "docker-config"
KUBERNETES = "kubernetes-secret"


def issue_options(function: F) -> F:
    """The options that say how; given to the command as `output`, `form`, `registry` and `namespace`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice([DOCKER, KUBERNETES]),
        help="Print a file instead: for ~/.docker/config.json, or for kubectl apply -f -.",
    )
    registry = click.option("--registry", metavar="HOST:PORT", help="Where the registry is reached, for --format.")
    namespace = click.option("--namespace", help="Of the Secret that --format kubernetes-secret prints.")
    return output_option(form(registry(namespace(function))))


def check_issue(*, form: str | None, registry: str | None, known: str) -> str:
    """The registry's address for the file to print, before a secret is made in vain. Raises UserError."""
    address = registry or known
    if form and not address:
        raise UserError(
            "login cannot be written (NoRegistry): where the registry is reached is not known here",
            hint="say it: --registry HOST:PORT",
        )
    return address


def print_issue(made: dict[str, Any], *, output: str, form: str | None, registry: str, namespace: str | None) -> None:
    """Print what was made."""
    name, secret = made["robot"]["name"], made["secret"]
    config = format_docker_config({registry: Credential(name, secret)})
    if form == DOCKER:
        click.echo(json.dumps(json.loads(config), indent=2))
    elif form == KUBERNETES:
        click.echo(_format_secret(name, config, namespace), nl=False)
    elif output == "json":
        print_json({**made, "registry": registry})
    else:
        click.echo(f"robot     {name}")
        click.echo(f"secret    {secret}")
        click.echo(f"may       {', '.join(made['robot']['allow'])} in {', '.join(made['robot']['repositories'])}")
        click.echo(f"expires   {made['robot']['expires'] or 'never'}")
        click.echo("The secret is shown this once. Log in, and paste it when asked:")
        click.echo(f"  docker login --username {name} --password-stdin {registry or 'HOST:PORT'}")


def _format_secret(name: str, config: bytes, namespace: str | None) -> str:
    """A manifest; every value is plain enough for YAML as it stands."""
    lines = [
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {name}-registry",
        *([f"  namespace: {namespace}"] if namespace else []),
        "type: kubernetes.io/dockerconfigjson",
        "data:",
        f"  .dockerconfigjson: {base64.b64encode(config).decode()}",
    ]
    return "\n".join(lines) + "\n"
