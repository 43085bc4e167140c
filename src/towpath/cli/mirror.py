"""`towpath mirror`: copy a release to or from an outside registry; what is copied stands in `promote.mirror`."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from towpath.aio.clock import SystemClock
from towpath.ci.sets import Artifact, ArtifactSet
from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import NotFoundError, UserError
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.reference import Reference
from towpath.oci.tags import parse_sha_tag, sha_tag
from towpath.promote.mirror import Mirror, Mirrored, Place, Progress
from towpath.server.registryclient import open_registry_client

Copy = Callable[[Mirror], Awaitable[list[Mirrored]]]


@click.group("mirror")
def command() -> None:
    """Copy releases between this platform's registry and an outside one, by digest.

    Only what the other side lacks is sent; a copy that was cut off goes on when it is repeated. Logins are those of
    docker and podman (`docker login ghcr.io`).
    """


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        output_option,
        directory_option,
        click.option(
            "--authfile", type=click.Path(path_type=Path), help="The file with the logins.  [default: docker's]"
        ),
        click.option("--commit", "revision", default="", help="The set of this commit: sha-1234567, or its id."),
        click.option("--environment", default="", help="The release of this environment."),
    ):
        function = option(function)
    return function


@command.command("to")
@click.argument("outside")
@_shared
def copy_to(outside: str, environment: str, revision: str, directory: Path, authfile: Path | None, output: str) -> None:
    """Copy to OUTSIDE, a registry and a prefix such as ghcr.io/me/lab.

    Without an option it is the newest published set. A release is also listed there as releases:ENVIRONMENT.
    """
    _check_choice(environment, revision, required=False)
    status = connect(directory).get("/status", environment=environment)

    async def copy(mirror: Mirror) -> list[Mirrored]:
        if environment:
            return await mirror.copy_release(environment, await _release_of(status, environment, mirror.source))
        return await mirror.copy_set(_tag_of(revision) if revision else status["channel"])

    mirrored = asyncio.run(_run(copy, directory, status, outside, authfile, inward=False))
    _print(mirrored, outside, output)


@command.command("from")
@click.argument("outside")
@_shared
def copy_from(
    outside: str, environment: str, revision: str, directory: Path, authfile: Path | None, output: str
) -> None:
    """Copy from OUTSIDE into this platform's registry.

    With --environment it is the release that `towpath mirror to --environment` left there.
    """
    _check_choice(environment, revision, required=True)
    status = connect(directory).get("/status")

    async def copy(mirror: Mirror) -> list[Mirrored]:
        return await (mirror.restore_release(environment) if environment else mirror.copy_set(_tag_of(revision)))

    mirrored = asyncio.run(_run(copy, directory, status, outside, authfile, inward=True))
    _print(mirrored, status["registry"], output)


def _check_choice(environment: str, revision: str, *, required: bool) -> None:
    if environment and revision:
        raise UserError("mirror cannot start (Ambiguous): expected --environment or --commit, got both")
    if required and not environment and not revision:
        raise UserError("mirror cannot start (Missing): expected --environment or --commit, got none")


def _tag_of(revision: str) -> str:
    text = revision.lower()
    try:
        return sha_tag(parse_sha_tag(text) or text)
    except ValueError as error:
        raise UserError(
            f"commit {revision} cannot be mirrored (BadCommit): expected sha-1234567 or at least 7 digits of its id",
            hint="`towpath history` lists them",
        ) from error


async def _release_of(status: dict[str, Any], environment: str, source: Place) -> ArtifactSet:
    """The images that an environment is to run, with their sizes as the registry says."""
    (found,) = status["environments"]
    named = [one for one in found["services"] if one["digest"]]
    if not named:
        raise NotFoundError(
            f"{environment} cannot be mirrored (NoRelease): it names no image of this platform",
            hint=f"towpath promote SERVICE --to {environment}",
        )
    artifacts = {}
    for one in named:
        reference = source.repository(one["service"]).with_digest(Digest.parse(one["digest"]))
        head = await source.client.resolve(reference)
        descriptor = Descriptor(head.media_type, head.digest, head.size)
        artifacts[one["service"]] = Artifact(one["service"], descriptor, one["commit"], tree_id="", fingerprint="")
    return ArtifactSet(found["revision"], "", artifacts)


async def _run(
    copy: Copy, directory: Path, status: dict[str, Any], outside: str, authfile: Path | None, *, inward: bool
) -> list[Mirrored]:
    own = status["registry"]
    if not own:
        raise NotFoundError("mirror cannot start (Empty): nothing was pushed to the platform repository yet")
    theirs = outside.rstrip("/")
    async with AsyncExitStack() as stack:
        client = await open_registry_client(
            find_root(directory.resolve()) / STATE_DIRECTORY,
            [own.partition("/")[0], Reference.parse(f"{theirs}/sets").registry],
            authfile=authfile,
            environ=os.environ,
            clock=SystemClock(),
        )
        stack.push_async_callback(client.close)
        here, there = Place(client, own), Place(client, theirs)
        progress = stack.enter_context(_Display()).progress
        return await copy(Mirror(there, here, progress) if inward else Mirror(here, there, progress))


class _Display:
    """Bars on a terminal, a line a service elsewhere; on the error output, so that a pipe gets the result alone."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
        self._bars = Bars(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("starting", total=None)
        self.progress = Progress(self._begin, self._end, self._count)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def _begin(self, service: str) -> None:
        self._bars.update(self._task, description=service)

    def _count(self, count: int) -> None:
        self._bars.advance(self._task, count)

    def _end(self, mirrored: Mirrored) -> None:
        if self._bars.disable:
            done = mirrored.copied
            text = f"{mirrored.service}: {done.sent} sent, {done.mounted} mounted, {done.present} there already"
            click.echo(text, err=True)


def _print(mirrored: list[Mirrored], target: str, output: str) -> None:
    if output == "json":
        print_json({"target": target, "images": [_document(one) for one in mirrored]})
        return
    rows = [
        [one.service, one.target.tag, one.copied.digest, one.copied.sent, one.copied.mounted, one.copied.present]
        for one in mirrored
    ]
    print_table(["SERVICE", "TAG", "DIGEST", "SENT", "MOUNTED", "THERE"], rows)
    total = sum(one.copied.bytes_sent for one in mirrored)
    click.echo(f"\n{len(mirrored)} images are at {target}; {total:,} bytes were sent")


def _document(one: Mirrored) -> dict[str, Any]:
    return {
        "service": one.service,
        "reference": str(one.target),
        "digest": str(one.copied.digest),
        "blobs": {"sent": one.copied.sent, "mounted": one.copied.mounted, "present": one.copied.present},
        "bytes_sent": one.copied.bytes_sent,
    }
