"""`towpath verify`: where an image comes from and who says so. The procedure is `attest.verification`."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from towpath.aio.clock import SystemClock
from towpath.attest.findings import Verdict, conclude
from towpath.attest.keyfiles import KEYS_DIRECTORY, find_trusted, read_trusted
from towpath.attest.keys import PublicKey
from towpath.attest.verification import Expectation, FindCommit, Verification, verify
from towpath.build.host_base import host_platform
from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.config import DEFAULT_HOST, STATE_DIRECTORY, find_root
from towpath.errors import NotFoundError, UserError
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.server.registryclient import open_registry_client
from towpath.source.repository import GitRepository
from towpath.source.worktree import find_worktree

REFUSED = 3
_HEAD = "HEAD"
_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KEY_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("verify")
@click.argument("image")
@click.option("--key", "key_files", type=_KEY_FILE, multiple=True, help="A public key to trust; may be given again.")
@click.option("--source", default="", help="The repository it must come from.")
@click.option("--commit", default="", help="The commit it must be built from.")
@click.option("--platform", "platform_text", default="", help="Which image of several.  [default: this machine's]")
@click.option("--allow-unsigned", is_flag=True, help="Accept what nobody signed; all other checks stay.")
@click.option("--authfile", type=click.Path(path_type=Path), help="The file with the logins.  [default: docker's]")
@directory_option
@output_option
def command(
    image: str, source: str, commit: str, platform_text: str, directory: Path, output: str, **options: Any
) -> int:
    """Check who built IMAGE from what, and whether a trusted key's owner says so.

    IMAGE is a reference such as ghcr.io/me/lab/sensor:sha-1234567; inside a platform repository also a service, with a
    tag or a digest, or without: then it is the channel's image, or else that of the commit that is checked out. Keys
    are those given, or else those in the platform's .towpath/keys.

    Exits 3 when a check fails or lacks evidence (an unsigned image does), 4 without an image, 6 when the registry
    fails, 7 when its bytes are wrong.
    """
    root = _find_root(directory)
    keys = _trusted(root, options["key_files"])
    platform = Platform.parse(platform_text) if platform_text else host_platform()
    references = _read_images(image, root)
    expected = Expectation(keys, source, commit.lower(), unsigned_is_fine=bool(options["allow_unsigned"]))
    found = asyncio.run(_verify(root, references, platform, expected, options["authfile"]))
    verdict = conclude(found.findings)
    if output == "json":
        print_json(_document(found, verdict))
    else:
        _print(found, verdict)
    return 0 if verdict is Verdict.PASSED else REFUSED


def _find_root(directory: Path) -> Path | None:
    try:
        return find_root(directory.resolve())
    except UserError:
        return None  # outside of a platform repository an image is verified all the same


def _trusted(root: Path | None, files: object) -> tuple[PublicKey, ...]:
    given = files if isinstance(files, tuple) else ()
    if given:
        return tuple(key for file in given for key in read_trusted(file))
    return find_trusted(root / STATE_DIRECTORY / KEYS_DIRECTORY) if root else ()


def _read_images(image: str, root: Path | None) -> Sequence[Reference]:
    """A whole reference; or a service's image, which without a tag has two places to be: the channel, and `HEAD`."""
    if "/" in image:
        reference = Reference.parse(image)
        return [reference if reference.tag or reference.digest else reference.with_tag("latest")]
    if root is None:
        raise UserError(
            f"image {image} has no registry (NoRegistry): a service's name needs a platform repository here or above",
            hint="give the whole reference, as in ghcr.io/me/lab/sensor:sha-1234567, or -C DIR",
        )
    prefix, channel = _find_registry(root)
    reference = Reference.parse(f"{prefix}/{image}")
    if reference.tag or reference.digest:
        return [reference]
    return [reference.with_tag(channel), reference.with_tag(_HEAD)]


def _find_registry(root: Path) -> tuple[str, str]:
    """Where images are, and the channel: as the platform says; as the work tree does, if none runs or was pushed to."""
    # Reads YAML, which takes longer to import than what is verified outside of a platform repository needs.
    from towpath.cli.worktree import declared_channel, declared_registry  # noqa: PLC0415

    try:
        status = connect(root).get("/status")
    except UserError:
        status = {}
    return str(status.get("registry") or declared_registry(root)), str(status.get("channel") or declared_channel(root))


