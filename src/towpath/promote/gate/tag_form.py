"""Is the tag one that CI publishes? `sha-` and seven hexadecimal digits, nothing else.

The check that Towpath was born from: a manifest that named a full-length SHA while CI published short ones, and a node
that reported it as ErrImagePull an hour later.
"""

import re

from towpath.oci.tags import SHORT_LENGTH
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, passed

NAME = "tag form"
FULL_LENGTHS = (40, 64)  # SHA-1 and SHA-256 object formats of Git
# Bare digits count as a commit from seven on: shorter ones may be a word or a number.
_COMMIT = re.compile(r"sha-([0-9a-f]+)|([0-9a-f]{7,64})")


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse moving tags and tags of another length."""
    del evidence
    problem = find_problem(candidate.tag)
    if problem is None:
        return passed(NAME, f"{candidate.tag} has the form sha-<{SHORT_LENGTH} hexadecimal digits>")
    return failed(NAME, *problem)


def find_problem(tag: str) -> tuple[str, str] | None:
    """What is wrong with a tag, and the next step; None if it has the right form."""
    named = _COMMIT.fullmatch(tag)
    if named is None:
        return (
            f"{tag or 'an empty tag'} is no immutable tag: it can name another image tomorrow",
            "name a version as sha-<7 digits>; `towpath history` lists them",
        )
    digits = named[1] or named[2]
    if tag == f"sha-{digits}" and len(digits) == SHORT_LENGTH:
        return None
    if len(digits) < SHORT_LENGTH:
        return f"{tag} has {len(digits)} digits, expected {SHORT_LENGTH}", "give all seven digits of the commit"
    kind = "a full-length SHA" if len(digits) in FULL_LENGTHS else f"a SHA of {len(digits)} digits"
    return (
        f"{tag} is {kind}; CI publishes sha- and {SHORT_LENGTH} digits, so no image has this tag",
        f"use sha-{digits[:SHORT_LENGTH]}",
    )
