"""docs/registry.md names every error code that the registry sends."""

from pathlib import Path

from towpath.oci.errors import ErrorCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "registry.md"
# The first is for the server's own faults; the second is never sent.
OTHERS = {ErrorCode.UNKNOWN, ErrorCode.TOOMANYREQUESTS}


def test_every_error_code_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert [code for code in set(ErrorCode) - OTHERS if code not in text] == []
