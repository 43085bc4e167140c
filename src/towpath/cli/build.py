"""`towpath build`: build the images of services, here, without a running platform."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from towpath.aio.children import watch_children_cheaply
from towpath.aio.clock import SystemClock
from towpath.amounts import format_size
from towpath.blueprint.document import BlueprintError
from towpath.blueprint.model import ENGINES
from towpath.build.host_base import host_platform
from towpath.build.layout import write_layout
from towpath.ci.batch import ServiceRun, repository_of
from towpath.cli.buildprogress import BuildProgress
from towpath.cli.directory import directory_option
from towpath.cli.interruption import Interruption, run_interruptible
from towpath.cli.output import print_json, print_table
from towpath.cli.worktree import declared_port, declared_services
from towpath.config import DEFAULT_HOST, find_root
from towpath.errors import TowpathError, UserError, show_name
from towpath.oci.platform import Platform
from towpath.server.buildorder import Found, Wanted, find_order
from towpath.server.ci_adapters import BuiltService
from towpath.server.workshop import Tools, open_workshop

FAILED = 1
# As many digits of a digest as tell images apart; the whole one is in the JSON.
SHOWN_DIGEST = len("sha256:") + 12
SHOWN_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What a build came to."""

    found: Found
    runs: Sequence[ServiceRun]
    pushed: bool

    @property
    def exit_code(self) -> int:
        """0, or that of the first service that failed."""
        error = next((run.error for run in self.runs if run.error is not None), None)
        if error is None:
            return 0
        return error.exit_code if isinstance(error, TowpathError) else FAILED


def _complete_services(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del parameter
    try:
        names = declared_services(find_root(Path(context.params.get("directory") or ".").resolve()))
    except UserError:
        return []
    given = context.params.get("services") or ()
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name not in given]


