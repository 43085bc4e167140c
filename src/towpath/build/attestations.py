"""Attests an image that was built: provenance and SBOM, attached as referrers, signed when there is a key.

    provenance  an in-toto statement; signed, a Sigstore bundle instead
    SBOM        CycloneDX as such, for every tool that looks for one; signed, a Sigstore bundle of it besides

All of it follows from the request and the image, so attesting the same image again gives the same bytes and a second
push sends nothing. The image's own digest does not depend on it. A registry that takes no artifacts of this kind is no
reason to fail a build: that is a warning. One that cannot be reached is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from towpath import __version__
from towpath.aio.clock import format_rfc3339
from towpath.attest import bundle, provenance, sbom
from towpath.attest.components import Component, ComponentKind, image_purl, normalise_python_name
from towpath.attest.dsse import IN_TOTO, sign
from towpath.attest.keys import PrivateKey
from towpath.attest.provenance import BuildFacts, LockedPackage, format_provenance
from towpath.attest.referrer import Referrer, bundle_referrer, is_signed_by, sbom_referrer, statement_referrer
from towpath.attest.sbom import Described, dump_sbom, format_sbom
from towpath.attest.statement import Statement, Subject, format_statement
from towpath.build.cache import LayerCache
from towpath.build.host_base import HOST, HOST_HISTORY
from towpath.build.image import BuildRequest, BuiltImage
from towpath.build.inventory import Inventory, take_inventory
from towpath.build.os_packages import with_distribution
from towpath.build.parallel import run_all
from towpath.build.registry import AttestationRegistry
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, parse_image_config
from towpath.oci.reference import Reference
from towpath.oci.syntax import InvalidTextError
from towpath.ociclient.errors import PullCause, RegistryRequestError

# What another attempt may mend; any other answer is the registry's last word on artifacts.
_TRANSIENT = frozenset({PullCause.UNREACHABLE, PullCause.SERVER_ERROR, PullCause.RATE_LIMITED})


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image is made of; `complete` is False when a layer could not be looked into."""

    components: tuple[Component, ...]
    complete: bool


class Attestor:
    """Attests images; one for all builds of a process."""

    def __init__(
        self, *, cache: LayerCache, registry: AttestationRegistry, find_signer: Callable[[], PrivateKey | None]
    ) -> None:
        """Set up.

        Args:
            cache: keeps what layers hold.
            registry: where images are pushed to.
            find_signer: the key to sign with, asked for each image; None for unsigned attestations. May raise
                KeyFileError, which fails the build: whoever has a key wants no unsigned images.
        """
        self._cache = cache
        self._registry = registry
        self._find_signer = find_signer

    async def signs(self) -> bool:
        """Whether there is a key. Raises KeyFileError."""
        return await asyncio.to_thread(self._find_signer) is not None

    async def is_signed(self, image: Reference) -> bool:
        """Whether the key, if there is one, has signed an image, named by digest. Without a key nobody is asked.

        Raises:
            KeyFileError: the key cannot be used.
            RemoteError: the registry cannot be reached, or failed.
        """
        signer = await asyncio.to_thread(self._find_signer)
        if signer is None:
            return True
        try:
            listed = await self._registry.referrers(image)
        except RegistryRequestError as error:
            if error.cause in _TRANSIENT:
                raise
            return False
        return is_signed_by(signer.key_id, listed)

    async def attach(self, request: BuildRequest, image: BuiltImage, repository: Reference) -> tuple[str, ...]:
        """Attest an image and push what attests it; returns what a person should be warned of.

        The image itself need not be in the registry yet.

        Raises:
            KeyFileError: the key cannot be used.
            RemoteError: the registry cannot be reached, or failed.
        """
        referrers = await asyncio.to_thread(self._attest, request, image, repository)
        try:
            await self._push(repository, await self._missing(repository, image, referrers))
        except RegistryRequestError as error:
            if error.cause in _TRANSIENT:
                raise
            return (f"the registry takes no attestations, so the image has none: {error.message}",)
        return ()

    def _attest(self, request: BuildRequest, image: BuiltImage, repository: Reference) -> list[Referrer]:
        contents = read_contents(self._cache, image)
        return make_referrers(request, image, repository, contents, self._find_signer())

    async def _missing(self, repository: Reference, image: BuiltImage, referrers: list[Referrer]) -> list[Referrer]:
        listed = {one.digest for one in await self._registry.referrers(repository.with_digest(image.digest))}
        return [one for one in referrers if one.digest not in listed]

    async def _push(self, repository: Reference, referrers: list[Referrer]) -> None:
        blobs = {descriptor.digest: (descriptor, content) for one in referrers for descriptor, content in one.blobs}
        await run_all(self._push_blob(repository, *blob) for blob in blobs.values())
        # One after the other: where the registry keeps no list of referrers, each one edits the list in a tag.
        for one in referrers:
            by_digest = replace(repository, tag="", digest=one.digest)
            await self._registry.push_manifest(by_digest, one.manifest_raw, media.OCI_MANIFEST)

    async def _push_blob(self, repository: Reference, descriptor: Descriptor, content: bytes) -> None:
        async def open_content() -> AsyncIterator[bytes]:
            yield content

        await self._registry.push_blob(repository, descriptor, open_content)


