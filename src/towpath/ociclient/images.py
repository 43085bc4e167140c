"""Choosing from an index the image that runs on a platform."""

from dataclasses import dataclass

from towpath.oci.descriptor import Descriptor
from towpath.oci.image import ImageConfig
from towpath.oci.manifest import Index, Manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image, ready to be pulled. `reference` is pinned to the digest of `manifest`."""

    reference: Reference
    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig


def choose_candidates(index: Index, platform: Platform) -> list[Descriptor]:
    """The entries that may be the image of this platform, best first.

    Entries that name the platform come first; entries that name none are told only by their configuration.
    """
    named = [entry for entry in index.manifests if entry.platform and entry.platform.matches(platform)]
    unnamed = [entry for entry in index.manifests if entry.platform is None]
    return named or unnamed


def describe_platforms(index: Index) -> str:
    """The platforms that an index offers, for an error message."""
    offered = sorted({str(entry.platform) for entry in index.manifests if entry.platform})
    return ", ".join(offered) or "no platform"
