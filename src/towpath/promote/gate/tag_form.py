"""Is the tag one that CI publishes? `sha-` and seven hexadecimal digits, nothing else.

The check that Towpath was born from: a manifest that named a full-length SHA while CI published short ones, and a node
that reported it as ErrImagePull an hour later.
"""

from towpath.oci.tags import parse_sha_tag, sha_tag
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, passed

NAME = "tag form"
SHORT_DIGITS = 7
FULL_DIGITS = 40


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse moving tags and tags of another length."""
    del evidence
    problem = find_problem(candidate.tag)
    if problem is None:
        return passed(NAME, f"{candidate.tag} has the form sha-<{SHORT_DIGITS} hexadecimal digits>")
    return failed(NAME, *problem)


def find_problem(tag: str) -> tuple[str, str] | None:
    """What is wrong with a tag, and the next step; None if it has the right form."""
    digits = parse_sha_tag(tag) or _bare_sha(tag)
    if digits is None:
        return (
            f"{tag or 'an empty tag'} is no immutable tag: it can name another image tomorrow",
            "name a version as sha-<7 digits>; `towpath history` lists them",
        )
    if tag == f"sha-{digits}" and len(digits) == SHORT_DIGITS:
        return None
    if len(digits) < SHORT_DIGITS:
        return f"{tag} has {len(digits)} digits, expected {SHORT_DIGITS}", "give all seven digits of the commit"
    kind = "a full-length SHA" if len(digits) == FULL_DIGITS else f"a SHA of {len(digits)} digits"
    return (
        f"{tag} is {kind}; CI publishes {SHORT_DIGITS} digits, so no image has this tag",
        f"use {sha_tag(digits)}",
    )


def _bare_sha(tag: str) -> str | None:
    is_hex = len(tag) >= SHORT_DIGITS and all(character in "0123456789abcdef" for character in tag)
    return tag if is_hex else None
