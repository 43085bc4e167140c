"""Provenance: SLSA's build provenance v1, from which commit and materials an image was built, by whom.

Everything in it follows from the commit: the times are the commit's, the invocation is named by what was built.
Building the same commit again gives the same statement, byte for byte. Our parameters: docs/attestations.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from towpath.attest.components import python_purl
from towpath.attest.errors import InvalidAttestationError
from towpath.oci.digest import Digest

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://towpath.dev/attestations/service/v1"
BUILDER_ID = "https://towpath.dev/builder"


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A distribution that a lock file names; `hashes` are `sha256:…`, any of which was accepted."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What is known of a build.

    Attributes:
        service: its name.
        path: its directory.
        source: the URL of the repository; empty when there is none.
        commit: the full id; empty outside of Git.
        tree: Git's id of the directory; empty when it is not exactly that.
        platform: as in `linux/amd64`.
        created: RFC 3339; the time of the commit.
        builder_version: of Towpath.
        base: the base's reference, or `host`; empty when a Dockerfile names its own.
        base_digest: of its manifest, or for `host` of its uncompressed layer; None when not known.
        packages: what was installed from a lock file.
        parameters: what else the user decided (a Dockerfile, its target and arguments).
        engine: the program that ran a Dockerfile and its version; empty for our own builder.
    """

    service: str
    path: str
    source: str
    commit: str
    tree: str
    platform: str
    created: str
    builder_version: str
    base: str = ""
    base_digest: Digest | None = None
    packages: tuple[LockedPackage, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provenance says, as far as it is checked. Empty for what it leaves out."""

    builder: str
    source: str
    commit: str


def format_provenance(facts: BuildFacts) -> dict[str, Any]:
    """The predicate, as JSON values."""
    parameters = {
        "source": facts.source,
        "commit": facts.commit,
        "service": facts.service,
        "path": facts.path,
        "platform": facts.platform,
    }
    external = {name: value for name, value in parameters.items() if value}
    version = {"towpath": facts.builder_version, **({"engine": facts.engine} if facts.engine else {})}
    definition: dict[str, Any] = {
        "buildType": BUILD_TYPE,
        "externalParameters": {**external, **facts.parameters},
        "resolvedDependencies": list(_dependencies(facts)),
    }
    if facts.tree:
        definition["internalParameters"] = {"tree": facts.tree}
    times = {"startedOn": facts.created, "finishedOn": facts.created} if facts.created else {}
    invocation = f"{facts.commit or 'uncommitted'}/{facts.service}/{facts.platform}"
    return {
        "buildDefinition": definition,
        "runDetails": {
            "builder": {"id": BUILDER_ID, "version": version},
            "metadata": {"invocationId": invocation, **times},
        },
    }


def read_claims(predicate: Mapping[str, Any]) -> Claims:
    """What a predicate says, ours or another builder's. Raises InvalidAttestationError."""
    try:
        definition = predicate["buildDefinition"]
        _text(definition["buildType"])  # no provenance is without one, whatever it is
        external = definition["externalParameters"]
        builder = _text(predicate["runDetails"]["builder"]["id"])
        dependencies = definition.get("resolvedDependencies") or []
        named = external.get("source") if isinstance(external, dict) else ""
        source, commit = _find_source(dependencies)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidAttestationError(
            "provenance is malformed (Schema): expected buildDefinition and runDetails as in SLSA v1"
        ) from error
    return Claims(builder, named if isinstance(named, str) and named else source, commit)


def _dependencies(facts: BuildFacts) -> Iterable[dict[str, Any]]:
    if facts.commit:
        uri = f"git+{facts.source}@{facts.commit}" if facts.source else f"git:{facts.commit}"
        yield {"name": "source", "uri": uri, "digest": {"gitCommit": facts.commit}}
    if facts.base_digest is not None:
        uri = "urn:towpath:base:host" if facts.base == "host" else f"docker://{facts.base.partition('@')[0]}"
        if facts.base != "host":
            uri += f"@{facts.base_digest}"
        yield {"name": "base", "uri": uri, "digest": {facts.base_digest.algorithm: facts.base_digest.hex}}
    for package in sorted(facts.packages, key=lambda one: (one.name, one.version)):
        uri = python_purl(package.name, package.version)
        # A lock file accepts any of several files of one version; each is a material that may have been used.
        for text in package.hashes:
            algorithm, _, value = text.partition(":")
            yield {"name": package.name, "uri": f"{uri}?checksum={quote(text)}", "digest": {algorithm: value}}
        if not package.hashes:
            yield {"name": package.name, "uri": uri}


def _find_source(dependencies: Any) -> tuple[str, str]:
    for one in dependencies if isinstance(dependencies, list) else []:
        commit = one.get("digest", {}).get("gitCommit", "") if isinstance(one, dict) else ""
        if isinstance(commit, str) and commit:
            uri = str(one.get("uri", ""))
            return uri.removeprefix("git+").rpartition("@")[0] if uri.startswith("git+") else "", commit
    return "", ""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidAttestationError("provenance is malformed (Schema): buildType or builder is no text")
    return value
