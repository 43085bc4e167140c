"""The options of a platform that runs, shared by `up` and `serve`, and how they become settings."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from towpath.cli.serving_options import SERVING_OPTIONS
from towpath.config import DEFAULT_HOST

F = TypeVar("F", bound=Callable[..., Any])

PORTS = click.IntRange(0, 65535)
# As image references begin: without a dot, a port or this name, the first part is no host.
ADVERTISED = re.compile(
    r"(localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(:\d{1,5})?|([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}"
)


def advertised_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The value of --advertise. Raises BadParameter where it is no `host[:port]`."""
    if value and not ADVERTISED.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no HOST[:PORT], such as 192.168.1.10:7070 or towpath.lan")
    return value


_ADVERTISE = (
    click.option(
        "--advertise",
        default="",
        callback=advertised_address,
        metavar="HOST[:PORT]",
        help="Where clients and nodes reach it; behind a proxy that ends TLS, too.  [default: where it listens]",
    ),
    click.option("--plain-http", is_flag=True, help="Speak to --advertise without TLS."),
)
_SHARED = (
    click.option("--host", default=DEFAULT_HOST, help="Where to listen.", show_default=True),
    click.option(
        "--port", type=PORTS, help="Git, registry, API.  [default: that of registry in towpath.yaml, or 7070]"
    ),
    click.option("--branch", help="What is built and reconciled.  [default: branch in towpath.yaml, or main]"),
    click.option("--remote", default="", help="Follow this Git repository instead of hosting one; remembered."),
    click.option("--remote-user", default="git", help="The user name for --remote over HTTP.", show_default=True),
    click.option(
        "--remote-token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The file that holds the access token for --remote.",
    ),
    click.option(
        "--poll",
        "poll_seconds",
        type=click.FloatRange(min=1),
        default=60.0,
        help="Seconds between looks at --remote.",
        show_default=True,
    ),
    *_ADVERTISE,
    *SERVING_OPTIONS,
)


def advertise_options(function: F) -> F:
    """The options `--advertise` and `--plain-http`."""
    return _with(_ADVERTISE, function)


def platform_options(function: F) -> F:
    """The options that every platform has, however it is run."""
    return _with(_SHARED, function)


def _with(options: Sequence[Callable[[F], F]], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def kubeconfig_option(text: str) -> Callable[[F], F]:
    """The option `--kubeconfig FILE` with this help."""
    return click.option(
        "--kubeconfig", type=click.Path(dir_okay=False, exists=True, path_type=Path), metavar="FILE", help=text
    )