@click.command("build")
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=_complete_services)
@click.option("--push", is_flag=True, help="Push the images, then their tags; all or none of the tags.")
@click.option(
    "--output",
    "layout",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the images as an OCI image layout; DIR:SERVICE:TAG names one.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Build for this platform; several, by commas or again, make an index.  [default: this machine's]",
)
@click.option("--tag", default="", help="The tag.  [default: sha-1234567 of the commit, dirty-1234567 of changes]")
@click.option("--registry", default="", metavar="HOST/PATH", help="Where images go.  [default: as towpath.yaml says]")
@click.option("--commit", default="", metavar="REV", help="Build this commit.  [default: the work tree]")
@click.option("--engine", type=click.Choice(ENGINES), help="What builds Dockerfiles.  [default: as towpath.yaml says]")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Sign what is pushed by this private key.")
@click.option("--authfile", type=click.Path(path_type=Path), help="The file with the logins.  [default: docker's]")
@click.option(
    "-o",
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    help="How to print.",
    show_default=True,
)
@directory_option
def command(
    services: tuple[str, ...], push: bool, layout: Path | None, form: str, directory: Path, **options: Any
) -> int:
    """Build the images of SERVICE, or of all services of the platform repository.

    A clean work tree is built as its commit, with the digests that CI gives it, and tagged sha-1234567. Changes that
    no commit has are built as they stand and tagged dirty-1234567, never sha-.

    Exits with the code of the first service that failed; nothing is pushed then.
    """
    root = find_root(directory.resolve())
    wanted = Wanted(services, commit=options["commit"], tag=options["tag"], registry=options["registry"])
    address = f"{DEFAULT_HOST}:{declared_port(root)}"
    tools = Tools(
        address,
        _read_platforms(options["platforms"]),
        options["authfile"],
        options["key"],
        options["engine"] or "",
        push=push,
    )
    watch_children_cheaply()
    try:
        result = run_interruptible(_build(root, wanted, tools))
    except BlueprintError as error:
        error.hint = "correct it, then build again"  # nothing runs here that would go on
        raise
    except Interruption as interruption:
        click.echo("towpath: interrupted", err=True)
        return interruption.exit_code
    if layout is not None and result.exit_code == 0:
        write_layout(_named(result), layout)
    if form == "json":
        print_json(_document(result))
    else:
        _print(result, layout)
    for run in result.runs:
        if run.error is not None:
            subject = f"service {run.build.service.name}"
            said = _explain(run.error)
            click.echo(f"towpath: {said if said.startswith(f'{subject} ') else f'{subject}: {said}'}", err=True)
    return result.exit_code


async def _build(root: Path, wanted: Wanted, tools: Tools) -> Result:
    found = await find_order(root, wanted, address=tools.address, environ=os.environ)
    _tell_changes(found)
    order = found.order
    with BuildProgress(tuple(service.name for service in order.services)) as bars:
        opened = open_workshop(
            root, found, tools, clock=SystemClock(), watcher=bars, environ=os.environ, lines_of=bars.lines_of
        )
        async with opened as workshop:
            runs = await workshop.building.build(order)
            result = Result(found, runs, pushed=tools.push)
            if workshop.pushing is not None and result.exit_code == 0:
                await workshop.pushing.push(order, runs)
    return result


def _read_platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    names = [name for text in texts for name in text.split(",") if name]
    platforms = [Platform.parse(name) for name in names] or [host_platform()]
    twice = next((platform for platform in platforms if platforms.count(platform) > 1), None)
    if twice is not None:
        raise UserError(f"platform {twice} is given twice (Twice)", hint="name each platform once")
    return tuple(platforms)


def _tell_changes(found: Found) -> None:
    if not found.changes:
        return
    shown = ", ".join(map(show_name, found.changes[:SHOWN_CHANGES]))
    more = f" and {len(found.changes) - SHOWN_CHANGES} more" if len(found.changes) > SHOWN_CHANGES else ""
    click.echo(f"not committed: {shown}{more}; built as it stands, tagged {found.order.tag}", err=True)


def _named(result: Result) -> Mapping[str, Any]:
    images = ((run.build.service.name, run.image) for run in result.runs)
    return {
        f"{name}:{result.found.order.tag}": image.whole for name, image in images if isinstance(image, BuiltService)
    }


def _print(result: Result, layout: Path | None) -> None:
    tag = result.found.order.tag
    rows = []
    for run in result.runs:
        name, seconds = run.build.service.name, f"{run.seconds:.2f}"
        if run.image is None:
            rows.append([name, tag, None, None, "failed", seconds])
        else:
            digest = str((run.descriptor or run.image.descriptor).digest)[:SHOWN_DIGEST]
            rows.append([name, tag, digest, format_size(run.image.size), _outcome(run), seconds])
    print_table(["SERVICE", "TAG", "DIGEST", "SIZE", "RESULT", "SECONDS"], rows)
    for run in result.runs:
        for warning in run.image.warnings if run.image is not None else ():
            click.echo(f"warning: {run.build.service.name}: {warning}", err=True)
    if layout is not None and result.exit_code == 0:
        click.echo(f"\nwritten to {layout}")
    if result.pushed and result.exit_code == 0:
        sent = sum(run.sent for run in result.runs)
        where = result.found.order.snapshot.blueprint.registry
        click.echo(f"\npushed to {where}: {format_size(sent)} of layers sent")
        signed = [run.build.service.name for run in result.runs if run.signed]
        if signed:
            click.echo(f"signed: {', '.join(signed)}")


def _outcome(run: ServiceRun) -> str:
    if run.error is not None:
        return "failed"
    if run.carried is not None:
        return "carried"
    return "cached" if run.image is not None and run.image.cached else "built"


def _document(result: Result) -> dict[str, Any]:
    order = result.found.order
    return {
        "commit": order.snapshot.commit,
        "tag": order.tag,
        "changes": list(result.found.changes),
        "registry": order.snapshot.blueprint.registry,
        "services": [_service_document(result, run) for run in result.runs],
    }


def _service_document(result: Result, run: ServiceRun) -> dict[str, Any]:
    order, name = result.found.order, run.build.service.name
    reference = repository_of(order.snapshot.blueprint, name).with_tag(order.tag)
    image = run.image
    return {
        "service": name,
        "reference": str(reference),
        "digest": str(run.descriptor.digest) if run.descriptor else "",
        "size": image.size if image else 0,
        "result": _outcome(run),
        "seconds": round(run.seconds, 3),
        "pushed": run.published,
        "signed": run.signed,
        "bytes_sent": run.sent,
        "warnings": list(image.warnings) if image else [],
        "error": _explain(run.error) if run.error else "",
    }


def _explain(error: Exception) -> str:
    if isinstance(error, TowpathError):
        return error.diagnostics()
    return f"unexpected failure ({type(error).__name__}): {error}"
