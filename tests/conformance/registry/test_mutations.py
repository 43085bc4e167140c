"""Registries that are broken on purpose: the suite must find each of them, or its passes would mean nothing."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.registry.data_sets import BLOBS, NONE
from conformance.registry.facets import Facet, Version
from conformance.registry.report import format_summary
from conformance.registry.results import Outcome, Results
from conformance.registry.suite import run_suite
from conformance.registry.wire import Target
from fakes.registry import serve_registry
from towpath.http.server import Listener

REPOSITORY = "conformance/one"
SHA256, SHA512 = BLOBS["sha256"], BLOBS["sha512"]


@dataclass
class Answer:
    """An answer on its way out, to be spoilt."""

    method: str
    path: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def drop(self, header: str) -> None:
        self.headers = [(name, value) for name, value in self.headers if name != header.encode()]

    def put(self, header: str, value: str) -> None:
        wanted = header.encode()
        self.headers = [(name, value.encode() if name == wanted else found) for name, found in self.headers]


Spoil = Callable[[Answer], None]


@dataclass(frozen=True)
class Break:
    """One way to be broken: what it does, where it must be found, and how it must be counted there."""

    what: str
    data_set: str
    facet: Facet
    answer: Spoil = lambda _: None
    request: Callable[[Scope], None] = lambda _: None
    outcomes: tuple[Outcome, ...] = (Outcome.FAIL,)


class Broken:
    """A registry in front of which someone spoils what passes."""

    def __init__(self, app: ASGIApp, broken: Break) -> None:
        self._app = app
        self._broken = broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._broken.request(scope)
        scope = {**scope, "extensions": {}}  # bodies are to come this way, and no more direct one
        start: Message = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, hold)
        answer = Answer(scope["method"], scope["path"], start["status"], list(start["headers"]), body)
        self._broken.answer(answer)
        if answer.method != "HEAD":
            answer.put("content-length", str(len(answer.body)))
        await send({**start, "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


def status(method: str, path: str, was: int, becomes: int) -> Spoil:
    def spoil(answer: Answer) -> None:
        if answer.method == method and re.search(path, answer.path) and answer.status == was:
            answer.status = becomes

    return spoil


def drop(method: str, path: str, header: str) -> Spoil:
    def spoil(answer: Answer) -> None:
        if answer.method == method and re.search(path, answer.path):
            answer.drop(header)

    return spoil


def put(path: str, header: str, value: str) -> Spoil:
    def spoil(answer: Answer) -> None:
        if re.search(path, answer.path):
            answer.put(header, value)

    return spoil


def edit(path: str, change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(answer: Answer) -> None:
        if re.search(path, answer.path) and answer.status == 200:
            answer.body = change(answer.body)

    return spoil


def ignore(header: bytes) -> Callable[[Scope], None]:
    def spoil(scope: Scope) -> None:
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != header]

    return spoil


def forget(parameter: bytes) -> Callable[[Scope], None]:
    def spoil(scope: Scope) -> None:
        kept = [part for part in scope["query_string"].split(b"&") if not part.startswith(parameter + b"=")]
        scope["query_string"] = b"&".join(kept)

    return spoil


def reverse_tags(body: bytes) -> bytes:
    document = orjson.loads(body)
    document["tags"].reverse()
    return orjson.dumps(document)


def untyped(body: bytes) -> bytes:
    document = orjson.loads(body)
    for entry in document["manifests"]:
        entry.pop("artifactType", None)
    return orjson.dumps(document)


def edit_code(answer: Answer, old: bytes, new: bytes) -> None:
    if answer.status >= 400:
        answer.body = answer.body.replace(old, new)


def ask_less(answer: Answer) -> None:
    if answer.method == "GET" and "/uploads/" in answer.path:
        answer.put("www-authenticate", f'Bearer realm="/token",service="x",scope="repository:{REPOSITORY}:pull"')


def unfilter(scope: Scope) -> None:
    scope["query_string"] = scope["query_string"].replace(b"vnd.example.sbom", b"vnd.example.signature")


def step_back(scope: Scope) -> None:
    scope["query_string"] = re.sub(rb"(last=.*)\w$", rb"\1", scope["query_string"])


def keep(scope: Scope) -> None:
    if scope["method"] == "DELETE" and scope["path"].endswith("/manifests/image"):
        scope["method"], scope["path"] = "GET", "/v2/"


UPLOAD = r"/blobs/uploads/[0-9a-f]+$"
SUBJECTS = "artifacts with subject"
DECLINED = (Outcome.SKIP,)
BREAKS = [
    Break("no answer to a ping", NONE, Facet.PING, status("GET", r"^/v2/$", 200, 404)),
    Break("no location of an upload", SHA256, Facet.BLOB_POST_PUT, drop("POST", r"uploads/$", "location")),
    Break("a location that leads nowhere", SHA256, Facet.BLOB_POST_PUT, put(UPLOAD, "location", "/v2/x/blobs/y")),
    Break("no range after a chunk", SHA256, Facet.BLOB_CHUNKED, drop("PATCH", UPLOAD, "range")),
    Break("a range that is one too far", SHA256, Facet.BLOB_STREAM, put(UPLOAD, "range", "0-512")),
    Break("a chunk out of order is taken", SHA256, Facet.BLOB_CHUNKED, request=ignore(b"content-range")),
    Break("a chunk out of order is a 400", SHA256, Facet.BLOB_CHUNKED, status("PUT", UPLOAD, 416, 400)),
    Break("another status for an upload", SHA256, Facet.BLOB_CHUNKED, status("GET", UPLOAD, 204, 200)),
    Break("a wrong digest is an error of the server", SHA256, Facet.BLOB_POST_PUT, status("PUT", UPLOAD, 400, 500)),
    Break("ranges are ignored", SHA256, Facet.BLOB_RANGE, request=ignore(b"range"), outcomes=DECLINED),
    Break("a range that is cut short", SHA256, Facet.BLOB_RANGE, put(r"/blobs/sha", "content-range", "bytes 0-1/9")),
    Break("a blob with a byte more", SHA256, Facet.BLOB_GET, edit(r"/blobs/sha", lambda body: body + b"!")),
    Break("the digest of another algorithm", SHA512, Facet.BLOB_PUSH, put("", "docker-content-digest", "sha256:0")),
    Break("a challenge that asks for too little", SHA256, Facet.BLOB_CHUNKED, ask_less),
    Break("no digest", SHA256, Facet.BLOB_HEAD, drop("HEAD", r"/blobs/", "docker-content-digest")),
    Break("nothing is mounted", SHA256, Facet.BLOB_MOUNT, request=forget(b"mount"), outcomes=DECLINED),
    Break("an upload is not cancelled", SHA256, Facet.BLOB_CANCEL, status("DELETE", UPLOAD, 204, 405)),
    Break("a code of its own", NONE, Facet.MANIFEST_GET_TAG, lambda a: edit_code(a, b"_UNKNOWN", b"_ABSENT")),
    Break("errors in another form", NONE, Facet.MANIFEST_GET_TAG, lambda a: edit_code(a, b'"errors"', b'"error"')),
    Break("a manifest made pretty", "image", Facet.MANIFEST_GET_TAG, edit("/manifests/", lambda b: b + b"\n")),
    Break("another media type", "index", Facet.MANIFEST_GET_DIGEST, put("/manifests/", "content-type", "text/json")),
    Break("a size that is none", "image", Facet.MANIFEST_HEAD_TAG, put("/manifests/", "content-length", "1")),
    Break("four megabytes are too much", "large manifest", Facet.MANIFEST_PUT_TAG, status("PUT", "manif", 201, 413)),
    Break("no subject is acknowledged", SUBJECTS, Facet.MANIFEST_PUT_SUBJECT, drop("PUT", "", "oci-subject")),
    Break("referrers without their type", SUBJECTS, Facet.REFERRERS, edit("/referrers/", untyped)),
    Break("referrers as plain JSON", NONE, Facet.REFERRERS, put("/referrers/", "content-type", "application/json")),
    Break("a filter that is only said", SUBJECTS, Facet.REFERRERS, request=unfilter),
    Break("no referrers", SUBJECTS, Facet.REFERRERS, status("GET", "/referrers/", 200, 404)),
    Break("tags in no order", "tag parameters", Facet.TAG_LIST, edit("/tags/list", reverse_tags)),
    Break("all tags on every page", "tag parameters", Facet.TAG_LIST, request=forget(b"n")),
    Break("the last tag once more", "tag parameters", Facet.TAG_LIST, request=step_back),
    Break(
        "tags that are not told",
        "tag parameters",
        Facet.MANIFEST_PUT_TAGS,
        drop("PUT", "", "oci-tag"),
        outcomes=DECLINED,
    ),
    Break("a tag that stays", "image", Facet.TAG_DELETE_ATOMIC, status("GET", r"^/v2/$", 200, 202), keep),
    Break(
        "a wrong digest of a manifest is taken",
        "manifest of another digest",
        Facet.MANIFEST_PUT_DIGEST,
        status("PUT", "", 400, 201),
    ),
    Break("a malformed digest breaks it", "malformed digest", Facet.MANIFEST_PUT_DIGEST, status("PUT", "", 400, 500)),
]


@asynccontextmanager
async def serve_broken(root: Path, broken: Break) -> AsyncIterator[str]:
    async with serve_registry(root) as server:
        listener = Listener(Broken(server.app, broken))
        await listener.start()
        try:
            yield listener.url
        finally:
            await listener.close()


async def examine(root: Path, broken: Break) -> Results:
    async with serve_broken(root, broken) as url:
        target = Target(url, "admin", "admin-secret")
        return await asyncio.to_thread(run_suite, target, Version.DEV, seed="mutation", only=(broken.data_set,))


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.what)
async def test_a_broken_registry_is_found(tmp_path: Path, broken: Break) -> None:
    results = await examine(tmp_path / "registry", broken)
    found = {check.outcome for check in results.checks if broken.facet in check.facets}
    assert found & set(broken.outcomes), format_summary(results)
    problem = next(check.problem for check in results.problems(*broken.outcomes) if broken.facet in check.facets)
    assert problem is not None
    assert all((problem.request, problem.got, problem.expected))


@pytest.mark.parametrize("data_set", sorted({broken.data_set for broken in BREAKS}))
async def test_a_registry_that_is_left_alone_passes(tmp_path: Path, data_set: str) -> None:
    results = await examine(tmp_path / "registry", Break("nothing", data_set, Facet.PING))
    assert results.problems(Outcome.SKIP, Outcome.FAIL, Outcome.ERROR) == [], format_summary(results)
