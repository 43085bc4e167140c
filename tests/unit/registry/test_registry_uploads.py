import asyncio
import resource
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, codes, open_api
from towpath.http.pouring import Pieces
from towpath.oci.challenge import parse_challenges
from towpath.oci.digest import Digest
from towpath.registry.errors import RegistryError
from towpath.registry.service import UPLOAD_SECONDS
from towpath.registry.storage.files import PIECE_BYTES

CONTENT = b"0123456789"
DIGEST = Digest.of(CONTENT)
UPLOADS = "/v2/lab/app/blobs/uploads/"


async def start(api: Api, repository: str = "lab/app") -> str:
    response = await api.ask("POST", f"/v2/{repository}/blobs/uploads/", content_length="0")
    assert response.status_code == 202
    assert response.headers["range"] == "0-0"
    location = response.headers["location"]
    assert location.startswith(f"/v2/{repository}/blobs/uploads/")
    return str(location)


async def read(api: Api, digest: Digest = DIGEST, repository: str = "lab/app") -> bytes:
    response = await api.ask("GET", f"/v2/{repository}/blobs/{digest}")
    assert response.status_code == 200
    return response.content


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for position in range(0, len(content), size):
        yield content[position : position + size]


async def test_a_blob_in_one_put(api: Api) -> None:
    response = await api.ask("PUT", f"{await start(api)}?digest={DIGEST}", CONTENT)
    assert response.status_code == 201
    assert response.headers["location"] == f"/v2/lab/app/blobs/{DIGEST}"
    assert response.headers["docker-content-digest"] == str(DIGEST)
    assert await read(api) == CONTENT
    assert api.files() == [f"blobs/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}"]


async def test_a_blob_in_one_post(api: Api) -> None:
    response = await api.ask("POST", f"{UPLOADS}?digest={DIGEST}", CONTENT)
    assert (response.status_code, await read(api)) == (201, CONTENT)


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_a_blob_streamed_without_length_or_range(api: Api, size: int) -> None:
    location = await start(api)
    response = await api.ask("PATCH", location, pieces(CONTENT, size))
    assert (response.status_code, response.headers["range"]) == (202, "0-9")
    assert (await api.ask("PUT", f"{response.headers['location']}?digest={DIGEST}")).status_code == 201
    assert await read(api) == CONTENT


async def test_a_blob_in_ranged_chunks_with_the_last_in_the_put(api: Api) -> None:
    location = await start(api)
    for first, last, content_range in ((0, 3, "0-3"), (4, 6, "bytes 4-6/10")):
        response = await api.ask("PATCH", location, CONTENT[first : last + 1], content_range=content_range)
        assert (response.status_code, response.headers["range"]) == (202, f"0-{last}")
        status = await api.ask("GET", location)
        assert (status.status_code, status.headers["range"]) == (204, f"0-{last}")
    response = await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT[7:], content_range="7-9")
    assert (response.status_code, await read(api)) == (201, CONTENT)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("content_range", ["0-2", "5-7", "4-6"])
async def test_a_chunk_out_of_order_is_told_where_to_go_on(api: Api, method: str, content_range: str) -> None:
    location = await start(api)
    await api.ask("PATCH", location, CONTENT[:3], content_range="0-2")
    response = await api.ask(method, f"{location}?digest={DIGEST}", b"xyz", content_range=content_range)
    assert (response.status_code, codes(response)) == (416, ["BLOB_UPLOAD_INVALID"])
    assert (response.headers["range"], response.headers["location"]) == ("0-2", location)
    assert (await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT[3:], content_range="3-9")).status_code == 201


@pytest.mark.parametrize(("content_range", "code"), [("x", "BLOB_UPLOAD_INVALID"), ("0-8", "SIZE_INVALID")])
async def test_a_range_that_makes_no_sense_is_refused(api: Api, content_range: str, code: str) -> None:
    response = await api.ask("PATCH", await start(api), CONTENT, content_range=content_range, content_length="10")
    assert (response.status_code, codes(response)) == (400, [code])


