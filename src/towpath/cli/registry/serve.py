"""`towpath registry serve`: a registry on its own, without a platform."""

from pathlib import Path
from typing import Any

import click

from towpath.aio.loading import uncollected
from towpath.cli.platform_options import advertise_options
from towpath.cli.serving_options import (
    ACCESS_LOG,
    ANONYMOUS,
    INSECURE,
    NOTIFY,
    TLS,
    TLS_FILES,
    UPSTREAMS,
    describe_trust,
)


def _read_size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    from towpath.blueprint.keeping import parse_size  # noqa: PLC0415 - few say it, and the start must be short

    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(f"got {value!r}, expected {error}", context, parameter) from error


LOOPBACK = "127.0.0.1"


@click.command("serve")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Its directory; made when there is none.",
)
@click.option("--host", default=LOOPBACK, help="Where to listen.", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=5000, help="0: any that is free.", show_default=True)
@advertise_options
@TLS
@click.option(
    "--tls-name",
    "tls_names",
    multiple=True,
    metavar="NAME",
    help="With --tls: clients say this name or address, too; more than one by repeating it.",
)
@TLS_FILES[0]
@TLS_FILES[1]
@INSECURE
@ANONYMOUS
@UPSTREAMS[0]
@UPSTREAMS[1]
@UPSTREAMS[2]
@ACCESS_LOG
@NOTIFY[0]
@NOTIFY[1]
@click.option("--quota", "quota_bytes", callback=_read_size, metavar="SIZE", help="The most it may hold: 20GiB.")
@click.option("--collect-daily", is_flag=True, help="Remove once a day what no tag leads to.")
def command(root: Path, **options: Any) -> None:
    """Run a registry on its own: any OCI client, robots of its own, TLS, metrics, an access log.

    Nobody may use it until a robot is made, which may be done while it runs:

      towpath robot create ci --root DIR --repository '*' --allow push

    With --tls clients trust DIR/tls/ca.crt; how podman and containerd are told is printed. /metrics is open to every
    robot. Ctrl-C lets requests in flight end, then stops it.
    """
    with uncollected():
        from towpath.server.registrysettings import RegistrySettings  # noqa: PLC0415 - after --help was answered
        from towpath.server.standalone import run_registry  # noqa: PLC0415 - likewise

    settings = RegistrySettings(root, **options)

    def greet(url: str) -> None:
        click.echo(f"registry {root} serves at {url}")
        if settings.external_url:
            click.echo(f"  clients   {settings.external_url}, where a proxy ends TLS")
        if settings.trusted is not None:
            address = settings.advertise or _address(url, settings.tls_names)
            click.echo(describe_trust(address, settings.trusted.resolve()))

    run_registry(settings, on_ready=greet)


def _address(url: str, names: tuple[str, ...]) -> str:
    """What clients call the registry: the first name that was said, else where this machine reaches it."""
    host, _, port = url.removeprefix("https://").rpartition(":")
    name = names[0] if names else host
    return f"[{name}]:{port}" if ":" in name.strip("[]") and not name.startswith("[") else f"{name}:{port}"
