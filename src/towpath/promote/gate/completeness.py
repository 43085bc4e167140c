"""Is every part of the image in the registry: manifest, config and each layer, for the node's platform?

A tag can outlive what it points to (retention, an interrupted push, a lost disk); a node finds that out one layer at a
time, in production.
"""

from towpath.ociclient.errors import PullError
from towpath.promote.gate.evidence import Artifacts, Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, passed

NAME = "image complete"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse a tag that is not in the registry, and an image that lacks a part."""
    if candidate.image is None:
        return failed(
            NAME,
            f"{candidate.reference} cannot be used: {candidate.image_problem}",
            "wait for the build, or see `towpath explain` for why there is none",
        )
    missing = await missing_parts(candidate, evidence.artifacts)
    if missing:
        return failed(NAME, f"{candidate.reference} lacks {', '.join(missing)}", "build the commit again, then promote")
    layers = len(candidate.image.manifest.layers)
    return passed(NAME, f"manifest, config and {layers} layers for {evidence.platform}")


async def missing_parts(candidate: Candidate, artifacts: Artifacts) -> list[str]:
    """The parts of the candidate's image that the registry does not have in full."""
    if candidate.image is None:
        return ["manifest"]
    manifest = candidate.image.manifest
    parts = [("config", manifest.config), *((f"layer {n}", layer) for n, layer in enumerate(manifest.layers, start=1))]
    missing = []
    for name, descriptor in parts:
        try:
            size = await artifacts.find_blob(candidate.reference, descriptor.digest)
        except PullError as error:
            missing.append(f"{name} ({error.message})")
            continue
        if size is None:
            missing.append(f"{name} {descriptor.digest}")
        elif size != descriptor.size:
            missing.append(f"{name} {descriptor.digest} ({size} of {descriptor.size} bytes)")
    return missing
