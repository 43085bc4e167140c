"""Commits as Git stores and lists them."""

import pytest

from towpath.errors import IntegrityError
from towpath.source.commits import parse_committed_at

COMMIT = b"""tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A committer 5 +0000 <a@example.org> 1700000000 +0100
committer B <b@example.org> 1700000099 -0700
gpgsig -----BEGIN SSH SIGNATURE-----
 committer C <c@example.org> 1 +0000
 -----END SSH SIGNATURE-----

committer D <d@example.org> 2 +0000
"""


def test_the_committers_time_is_read_from_the_header_alone() -> None:
    assert parse_committed_at(COMMIT) == 1700000099.0


@pytest.mark.parametrize(
    "content", [b"", b"tree 1\n\ncommitter B <b> 3 +0000\n", b"committer\n\n", b"committer B <b> soon +0000\n\n"]
)
def test_a_commit_that_does_not_say_when_it_was_made_is_damaged(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="Malformed"):
        parse_committed_at(content)
