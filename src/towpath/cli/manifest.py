"""`towpath manifest`: what a cluster needs so that `towpath serve` runs on it, with the least rights."""

import asyncio
import re
from pathlib import Path
from typing import Any

import click

from towpath.blueprint.model import platform_name
from towpath.cli.directory import directory_option
from towpath.cli.platform_options import advertise_options
from towpath.config import DEFAULT_NAMESPACE, find_root
from towpath.errors import UserError
from towpath.install.manifest import Serving, prepare_manifest
from towpath.install.rights import derive_rights
from towpath.install.text import format_manifest
from towpath.kube.objects import GVK
from towpath.kube.quantity import QuantityError, parse_quantity
from towpath.kube.validation.names import label_faults, subdomain_faults
from towpath.server.overlays import render_overlays

HEAD = """\
{name} on Kubernetes, as `towpath manifest` derived it from the overlays of {environments}.
Apply it before `towpath serve` runs, and again when a commit is to render a new kind:
  towpath manifest … | kubectl apply -f -
"""


@click.command("manifest")
@click.option("--image", help="The image that holds towpath, for the pod.  [default: print the rights alone]")
@click.option("--namespace", default=DEFAULT_NAMESPACE, help="The platform's own namespace.", show_default=True)
@click.option("--storage", default="10Gi", help="The size of the pod's volume.", show_default=True)
@click.option("--remote", default="", help="The repository to follow.  [default: host one]")
@click.option("--remote-token-secret", default="", help="The Secret whose key `token` opens --remote.")
@click.option(
    "--allow",
    "more",
    multiple=True,
    metavar="KIND[.GROUP]",
    help="A kind that overlays are going to have, such as Ingress.networking.k8s.io; may be repeated.",
)
@advertise_options
@directory_option
def command(image: str | None, namespace: str, more: tuple[str, ...], directory: Path, **options: Any) -> None:
    """Print what a cluster needs to run this platform: namespaces, an account, its roles, and the pod.

    Reads the working copy: the rights are those that its overlays need, and no more. Nothing is sent anywhere.
    """
    _check(namespace, options, has_pod=bool(image))
    root = find_root(directory.resolve())
    blueprint, environments = asyncio.run(render_overlays(root, default_name=platform_name(root.name)))
    rights = derive_rights(environments, own_namespace=namespace, more=[_parse_kind(text) for text in more])
    serving = _serving(image, blueprint.registry.partition("/")[0], options) if image else None
    documents = prepare_manifest(blueprint.name, rights, namespace=namespace, serving=serving)
    head = HEAD.format(name=blueprint.name, environments=", ".join(environments))
    head += "".join(f"WARNING: {warning}\n" for warning in rights.warnings)
    click.echo(format_manifest(documents, head=head), nl=False)
    for warning in rights.warnings:
        click.echo(f"warning: {warning}", err=True)
    for kind in rights.guessed:
        click.echo(f"warning: {kind} is not known here; its plural is guessed, and that it is namespaced", err=True)


def _check(namespace: str, options: dict[str, Any], *, has_pod: bool) -> None:
    faults = label_faults(namespace)
    if faults:
        raise UserError(f"--namespace {namespace!r} is no name of a namespace (Usage): {faults[0]}")
    try:
        size = parse_quantity(options["storage"])
    except QuantityError as error:
        raise UserError(
            f"--storage {options['storage']!r} is no size (Usage): it is not a quantity",
            hint="a number with a suffix, such as 10Gi",
        ) from error
    if size <= 0:
        raise UserError(f"--storage {options['storage']!r} is no size (Usage): it is not above zero", hint="as in 10Gi")
    secret = options["remote_token_secret"]
    if not secret:
        return
    faults = subdomain_faults(secret)
    if faults:
        raise UserError(f"--remote-token-secret {secret!r} is no name of a Secret (Usage): {faults[0]}")
    if not options["remote"]:
        raise UserError(
            f"--remote-token-secret {secret} opens nothing (Usage): no repository to follow is named",
            hint="say which: --remote URL",
        )
    if not has_pod:
        raise UserError(
            f"--remote-token-secret {secret} is for the pod (Usage): without --image none is described",
            hint="add --image, or leave it out",
        )


def _serving(image: str, registry: str, options: dict[str, Any]) -> Serving:
    advertise = str(options["advertise"])
    if not advertise:
        raise UserError(
            "the pod cannot be described (Usage): nodes and people must be told where it is",
            hint=f"--advertise HOST:PORT; towpath.yaml names images at {registry}",
        )
    if advertise != registry:
        text = f"warning: the overlays name images at {registry}, and --advertise says {advertise}: right only if"
        click.echo(f"{text} {registry} is another registry", err=True)
    return Serving(
        image=image,
        advertise=advertise,
        plain_http=options["plain_http"],
        storage=options["storage"],
        remote=options["remote"],
        token_secret=options["remote_token_secret"],
    )


def _parse_kind(text: str) -> GVK:
    kind, _, group = text.partition(".")
    if not re.fullmatch("[A-Z][A-Za-z0-9]*", kind) or (group and subdomain_faults(group)):
        raise UserError(f"--allow {text} names no kind (Usage)", hint="as in --allow Ingress.networking.k8s.io")
    return GVK(group, "", kind)
