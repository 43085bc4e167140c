"""`towpath registry collect`: what nothing needs, why the rest is kept, and the removal when it is meant."""

import shlex
from pathlib import Path
from typing import Any

import click

from towpath.amounts import format_size
from towpath.cli.output import output_option, print_json, print_table, wrapped
from towpath.cli.registry.desk import desk_options, find_desk
from towpath.errors import ConflictError

HEADERS = ["DECISION", "REPOSITORY", "TAG", "DIGEST", "SIZE", "REASON", "EVIDENCE"]
SHOWN_DIGEST = len("sha256:") + 12


@click.command("collect")
@click.option("--apply", is_flag=True, help="Remove it. Without this, nothing is removed.")
@click.option("--accept-unseen", is_flag=True, help="Nothing runs our images where the platform may not look.")
@click.option("--all", "everything", is_flag=True, help="Show every reason of everything that is kept.")
@desk_options
@output_option
def command(
    apply: bool, accept_unseen: bool, everything: bool, directory: Path, root: Path | None, output: str
) -> None:
    """Find images that nothing needs any more, with the reasons of what is kept; remove them with --apply.

    Kept is what any commit of the branch named inside the history window, what runs, what a rollback needs, channels,
    the newest sets, every tag that is not the platform's own, what was pushed or asked for a moment ago, and all that
    those lead to. When one of these cannot be read, nothing is removed. Pushes and pulls go on meanwhile.

    On a cluster where the platform may look into its own namespaces only, what runs elsewhere is unknown: --apply is
    refused unless you say by --accept-unseen that nothing there runs images of this registry.

    With --root it is a registry on its own that does not run: every tag stays, as with `serve --collect-daily`.
    """
    document = find_desk(directory, root, accepts_unseen=accept_unseen).collect(apply=apply)
    if output == "json":
        print_json(document)
    else:
        _print(document, everything=everything, root=root)
    interrupted = document.get("collected", {}).get("interrupted", "")
    if interrupted:
        raise ConflictError(f"collection ended early (Changed): {interrupted}", hint="towpath registry collect --apply")


def _print(document: dict[str, Any], *, everything: bool, root: Path | None) -> None:
    rows = [row for one in document["manifests"] for row in _rows(one, everything=everything)]
    if rows:
        print_table(HEADERS, rows)
        click.echo()
    for one in document["missing"]:
        text = f"missing: {one['repository']}:{one['reference']} is not here, and needed: {one['evidence']}"
        click.echo(wrapped(text, indent=0))
    if document["unseen"]:
        text = f"unseen: {document['unseen']}; images that run there count as unneeded unless they are needed here"
        click.echo(wrapped(text, indent=0))
    if document["held_blobs"]:
        click.echo(f"{len(document['held_blobs'])} blobs of no manifest stay: pushes may be on their way")
    click.echo(_summary(document, f" --root {shlex.quote(str(root))}" if root else ""))


def _rows(one: dict[str, Any], *, everything: bool) -> list[list[str]]:
    reasons = one["reasons"] or [{"reason": "unneeded", "evidence": one["removal"]}]
    shown = reasons if everything else reasons[:1]
    more = len(reasons) - len(shown)
    head = [one["decision"], one["repository"], ",".join(one["tags"]), one["digest"][:SHOWN_DIGEST]]
    # An empty cell is shown as a dash; one that would repeat what stands above it is left blank.
    blank = [" "] * (len(head) + 1)
    rows = []
    for number, reason in enumerate(shown):
        evidence = reason["evidence"] + (f" (+{more} more reasons)" if more else "")
        rows.append([*(blank if number else [*head, format_size(one["bytes"])]), reason["reason"], evidence])
    return rows


def _summary(document: dict[str, Any], said: str) -> str:
    kept, freed = document["kept"], format_size(document["freed_bytes"])
    if document["applied"]:
        done = document["collected"]
        return f"removed {done['manifests']} manifests and {format_size(done['blobs_bytes'])} of blobs; kept {kept}"
    if not document["removed"] and not document["blobs"]:
        return f"nothing to remove; kept {kept}"
    accept = " --accept-unseen" if document["unseen"] else ""
    return (
        f"would remove {document['removed']} manifests and {document['blobs']} blobs, {freed}; would keep {kept}\n"
        f"  next: towpath registry collect --apply{accept}{said}"
    )
