"""docs/registry.md names every error code, number and header that the registry sends."""

import re
from pathlib import Path

from towpath.oci.errors import ErrorCode
from towpath.registry.counters import Counters
from towpath.registry.holdings import Holdings
from towpath.registry.notifications import MEDIA_TYPE, SEQUENCE_HEADER, SIGNATURE_HEADER
from towpath.registry.traffic import Passage, classify

DOCUMENT = Path(__file__).parents[2] / "docs" / "registry.md"
# The first is for the server's own faults; the second is never sent.
OTHERS = {ErrorCode.UNKNOWN, ErrorCode.TOOMANYREQUESTS}


def test_every_error_code_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert [code for code in set(ErrorCode) - OTHERS if code not in text] == []


def test_every_number_of_the_registry_is_in_its_table_with_its_labels() -> None:
    counters = Counters(read_holdings=lambda: Holdings(0, 0, 0))
    counters.passed(Passage("1", "GET", "/v2/", "base", "", "", 0.0))
    counters.refused("missing")
    rows = dict(re.findall(r"^\| `(towpath_registry_\w+)` \|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE))
    for family in counters.families():
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        labels = [label for label, _ in family.samples[0].labels if label != "le"]
        assert re.findall(r"`(\w+)`", rows.pop(name)) == labels
    assert rows == {}


def test_every_kind_of_route_and_every_reason_is_named() -> None:
    text = DOCUMENT.read_text()
    paths = ("/v2/", "/token", "/v2/_catalog", "/v2/a/manifests/b", "/v2/a/blobs/b", "/v2/a/blobs/uploads/", "/v2/x")
    kinds = {classify(path) for path in (*paths, "/v2/a/tags/list", "/v2/a/referrers/b")}
    assert len(kinds) == 9
    assert [
        word for word in (*kinds, "missing", "credentials", "token", "expired", "scope") if f"`{word}`" not in text
    ] == []


def test_the_headers_of_notifications_are_those_that_are_sent() -> None:
    text = DOCUMENT.read_text()
    assert [word for word in (MEDIA_TYPE, SIGNATURE_HEADER, SEQUENCE_HEADER) if f"`{word}`" not in text] == []
