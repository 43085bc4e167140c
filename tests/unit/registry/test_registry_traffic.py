"""What is measured of each request, how it is counted, and how the numbers are written."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api
from towpath.registry.counters import Counters, Family, Sample
from towpath.registry.exposition import format_exposition
from towpath.registry.holdings import Holdings
from towpath.registry.tokens import REFRESH_SECONDS
from towpath.registry.traffic import Passage, classify

HOLDINGS = Holdings(blobs=3, blob_bytes=4096, uploads=1)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Notes:
    """An observer that remembers."""

    passages: list[Passage] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def passed(self, passage: Passage) -> None:
        self.passages.append(passage)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)


@dataclass
class Watched:
    """A registry with its observers."""

    api: Api
    notes: Notes
    counters: Counters

    def numbers(self) -> dict[str, float]:
        """Every sample, by name and labels."""
        text, _ = format_exposition(self.counters.families(), accept=OPENMETRICS)
        return {
            f"{sample.name}{dict(sorted(sample.labels.items())) or ''}": sample.value
            for family in parse_openmetrics(text.decode())  # type: ignore[no-untyped-call]
            for sample in family.samples
        }


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    notes, counters = Notes(), Counters(read_holdings=lambda: HOLDINGS)
    async with open_api(tmp_path / "registry", VirtualClock(), observers=(notes, counters)) as api:
        yield Watched(api, notes, counters)


async def test_a_request_is_measured_whole(watched: Watched) -> None:
    blob = await watched.api.push_blob(b"x" * 1000)
    answer = await watched.api.ask("GET", f"/v2/lab/app/blobs/{blob.digest}", user="reader", user_agent="skopeo/1")
    pushed, pulled = watched.notes.passages
    assert (pushed.method, pushed.route, pushed.status, pushed.received) == ("POST", "uploads", 201, 1000)
    assert (pulled.caller, pulled.user_agent, pulled.sent) == ("reader", "skopeo/1", 1000)
    assert pulled.path == f"/v2/lab/app/blobs/{blob.digest}"
    assert answer.headers["x-request-id"] == pulled.id != pushed.id


async def test_a_body_that_a_head_leaves_out_is_not_counted(watched: Watched) -> None:
    await watched.api.put(await watched.api.prepare_manifest(), "v1")
    sent = watched.numbers()["towpath_registry_sent_bytes_total"]
    for path in ("manifests/v1", "manifests/absent", "tags/list"):
        answer = await watched.api.ask("HEAD", f"/v2/lab/app/{path}")
        assert int(answer.headers["content-length"]) > 0
    assert [one.sent for one in watched.notes.passages[-3:]] == [0, 0, 0]
    assert watched.numbers()["towpath_registry_sent_bytes_total"] == sent


async def test_nothing_secret_is_in_a_measure(watched: Watched) -> None:
    await watched.api.ask("GET", "/token?account=admin&password=in-the-query&scope=repository:lab/app:pull")
    form = b"grant_type=password&username=admin&password=admin-secret"
    await watched.api.ask("POST", "/token", form, user="")
    text = repr(watched.notes.passages)
    for secret in ("admin-secret", "in-the-query", "Basic", "Bearer"):
        assert secret not in text


FORM = {"content_type": "application/x-www-form-urlencoded"}


async def test_requests_for_tokens_are_measured_with_who_asks(watched: Watched) -> None:
    api, passages = watched.api, watched.notes.passages
    await api.ask("GET", "/token?scope=repository:lab/app:pull", user="reader")
    form = b"grant_type=password&username=admin&password=admin-secret&access_type=offline"
    refresh = (await api.ask("POST", "/token", form, user="", **FORM)).json()["refresh_token"]
    await api.ask("POST", "/token", f"grant_type=refresh_token&refresh_token={refresh}".encode(), user="", **FORM)
    assert [(one.caller, one.status) for one in passages] == [("reader", 200), ("admin", 200), ("admin", 200)]
    assert refresh not in repr(passages)


async def test_failed_logins_are_measured_with_the_name_that_was_claimed(watched: Watched) -> None:
    api, passages = watched.api, watched.notes.passages
    wrong = httpx.BasicAuth("reader", "guess").auth_flow(httpx.Request("GET", "http://x/"))
    header = next(wrong).headers["authorization"]
    for path in ("/token", "/v2/", "/v2/lab/app/tags/list"):
        await api.ask("GET", path, user="", authorization=header)
    await api.ask("POST", "/token", b"grant_type=password&username=root&password=x", user="", **FORM)
    await api.ask("POST", "/token", b"grant_type=refresh_token&refresh_token=made.up", user="", **FORM)
    await api.ask("GET", "/token", user="")
    assert [(one.caller, one.status) for one in passages] == [
        ("reader", 401),
        ("reader", 401),
        ("reader", 401),
        ("root", 401),
        ("", 401),
        ("", 401),
    ]


async def test_a_name_that_is_long_or_a_secret_in_the_wrong_place_is_not_written_down(watched: Watched) -> None:
    for name in ("n" * 5000, "twr_a-robots-secret"):
        form = f"grant_type=password&username={name}&password=x".encode()
        await watched.api.ask("POST", "/token", form, user="", **FORM)
    assert [len(one.caller) for one in watched.notes.passages] == [128, len("(a secret)")]


async def test_tokens_that_have_expired_are_measured_with_whom_they_were_made_for(watched: Watched) -> None:
    form = b"grant_type=password&username=admin&password=admin-secret&access_type=offline"
    made = (await watched.api.ask("POST", "/token", form, user="", **FORM)).json()
    await watched.api.clock.advance(REFRESH_SECONDS + 1)
    await watched.api.ask("GET", "/v2/", user="", authorization=f"Bearer {made['token']}")
    again = f"grant_type=refresh_token&refresh_token={made['refresh_token']}".encode()
    await watched.api.ask("POST", "/token", again, user="", **FORM)
    assert [(one.caller, one.status) for one in watched.notes.passages[1:]] == [("admin", 401), ("admin", 401)]


async def test_refusals_are_told_with_their_reason(watched: Watched) -> None:
    await watched.api.ask("GET", "/v2/", user="")
    await watched.api.client.get("/v2/", auth=("admin", "wrong"))
    await watched.api.ask("GET", "/v2/", user="", authorization="Bearer x")
    await watched.api.ask("GET", "/v2/other/app/tags/list", user="reader")
    await watched.api.client.get("/token", auth=("admin", "wrong"))
    assert watched.notes.refusals == ["missing", "credentials", "token", "scope", "credentials"]
    assert watched.numbers()["towpath_registry_refusals_total{'reason': 'credentials'}"] == 2


async def test_requests_bytes_mounts_and_finds_are_counted(watched: Watched) -> None:
    blob = await watched.api.push_blob(b"x" * 1000, "lab/one")
    await watched.api.ask("HEAD", f"/v2/lab/one/blobs/{blob.digest}")
    await watched.api.ask("HEAD", f"/v2/lab/two/blobs/{blob.digest}")
    await watched.api.ask("POST", f"/v2/lab/two/blobs/uploads/?from=lab%2Fone&mount={blob.digest}")
    await watched.api.ask("POST", f"/v2/lab/two/blobs/uploads/?from=lab%2Fnone&mount={blob.digest}")
    await watched.api.ask("GET", f"/v2/lab/two/blobs/{blob.digest}")
    numbers = watched.numbers()
    labels = "{'method': 'HEAD', 'route': 'blobs', 'status': '404'}"
    assert numbers[f"towpath_registry_requests_total{labels}"] == 1
    assert numbers["towpath_registry_received_bytes_total"] == 1000
    assert numbers["towpath_registry_sent_bytes_total"] >= 1000
    assert numbers["towpath_registry_mounts_total"] == 1
    assert numbers["towpath_registry_dedupe_hits_total"] == 1
    assert numbers["towpath_registry_request_seconds_count{'route': 'blobs'}"] == 3
    assert numbers["towpath_registry_request_seconds_bucket{'le': '+Inf', 'route': 'blobs'}"] == 3


async def test_the_storage_is_asked_when_the_numbers_are_read(watched: Watched) -> None:
    numbers = watched.numbers()
    names = ("uploads", "blobs", "blob_bytes")
    assert [numbers[f"towpath_registry_{name}"] for name in names] == [1, 3, 4096]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2", "base"),
        ("/v2/", "base"),
        ("/token", "token"),
        ("/v2/_catalog", "catalog"),
        ("/v2/a/b/manifests/x", "manifests"),
        ("/v2/a/blobs/sha256:0", "blobs"),
        ("/v2/a/blobs/uploads/", "uploads"),
        ("/v2/a/blobs/uploads/0123", "uploads"),
        ("/v2/a/tags/list", "tags"),
        ("/v2/a/referrers/sha256:0", "referrers"),
        ("/v2/whatever", "other"),
        ("/v2/a/b/c/d", "other"),
    ],
)
def test_every_path_is_of_a_known_kind(path: str, kind: str) -> None:
    assert classify(path) == kind


@pytest.mark.parametrize(("accept", "parse"), [(OPENMETRICS, parse_openmetrics), ("*/*", parse_plain)])
def test_the_text_is_what_parsers_read(accept: str, parse: object) -> None:
    tricky = Sample("_total", (("name", 'a"b\\c\nd'),), 2.5)
    text, content_type = format_exposition([Family("things", "counter", "Things.", (tricky,))], accept=accept)
    assert callable(parse)
    (family,) = parse(text.decode())
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("things_total", {"name": 'a"b\\c\nd'}, 2.5)
    assert content_type.startswith("application/openmetrics-text" if accept == OPENMETRICS else "text/plain")
