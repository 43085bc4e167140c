"""What the form of a tag says, and what a person is told to write instead."""

import pytest

from towpath.promote.gate.tag_form import find_problem

COMMIT = "860c1901234567890abcdef01234567890abcdef"


def test_the_tag_that_ci_publishes_has_the_right_form() -> None:
    assert find_problem("sha-860c190") is None


@pytest.mark.parametrize("tag", [COMMIT, f"sha-{COMMIT}", "860c190" + "0" * 57])
def test_a_full_length_sha_is_named_with_the_right_short_tag(tag: str) -> None:
    evidence, next_step = find_problem(tag) or ("", "")

    assert "is a full-length SHA" in evidence
    assert next_step == "use sha-860c190"


@pytest.mark.parametrize(
    ("tag", "evidence", "next_step"),
    [
        ("860c190", "860c190 is a SHA of 7 digits", "use sha-860c190"),
        ("sha-860c1901", "sha-860c1901 is a SHA of 8 digits", "use sha-860c190"),
        ("sha-860c1", "sha-860c1 has 5 digits, expected 7", "give all seven digits of the commit"),
        ("canary", "canary is no immutable tag", "towpath history"),
        ("cafe", "cafe is no immutable tag", "towpath history"),
        ("sha-", "sha- is no immutable tag", "towpath history"),
        ("", "an empty tag is no immutable tag", "towpath history"),
    ],
)
def test_every_other_tag_is_refused_with_the_next_step(tag: str, evidence: str, next_step: str) -> None:
    problem = find_problem(tag)

    assert problem is not None
    assert evidence in problem[0]
    assert next_step in problem[1]
