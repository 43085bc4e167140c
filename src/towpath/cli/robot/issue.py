"""How a robot's secret is handed over: for people, for programs, for docker, for kubectl. It is shown this once."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from towpath.cli.output import output_option, print_json
from towpath.cli.platform_options import advertised_address
from towpath.errors import UserError
from towpath.oci.keyring import Credential, format_docker_config

F = TypeVar("F", bound=Callable[..., Any])

DOCKER = "docker-config"
KUBERNETES = "kubernetes-secret"
# A DNS label (RFC 1123), as Kubernetes takes namespaces.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def issue_options(function: F) -> F:
    """The options that say how; given to the command as `output`, `form`, `registry` and `namespace`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice([DOCKER, KUBERNETES]),
        help="Print a file instead: for ~/.docker/config.json, or for kubectl apply -f -.",
    )
    registry = click.option(
        "--registry",
        default="",
        callback=advertised_address,
        metavar="HOST[:PORT]",
        help="Where the registry is reached, for --format.",
    )
    namespace = click.option(
        "--namespace", callback=_read_namespace, help="Of the Secret that --format kubernetes-secret prints."
    )
    return output_option(form(registry(namespace(function))))


def check_issue(issue: Mapping[str, str | None], *, known: str) -> str:
    """The registry's address for what is to be printed, before a secret is made in vain. Raises UserError."""
    form, address = issue["form"], issue["registry"] or known
    if form and issue["output"] == "json":
        raise UserError(
            "-o json and --format exclude each other (Usage): both say what is printed", hint="leave one out"
        )
    if issue["namespace"] and form != KUBERNETES:
        raise UserError(
            f"--namespace is that of the Secret of --format {KUBERNETES} (Usage): got {form or 'no --format'}",
            hint=f"--format {KUBERNETES} --namespace {issue['namespace']}",
        )
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
        click.echo(f"  docker login --username {name} {registry or 'HOST:PORT'}")


def _read_namespace(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAMESPACE.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no namespace: expected at most 63 of a-z, 0-9 and -, such as apps")
    return value


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