def _find_own(root: Path) -> str:
    """Where the platform's own registry is when none runs."""
    from towpath.cli.worktree import declared_port  # noqa: PLC0415 - as above

    return f"{DEFAULT_HOST}:{declared_port(root)}"


async def _verify(
    root: Path | None,
    references: Sequence[Reference],
    platform: Platform,
    expected: Expectation,
    authfile: Path | None,
) -> Verification:
    state = root / STATE_DIRECTORY if root else None
    own = _find_own(root) if root else ""
    async with AsyncExitStack() as stack:
        client = await open_registry_client(
            state, [references[0].registry], own=own, authfile=authfile, environ=os.environ, clock=SystemClock()
        )
        stack.push_async_callback(client.close)
        find_commit = await stack.enter_async_context(_history(root))
        commit = await _whole_id(expected.commit, find_commit)
        asked = replace(expected, commit=commit, find_commit=find_commit)
        tried = [await _with_commit(root, reference) for reference in references]
        known = [reference for reference in tried if reference is not None]
        for reference in known[:-1]:
            with contextlib.suppress(NotFoundError):
                return await verify(client, reference, platform, asked)
        try:
            return await verify(client, known[-1], platform, asked)
        except NotFoundError as error:
            if len(known) == 1:
                raise
            names = " and ".join(map(str, known))
            raise NotFoundError(
                f"image of {known[0].repository.rpartition('/')[2]} was not found (NotFound): asked for {names}",
                hint="push a commit, or towpath build --push; an older one needs its tag, as in sensor:sha-1234567",
            ) from error


async def _with_commit(root: Path | None, reference: Reference) -> Reference | None:
    """The reference with the tag of the commit that the work tree is at, if it stands for that; None without one."""
    if reference.tag != _HEAD:
        return reference
    tree = await find_worktree(root) if root is not None else None
    if tree is None:
        return None
    repository = GitRepository(tree.git_directory)
    try:
        commit = await repository.find_commit(_HEAD)
    finally:
        await repository.close()
    return reference.with_tag(sha_tag(commit)) if commit else None


async def _whole_id(commit: str, find_commit: FindCommit | None) -> str:
    """The full id of the commit that the user names; only a repository can tell what a shorter one stands for."""
    if not commit or _WHOLE_ID.fullmatch(commit):
        return commit
    found = await find_commit(commit) if find_commit else None
    if found is None:
        raise UserError(
            f"commit {commit} is not known (BadCommit): expected a full id, or a commit of this repository",
            hint="git rev-parse prints the full id",
        )
    return found


@asynccontextmanager
async def _history(root: Path | None) -> AsyncIterator[FindCommit | None]:
    """Asks the platform's repository and the working copy for commits; None when there is neither."""
    if root is None:
        yield None
        return
    hosted = sorted((root / STATE_DIRECTORY / "git").glob("*.git"))
    repositories = [GitRepository(path) for path in (*hosted, root / ".git") if path.is_dir()]

    async def find_commit(commit: str) -> str | None:
        for repository in repositories:
            if found := await repository.find_commit(commit):
                return found
        return None

    try:
        yield find_commit if repositories else None
    finally:
        for repository in repositories:
            await repository.close()


def _print(found: Verification, verdict: Verdict) -> None:
    click.echo(f"{found.reference}\n")
    rows = [[finding.check, str(finding.verdict), finding.evidence] for finding in found.findings]
    print_table(["CHECK", "VERDICT", "EVIDENCE"], rows)
    for step in _next_steps(found):
        click.echo(f"next: {step}")
    click.echo(f"\n{'verified' if verdict is Verdict.PASSED else f'not verified: {verdict}'}")


def _next_steps(found: Verification) -> Sequence[str]:
    return list(dict.fromkeys(finding.next_step for finding in found.findings if finding.next_step))


def _document(found: Verification, verdict: Verdict) -> dict[str, object]:
    return {
        "image": str(found.reference),
        "digest": str(found.digest),
        "verdict": str(verdict),
        "checks": [
            {
                "check": finding.check,
                "verdict": str(finding.verdict),
                "evidence": finding.evidence,
                "next": finding.next_step,
            }
            for finding in found.findings
        ],
    }