def read_contents(cache: LayerCache, image: BuiltImage) -> Contents:
    """What the image's layers hold, with what its labels say of the base. Blocks."""
    config = parse_image_config(image.config_raw)
    on_host = is_on_host(config)
    inventories = [
        take_inventory(cache, layer.descriptor, layer.path, is_host=on_host and not number)
        for number, layer in enumerate(image.layers)
    ]
    components = (_with_lock(one, image) for one in _collect(inventories, config))
    return Contents(tuple(components), all(one.readable for one in inventories))


def is_on_host(config: ImageConfig) -> bool:
    """Whether an image stands on the base `host`, which has no name in its labels: its history says so."""
    return bool(config.history) and config.history[0].created_by.startswith(HOST_HISTORY)


def make_referrers(
    request: BuildRequest, image: BuiltImage, repository: Reference, contents: Contents, signer: PrivateKey | None
) -> list[Referrer]:
    """The artifacts to attach to an image; equal arguments give equal bytes."""
    created = format_rfc3339(request.committed_at)
    facts = read_facts(request, image)
    subjects = (Subject(repository.name, image.digest),)
    origin = Statement(subjects, provenance.PREDICATE_TYPE, format_provenance(facts))
    described = Described(repository, image.digest, request.tag, request.platform.architecture, created)
    document = format_sbom(
        described, contents.components, builder_version=facts.builder_version, complete=contents.complete
    )
    found = [sbom_referrer(image.descriptor, dump_sbom(document), created=created)]
    if signer is None:
        raw = format_statement(origin)
        found.append(statement_referrer(image.descriptor, raw, predicate_type=origin.predicate_type, created=created))
        return found
    for statement in (origin, Statement(subjects, sbom.PREDICATE_TYPE, document)):
        envelope = sign(IN_TOTO, format_statement(statement), [signer])
        raw = bundle.format_bundle(envelope, hint=signer.public.hint)
        found.append(
            bundle_referrer(
                image.descriptor,
                raw,
                predicate_type=statement.predicate_type,
                created=created,
                key_id=signer.key_id,
            )
        )
    return found


def read_facts(request: BuildRequest, image: BuiltImage) -> BuildFacts:
    """What provenance says of a build."""
    config = parse_image_config(image.config_raw)
    on_host = is_on_host(config)
    return BuildFacts(
        service=request.service.name,
        path=request.service.path,
        source=request.source_url,
        commit=request.commit,
        tree=request.tree_id,
        platform=str(request.platform),
        created=format_rfc3339(request.committed_at),
        builder_version=__version__,
        base=HOST if on_host else config.labels.get(annotations.BASE_NAME, ""),
        base_digest=config.diff_ids[0] if on_host else _find_digest(config.labels.get(annotations.BASE_DIGEST, "")),
        packages=tuple(LockedPackage(one.name, one.version, one.hashes) for one in image.packages),
        parameters=_parameters(request, image),
        engine=image.engine,
    )


def _parameters(request: BuildRequest, image: BuiltImage) -> dict[str, Any]:
    """What else a person decided; secrets by name."""
    service = request.service
    if not image.engine:
        return {"lock": image.lock} if image.lock else {}
    given: dict[str, Any] = {
        "dockerfile": service.dockerfile or "Dockerfile",
        "target": service.target,
        "buildArgs": dict(service.build_args),
        "secrets": list(service.secrets),
    }
    return {name: value for name, value in given.items() if value}


def _find_digest(text: str) -> Digest | None:
    return Digest.parse(text) if text else None


def _with_lock(component: Component, image: BuiltImage) -> Component:
    """A Python distribution with the hashes that its lock file accepts."""
    if not component.purl.startswith("pkg:pypi/"):
        return component
    name = normalise_python_name(component.name)
    locked = (
        one.hashes
        for one in image.packages
        if (normalise_python_name(one.name), one.version) == (name, component.version)
    )
    return replace(component, accepted=next(locked, ()))


def _collect(inventories: Iterable[Inventory], config: ImageConfig) -> Iterable[Component]:
    base = _base_component(config)
    if base is not None:
        yield base
    known = list(inventories)
    distribution = next((one.distribution for one in known if one.distribution), "")
    seen = set()
    for component in (part for one in known for part in one.components):
        named = with_distribution(component, distribution)
        mark = (named.purl, named.notes.get("path", "")) if named.purl else (named.name, named.notes.get("path", ""))
        if mark not in seen:
            seen.add(mark)
            yield replace(named, notes=dict(named.notes))


def _base_component(config: ImageConfig) -> Component | None:
    name = config.labels.get(annotations.BASE_NAME, "")
    digest = config.labels.get(annotations.BASE_DIGEST, "")
    if not name or not digest:
        return None
    try:
        reference = Reference.parse(name)
    except InvalidTextError:
        return Component(ComponentKind.CONTAINER, name, hashes=(digest,))
    purl = image_purl(reference, Digest.parse(digest), architecture=config.platform.architecture)
    return Component(ComponentKind.CONTAINER, reference.repository, reference.tag or "", purl, (digest,))