async def test_content_that_is_not_its_digest_is_refused_and_removed(api: Api) -> None:
    location = await start(api)
    response = await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT + b"!")
    assert (response.status_code, codes(response)) == (400, ["DIGEST_INVALID"])
    assert (await api.ask("GET", location)).status_code == 404
    assert api.files() == []
    response = await api.ask("POST", f"{UPLOADS}?digest={DIGEST}", b"!")
    assert (response.status_code, api.files()) == (400, [])


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:zz", "md5:" + "0" * 32, "..%2f..%2fetc%2fpasswd"])
async def test_a_malformed_digest_is_refused(api: Api, digest: str) -> None:
    location = await start(api)
    response = await api.ask("PUT", f"{location}?digest={digest}", CONTENT)
    assert (response.status_code, codes(response)) == (400, ["DIGEST_INVALID"])
    assert (await api.ask("POST", f"{UPLOADS}?digest={digest}", CONTENT)).status_code == 400


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * (3 * PIECE_BYTES + 7)])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_any_size_and_every_algorithm(api: Api, content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)
    location = await start(api)
    await api.ask("PATCH", location, pieces(content, PIECE_BYTES // 3))
    assert (await api.ask("PUT", f"{location}?digest={digest}")).status_code == 201
    assert await read(api, digest) == content


async def test_a_cancelled_upload_is_gone(api: Api) -> None:
    location = await start(api)
    await api.ask("PATCH", location, CONTENT)
    assert (await api.ask("DELETE", location)).status_code == 204
    assert api.files() == []
    for method in ("GET", "PATCH", "DELETE"):
        response = await api.ask(method, location)
        assert (response.status_code, codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@pytest.mark.parametrize("session", ["x", "0" * 32, "..", "%2e%2e%2fcatalog.db", "a" * 500])
async def test_an_unknown_session_is_told(api: Api, session: str) -> None:
    response = await api.ask("PATCH", UPLOADS + session, CONTENT)
    assert response.status_code == 404


async def test_a_session_belongs_to_its_repository(api: Api) -> None:
    location = (await start(api)).replace("lab/app", "lab/other")
    assert (await api.ask("PATCH", location, CONTENT)).status_code == 404


async def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_api(tmp_path, clock) as before:
        location = await start(before)
        await before.ask("PATCH", location, CONTENT[:4])
    async with open_api(tmp_path, clock) as after:
        status = await after.ask("GET", location)
        assert (status.status_code, status.headers["range"]) == (204, "0-3")
        response = await after.ask("PUT", f"{location}?digest={DIGEST}", CONTENT[4:], content_range="4-9")
        assert (response.status_code, await read(after)) == (201, CONTENT)


async def test_a_sender_that_goes_away_can_go_on(api: Api) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT[:4]
        raise ConnectionResetError

    location = await start(api)
    upload = await api.registry.blobs.get_upload("lab/app", location.rpartition("/")[2])
    with pytest.raises(ConnectionResetError):
        await api.registry.blobs.append(upload, Pieces(broken()))
    assert (await api.ask("GET", location)).headers["range"] == "0-3"
    assert (await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT[4:])).status_code == 201


async def test_the_same_blob_pushed_twice_at_once_succeeds_twice(api: Api) -> None:
    async def push(repository: str) -> int:
        location = await start(api, repository)
        return (await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT)).status_code

    assert await asyncio.gather(*(push(f"lab/{n % 2}") for n in range(8))) == [201] * 8
    assert len(api.files()) == 1


async def test_two_finishes_of_one_session_give_one_success(api: Api) -> None:
    location = await start(api)
    await api.ask("PATCH", location, CONTENT)
    responses = await asyncio.gather(*(api.ask("PUT", f"{location}?digest={DIGEST}") for _ in range(3)))
    assert sorted(response.status_code for response in responses) == [201, 404, 404]


async def test_abandoned_uploads_are_purged_and_busy_ones_are_not(tmp_path: Path) -> None:
    clock = VirtualClock(start=4_102_444_800.0)  # far ahead of the file times
    async with open_api(tmp_path, clock) as api:
        idle, busy = await start(api), await start(api)
        upload = await api.registry.blobs.get_upload("lab/app", busy.rpartition("/")[2])
        async with upload.lock:
            assert await api.registry.purge_uploads() == 1
        assert (await api.ask("GET", idle)).status_code == 404
        assert (await api.ask("GET", busy)).status_code == 204


@pytest.mark.parametrize("last", [b"56789", b""])
@pytest.mark.parametrize("restored", [False, True])
async def test_a_session_that_is_purged_under_a_request_is_unknown_and_never_begun_anew(
    tmp_path: Path, last: bytes, restored: bool
) -> None:
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        location = await start(api)
        await api.ask("PATCH", location, CONTENT[: len(CONTENT) - len(last)])
        session = location.rpartition("/")[2]
        blobs, uploads = api.registry.blobs, api.registry._require()[3]
        if restored:
            uploads.forget(await blobs.get_upload("lab/app", session))
        found = await blobs.get_upload("lab/app", session)
        if restored:
            uploads.forget(found)  # as when the purge looks before a session is restored, and removes it after
        assert uploads.purge(older_than=float("inf")) == 1
        assert restored or found.ended, "the request that has found it is told"

        async def go_on() -> None:
            async with found.lock:
                if last:
                    await blobs.append(found, Pieces(pieces(last, 5)))
                await blobs.finish_upload("lab/app", found, DIGEST)

        with pytest.raises(RegistryError, match="abandoned") as refused:
            await go_on()
        assert (refused.value.status, found.ended, api.files()) == (404, True, [])
        assert (await api.ask("GET", location)).status_code == 404
        assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{DIGEST}")).status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("last", [b"56789", b""])
async def test_a_session_whose_file_is_not_what_arrived_makes_no_blob(api: Api, algorithm: str, last: bytes) -> None:
    location = await start(api)
    await api.ask("PATCH", location, CONTENT[: len(CONTENT) - len(last)])
    (name,) = api.files()
    (api.root / name).write_bytes(b"")
    digest = Digest.of(CONTENT, algorithm)
    response = await api.ask("PUT", f"{location}?digest={digest}", last)

    assert (response.status_code, codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert api.files() == []


async def test_the_purge_runs_by_itself(tmp_path: Path) -> None:
    clock = VirtualClock(start=4_102_444_800.0)
    async with open_api(tmp_path, clock) as api:
        await start(api)
        await clock.advance(UPLOAD_SECONDS)
        while not clock.sleepers:  # noqa: ASYNC110 - the purge is on a thread; when it is done, its loop sleeps again
            await asyncio.sleep(0)
        assert api.files() == []


async def test_a_full_disk_is_a_clean_507_and_leaves_nothing(api: Api) -> None:
    await api.push_blob(b"acknowledged")
    held = api.files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    location = await start(api)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * PIECE_BYTES, hard))
    try:
        content = b"x" * (6 * PIECE_BYTES)
        patched = await api.ask("PATCH", location, pieces(content, PIECE_BYTES))
        posted = await api.ask("POST", f"{UPLOADS}?digest={Digest.of(content)}", content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [patched.status_code, posted.status_code] == [507, 507]
    assert codes(patched) == ["UNKNOWN"]
    assert api.files() == held
    assert (await api.ask("GET", location)).status_code == 404
    assert await read(api, Digest.of(b"acknowledged")) == b"acknowledged"


async def test_a_full_catalog_acknowledges_nothing(api: Api) -> None:
    api.registry._require()[1]._writer.execute("PRAGMA max_page_count = 1")
    for number in count():  # the pages at hand take some rows
        content = b"%d" % number
        repository = f"lab/{'long' * 40}{number}"
        path = f"/v2/{repository}/blobs"
        response = await api.ask("POST", f"{path}/uploads/?digest={Digest.of(content)}", content)
        if response.status_code != 201:
            break
        assert await read(api, Digest.of(content), repository) == content
    assert response.status_code == 507
    assert (await api.ask("HEAD", f"{path}/{Digest.of(content)}")).status_code == 404
    assert len(api.files()) == number


@pytest.mark.parametrize("name", ["lab%2Fbase", "lab/base"])
async def test_a_blob_of_a_readable_repository_is_mounted(api: Api, name: str) -> None:
    await api.push_blob(CONTENT, "lab/base")
    response = await api.ask("POST", f"{UPLOADS}?from={name}&mount={DIGEST}")
    assert (response.status_code, response.headers["location"]) == (201, f"/v2/lab/app/blobs/{DIGEST}")
    assert await read(api) == CONTENT


async def test_a_mount_without_a_source_searches_what_the_caller_may_read(api: Api) -> None:
    await api.push_blob(CONTENT, "lab/base")
    assert (await api.ask("POST", f"{UPLOADS}?mount={DIGEST}")).status_code == 201


@pytest.mark.parametrize("query", [f"mount={DIGEST}&from=lab/base", f"mount={DIGEST}", f"mount={DIGEST}&from=..%2fx"])
async def test_what_cannot_be_mounted_begins_an_upload(api: Api, query: str) -> None:
    response = await api.ask("POST", f"{UPLOADS}?{query}")
    assert response.status_code == 202
    assert (await api.ask("PUT", f"{response.headers['location']}?digest={DIGEST}", CONTENT)).status_code == 201


async def test_a_token_for_the_target_alone_is_challenged_for_the_source_too(api: Api) -> None:
    await api.push_blob(CONTENT, "lab/base")
    narrow = (await api.ask("GET", "/token?scope=repository:lab/app:pull,push")).json()["token"]
    query = f"mount={DIGEST}&from=lab/base"
    refused = await api.ask("POST", f"{UPLOADS}?{query}", user="", authorization=f"Bearer {narrow}")
    assert refused.status_code == 401
    (challenge,) = parse_challenges(refused.headers["www-authenticate"])
    assert challenge.parameters["error"] == "insufficient_scope"
    scope = challenge.parameters["scope"]
    assert scope == "repository:lab/app:pull,push repository:lab/base:pull"
    wide = (await api.ask("GET", f"/token?scope={quote(scope)}")).json()["token"]
    assert (await api.ask("POST", f"{UPLOADS}?{query}", user="", authorization=f"Bearer {wide}")).status_code == 201


@pytest.mark.parametrize("source", ["secret/base", "secret/nothing"])
async def test_a_source_that_may_not_be_read_looks_like_one_without_the_blob(api: Api, source: str) -> None:
    await api.push_blob(CONTENT, "secret/base")
    scopes = f"scope=repository:lab/app:pull,push&scope=repository:{source}:pull"
    token = (await api.ask("GET", f"/token?{scopes}", user="pusher")).json()["token"]
    for query in (f"mount={DIGEST}&from={source}", f"mount={DIGEST}"):
        by_token = await api.ask("POST", f"{UPLOADS}?{query}", user="", authorization=f"Bearer {token}")
        by_password = await api.ask("POST", f"{UPLOADS}?{query}", user="pusher")
        assert (by_token.status_code, by_password.status_code) == (202, 202)


async def test_a_narrow_token_mounts_nothing_from_elsewhere_unasked(api: Api) -> None:
    await api.push_blob(CONTENT, "lab/base")
    token = (await api.ask("GET", "/token?scope=repository:lab/app:pull,push")).json()["token"]
    response = await api.ask("POST", f"{UPLOADS}?mount={DIGEST}", user="", authorization=f"Bearer {token}")
    assert response.status_code == 202


@pytest.mark.parametrize("length", ["9", "11"])
async def test_a_stream_that_is_not_as_long_as_its_range_is_refused(api: Api, length: str) -> None:
    location = await start(api)
    end = int(length) - 1
    response = await api.ask("PATCH", location, pieces(CONTENT, 3), content_range=f"0-{end}")
    assert (response.status_code, codes(response)) == (400, ["SIZE_INVALID"])


@pytest.mark.parametrize(
    ("content_range", "status"),
    [
        ("-1-5", 400),
        ("0--5", 400),
        ("5", 400),
        ("0-", 400),
        ("\u0663-\u0665", 400),
        ("0x0-0x9", 400),
        ("9" * 500 + "-" + "9" * 500, 400),
        ("9" * 60 + "-" + "9" * 61, 416),
        ("1-10", 416),
        ("0-" + "9" * 60, 400),
    ],
)
async def test_negative_and_huge_ranges_are_refused_and_the_session_goes_on(
    api: Api, content_range: str, status: int
) -> None:
    location = await start(api)
    headers = {b"Content-Range": content_range.encode(), b"Content-Length": b"10"}
    response = await api.client.patch(location, content=CONTENT, headers=headers, auth=("admin", "admin-secret"))
    assert response.status_code == status
    assert codes(response)[0] in {"BLOB_UPLOAD_INVALID", "SIZE_INVALID"}
    assert (await api.ask("PUT", f"{location}?digest={DIGEST}", CONTENT)).status_code == 201


async def test_a_range_that_ends_before_it_begins_is_refused(api: Api) -> None:
    location = await start(api)
    await api.ask("PATCH", location, CONTENT[:5], content_range="0-4")
    response = await api.ask("PATCH", location, CONTENT[5:], content_range="5-4")
    assert (response.status_code, codes(response)) == (400, ["BLOB_UPLOAD_INVALID"])


@pytest.mark.parametrize(("algorithm", "status"), [("sha256", 202), ("sha512", 202), ("md5", 400), ("", 400)])
async def test_the_algorithm_of_an_upload_may_be_named_before(api: Api, algorithm: str, status: int) -> None:
    response = await api.ask("POST", f"{UPLOADS}?digest-algorithm={algorithm}")
    assert response.status_code == status
    if status == 400:
        assert codes(response) == ["DIGEST_INVALID"]
