"""Whose fault a failed installation is, from what uv said."""

import pytest

from towpath.build.entries import BuildError
from towpath.build.uv_errors import PackageCorruptError, PackagesUnavailableError, explain_failure
from towpath.errors import TowpathError

MISMATCH = """error: Failed to download `greet==1.0`
  cause: Hash mismatch for `greet==1.0`

         Expected:
           sha256:00
"""
REFUSED = """error: Request failed after 3 retries in 7.8s
  cause: Failed to fetch: http://me:secret@127.0.0.1:9/simple/x/
  cause: error sending request for url (http://me:secret@127.0.0.1:9/simple/x/)
"""
NO_WHEEL = """  \u00d7 No solution found when resolving dependencies:
  ╰─▶ Because x==1.0 has no wheels with a matching platform tag, we can conclude that x is unusable.
"""
NO_VERSION = """error: No solution found when resolving dependencies
  cause: Because x was not found in the provided package locations, your requirements are unsatisfiable.
"""


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        (MISMATCH, PackageCorruptError, "HashMismatch"),
        (REFUSED, PackagesUnavailableError, "IndexUnreachable"),
        (NO_WHEEL, BuildError, "NoWheel"),
        (NO_VERSION, BuildError, "InstallFailed"),
        ("", BuildError, "InstallFailed"),
    ],
)
def test_each_failure_has_its_class_and_reason(said: str, kind: type[TowpathError], reason: str) -> None:
    error = explain_failure("requirements.lock", said)

    assert type(error) is kind
    assert "packages of requirements.lock cannot be " in error.message
    assert f"({reason})" in error.message
    assert error.hint


def test_what_uv_said_is_shown_on_one_line_and_without_its_decoration() -> None:
    message = explain_failure("requirements.lock", NO_WHEEL).message

    assert "x==1.0 has no wheels with a matching platform tag" in message
    assert message.isascii()
    assert "\n" not in message


def test_a_password_in_the_address_of_an_index_is_not_shown() -> None:
    message = explain_failure("requirements.lock", REFUSED).message

    assert "secret" not in message
    assert "***@127.0.0.1:9" in message


def test_a_long_story_is_cut() -> None:
    assert len(explain_failure("l", "x " * 5000).message) < 1000
