"""Does the image itself say that it was built from this commit?"""

from towpath.oci.annotations import REVISION
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "revision label"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse an image without the label, or with another commit in it."""
    del evidence
    if candidate.image is None or candidate.commit is None:
        return insufficient(NAME, "there is no image or no commit to compare", "see the checks before")
    revision = candidate.image.config.labels.get(REVISION, "")
    if not revision:
        return failed(NAME, f"the image has no label {REVISION}", "set the label where the image is built")
    if revision != candidate.commit:
        return failed(
            NAME,
            f"{candidate.tag} was built from {revision[:7]}, expected {candidate.commit[:7]}",
            "somebody else pushed this tag: build the commit again",
        )
    return passed(NAME, f"built from {revision[:7]}")
