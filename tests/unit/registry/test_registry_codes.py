"""Each error code of the distribution specification, with the request that brings it and its status."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from fakes.registry_api import Api, codes
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import STATUSES, ErrorCode
from towpath.oci.manifest import Index, format_manifest

CONTENT = b"0123456789"
ABSENT = Digest.of(b"absent")
UPLOADS = "/v2/lab/app/blobs/uploads/"
UNKNOWN_UPLOAD = UPLOADS + "0" * 32
SPECIFIED = frozenset(ErrorCode) - {ErrorCode.UNKNOWN}
# The registry never asks for patience: nothing it does is limited by a rate.
NEVER_SENT = {ErrorCode.TOOMANYREQUESTS}


@dataclass(frozen=True)
class Refusal:
    """A request on a registry that has `lab/app:canary`, an upload at `{upload}`, and what it is answered with."""

    code: ErrorCode
    status: int
    method: str
    path: str
    body: bytes = b""
    user: str = "admin"
    headers: dict[str, str] = field(default_factory=dict)


REFUSALS = [
    Refusal(ErrorCode.BLOB_UNKNOWN, 404, "GET", f"/v2/lab/app/blobs/{ABSENT}"),
    Refusal(ErrorCode.BLOB_UNKNOWN, 404, "DELETE", f"/v2/lab/app/blobs/{ABSENT}"),
    Refusal(ErrorCode.BLOB_UPLOAD_INVALID, 400, "PATCH", "{upload}", b"x", headers={"content_range": "a-b"}),
    Refusal(ErrorCode.BLOB_UPLOAD_INVALID, 416, "PATCH", "{upload}", b"x", headers={"content_range": "7-7"}),
    Refusal(
        ErrorCode.BLOB_UPLOAD_INVALID,
        416,
        "PUT",
        f"{{upload}}?digest={ABSENT}",
        b"x",
        "admin",
        {"content_range": "7-7"},
    ),
    Refusal(ErrorCode.BLOB_UPLOAD_UNKNOWN, 404, "GET", UNKNOWN_UPLOAD),
    Refusal(ErrorCode.BLOB_UPLOAD_UNKNOWN, 404, "PATCH", UNKNOWN_UPLOAD, b"x"),
    Refusal(ErrorCode.BLOB_UPLOAD_UNKNOWN, 404, "PUT", f"{UNKNOWN_UPLOAD}?digest={ABSENT}", b"x"),
    Refusal(ErrorCode.BLOB_UPLOAD_UNKNOWN, 404, "DELETE", UNKNOWN_UPLOAD),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "PUT", f"{{upload}}?digest={ABSENT}", b"x"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "PUT", "{upload}?digest=sha256:abc", b"x"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "PUT", "{upload}", b"x"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "POST", f"{UPLOADS}?digest=md5:{'0' * 32}", b"x"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "POST", f"{UPLOADS}?mount=nonsense"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "GET", "/v2/lab/app/blobs/nonsense"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "GET", "/v2/lab/app/referrers/sha256:abc"),
    Refusal(ErrorCode.DIGEST_INVALID, 400, "PUT", f"/v2/lab/app/manifests/{ABSENT}", b"{}"),
    Refusal(ErrorCode.MANIFEST_BLOB_UNKNOWN, 400, "PUT", "/v2/lab/elsewhere/manifests/x", b"{manifest}"),
    Refusal(ErrorCode.MANIFEST_INVALID, 400, "PUT", "/v2/lab/app/manifests/x", b"not json"),
    Refusal(ErrorCode.MANIFEST_INVALID, 400, "PUT", "/v2/lab/app/manifests/-x", b"{manifest}"),
    Refusal(
        ErrorCode.MANIFEST_INVALID,
        400,
        "PUT",
        "/v2/lab/app/manifests/x",
        b"{manifest}",
        "admin",
        {"content_type": media.OCI_INDEX},
    ),
    Refusal(ErrorCode.MANIFEST_UNKNOWN, 404, "GET", "/v2/lab/app/manifests/absent"),
    Refusal(ErrorCode.MANIFEST_UNKNOWN, 404, "GET", f"/v2/lab/app/manifests/{ABSENT}"),
    Refusal(ErrorCode.MANIFEST_UNKNOWN, 404, "DELETE", "/v2/lab/app/manifests/absent"),
    Refusal(ErrorCode.NAME_INVALID, 400, "GET", "/v2/Lab/App/tags/list"),
    Refusal(ErrorCode.NAME_UNKNOWN, 404, "GET", "/v2/lab/nothing/tags/list"),
    Refusal(ErrorCode.NAME_UNKNOWN, 404, "GET", "/v2/lab/app/nothing"),
    Refusal(ErrorCode.SIZE_INVALID, 400, "PATCH", "{upload}", CONTENT, headers={"content_range": "0-3"}),
    Refusal(ErrorCode.SIZE_INVALID, 413, "PUT", "/v2/lab/app/manifests/x", b" " * (4 * 1024 * 1024 + 1)),
    Refusal(ErrorCode.SIZE_INVALID, 416, "GET", "{blob}", headers={"range": "bytes=10-"}),
    Refusal(ErrorCode.UNAUTHORIZED, 401, "GET", "/v2/", user=""),
    Refusal(ErrorCode.DENIED, 403, "GET", "/v2/other/app/tags/list", user="reader"),
    Refusal(ErrorCode.DENIED, 409, "DELETE", "{blob}"),
    Refusal(ErrorCode.UNSUPPORTED, 405, "POST", "/v2/lab/app/tags/list"),
    Refusal(ErrorCode.UNSUPPORTED, 405, "PROPFIND", "/v2/lab/app/tags/list"),
    Refusal(ErrorCode.UNSUPPORTED, 405, "DELETE", "/v2/"),
    Refusal(ErrorCode.UNSUPPORTED, 400, "GET", "/v2/lab/app/tags/list?n=x"),
]


async def ask(api: Api, refusal: Refusal) -> httpx.Response:
    manifest = await api.prepare_manifest(CONTENT)
    await api.put(manifest)
    started = await api.ask("POST", UPLOADS)
    path = refusal.path.format(upload=started.headers["location"], blob=f"/v2/lab/app/blobs/{Digest.of(CONTENT)}")
    body = format_manifest(manifest) if refusal.body == b"{manifest}" else refusal.body
    return await api.ask(refusal.method, path, body, user=refusal.user, **refusal.headers)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: f"{one.code}-{one.status}-{one.method}")
async def test_a_refusal_has_its_code_and_status(api: Api, refusal: Refusal) -> None:
    response = await ask(api, refusal)
    assert (response.status_code, codes(response)) == (refusal.status, [refusal.code])
    assert response.headers["content-type"] == "application/json"
    (entry,) = response.json()["errors"]
    assert entry["message"]


def test_every_code_that_the_specification_has_is_tried() -> None:
    assert {refusal.code for refusal in REFUSALS} == SPECIFIED - NEVER_SENT
    assert set(STATUSES) == set(ErrorCode)


@pytest.mark.parametrize("refusal", [one for one in REFUSALS if one.method == "GET"], ids=lambda one: one.code)
async def test_a_head_has_the_status_and_no_body(api: Api, refusal: Refusal) -> None:
    as_head = Refusal(refusal.code, refusal.status, "HEAD", refusal.path, b"", refusal.user, refusal.headers)
    response = await ask(api, as_head)
    # A range is for GET alone (RFC 9110, 14.2).
    assert response.status_code == (200 if refusal.status == 416 else refusal.status)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "LINK", "POST"])
@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/v2/lab/app/tags/list", "/v2/lab/app/manifests/x"])
async def test_an_unknown_method_is_told_which_are_known(api: Api, method: str, path: str) -> None:
    response = await api.ask(method, path)
    assert (response.status_code, codes(response)) == (405, ["UNSUPPORTED"])
    assert "GET" in response.headers["allow"]
    assert (await api.ask(method, path, user="")).status_code == 401


@pytest.mark.parametrize(
    "accept", ["", "*/*", media.OCI_INDEX, "text/html", "application/vnd.docker.distribution.manifest.v1+json"]
)
async def test_a_manifest_is_never_converted_whatever_the_client_accepts(api: Api, accept: str) -> None:
    manifest = await api.prepare_manifest(CONTENT)
    await api.put(manifest)
    response = await api.ask("GET", "/v2/lab/app/manifests/canary", accept=accept)
    assert (response.status_code, response.content) == (200, format_manifest(manifest))
    assert response.headers["content-type"] == media.OCI_MANIFEST


async def test_parameters_of_a_content_type_are_left_aside(api: Api) -> None:
    manifest = await api.prepare_manifest(CONTENT)
    pushed = await api.put(manifest, content_type=f"{media.OCI_MANIFEST}; charset=utf-8")
    assert pushed.status_code == 201
    served = await api.ask("GET", "/v2/lab/app/manifests/canary")
    assert served.headers["content-type"] == media.OCI_MANIFEST


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(api: Api, method: str) -> None:
    digest = (await api.put(await api.prepare_manifest(CONTENT))).headers["docker-content-digest"]
    for path, etag in (("manifests/canary", digest), (f"blobs/{Digest.of(CONTENT)}", str(Digest.of(CONTENT)))):
        known = await api.ask(method, f"/v2/lab/app/{path}", if_none_match=f'"{etag}"')
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"] == f'"{etag}"'
        assert (await api.ask(method, f"/v2/lab/app/{path}", if_none_match='"other"')).status_code == 200


async def test_a_manifest_without_a_length_is_bounded_too(api: Api) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    response = await api.ask("PUT", "/v2/lab/app/manifests/x", endless())
    assert (response.status_code, codes(response)) == (413, ["SIZE_INVALID"])


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e/app",
        "lab/%2e%2e%2f%2e%2e",
        "lab%2f..%2fapp",
        "lab//app",
        "/lab",
        "lab/",
        "Lab/app",
        "lab/APP",
        "lab/a%00",
        "lab/a%0d%0aSet-Cookie:x",
        "lab/a b",
        "lab/a%20b",
        "-lab",
        "lab_",
        "lab..app",
        "lab/%C3%A9",
        "lab/%ff",
        "a" * 256,
        "/".join(["a"] * 200),
    ],
)
async def test_a_name_that_is_none_is_refused_and_makes_nothing(api: Api, name: str) -> None:
    for method, path in (
        ("GET", "tags/list"),
        ("GET", f"blobs/{ABSENT}"),
        ("PUT", "manifests/x"),
        ("DELETE", "manifests/x"),
        ("POST", "blobs/uploads/"),
        ("POST", f"blobs/uploads/?digest={Digest.of(b'')}"),
        ("GET", f"referrers/{ABSENT}"),
    ):
        response = await api.ask(method, f"/v2/{name}/{path}")
        assert (response.status_code, codes(response)) == (400, ["NAME_INVALID"]), (method, path)
        assert "set-cookie" not in response.headers
    assert api.files() == []
    assert (await api.ask("GET", "/v2/_catalog")).json() == {"repositories": []}


@pytest.mark.parametrize("name", ["a", "a" * 255, "a.b", "a_b", "a__b", "a-b", "a---b", "0/1/2", "lab/app.v2/x-y_z"])
async def test_every_name_of_the_grammar_is_taken(api: Api, name: str) -> None:
    pushed = await api.ask("POST", f"/v2/{name}/blobs/uploads/?digest={Digest.of(CONTENT)}", CONTENT)
    assert pushed.status_code == 201
    assert (await api.ask("GET", pushed.headers["location"])).content == CONTENT


async def test_an_index_of_thousands_that_are_not_here_is_told_some_of_them(api: Api) -> None:
    entries = tuple(Descriptor(media.OCI_MANIFEST, Digest.of(b"%d" % n), n) for n in range(5000))
    response = await api.put(Index(entries), content_type=media.OCI_INDEX)
    assert (response.status_code, codes(response)) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert "and 4980 more" in response.text
    assert len(response.content) < 10_000
