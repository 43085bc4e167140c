"""`towpath registry serve`: a registry on its own, without a platform."""

import gc
from pathlib import Path
from typing import Any

import click

from towpath.cli.serving_options import ACCESS_LOG, ANONYMOUS, INSECURE, NOTIFY, TLS_FILES, UPSTREAMS, describe_trust


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

    /metrics is open to every robot. Ctrl-C lets requests in flight end, then stops it.
    """
    # What is imported lives as long as the process: collecting garbage among it costs a tenth of the start.
    gc.disable()
    from towpath.server.standalone import RegistrySettings, run_registry  # noqa: PLC0415 - as just said

    gc.freeze()
    gc.enable()
    settings = RegistrySettings(root, **options)

    def greet(url: str) -> None:
        click.echo(f"registry {root} serves at {url}")
        if settings.tls_certificate is not None:
            click.echo(describe_trust(url.removeprefix("https://"), settings.tls_certificate.resolve()))

    run_registry(settings, on_ready=greet)
