"""What comes before an endpoint in a repository that is filled from another registry: see `registry.pullthrough`."""

from towpath.oci.challenge import PULL
from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.reference import InvalidReferenceError, parse_tag
from towpath.registry.protocol.exchange import Exchange

_READING = frozenset({"GET", "HEAD"})


async def ask_upstream(exchange: Exchange) -> None:
    """Fetch what the request is about, if the repository is a copy; nothing happens for all others.

    Raises:
        RegistryError: the caller may not read it, the request would write, or the upstream failed.
    """
    pull_through = exchange.registry.pull_through
    if not pull_through.covers(exchange.repository):
        return
    exchange.require(PULL)
    if exchange.request.method not in _READING:
        pull_through.refuse_writing(exchange.repository)
    parts = exchange.parts
    path: str = exchange.request.path_params["path"]
    kind = path.removeprefix(f"{exchange.repository}/").partition("/")[0]
    if kind == "manifests" and _is_reference(parts["reference"]):
        await pull_through.prepare_manifest(exchange.repository, parts["reference"])
    elif kind == "blobs" and "digest" in parts and _is_reference(parts["digest"]):
        await pull_through.prepare_blob(exchange.repository, Digest.parse(parts["digest"]))
    elif kind == "referrers" and _is_reference(parts["digest"]):
        await pull_through.prepare_referrers(exchange.repository, exchange.digest(parts["digest"]))


def _is_reference(text: str) -> bool:
    """Whether it is a tag or a digest; what is neither, the endpoint refuses in its own words."""
    try:
        if ":" in text:
            Digest.parse(text)
        else:
            parse_tag(text)
    except (InvalidDigestError, InvalidReferenceError):
        return False
    return True
