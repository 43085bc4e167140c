from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, codes, open_api
from towpath.errors import UserError
from towpath.oci.digest import Digest
from towpath.registry.errors import DamagedContentError, DataVersionError
from towpath.registry.service import Registry
from towpath.registry.storage.files import PIECE_BYTES
from towpath.registry.storage.schema import VERSION, open_database

CONTENT = b"0123456789"
DIGEST = Digest.of(CONTENT)
PATH = f"/v2/lab/app/blobs/{DIGEST}"


def stored(api: Api, digest: Digest = DIGEST) -> Path:
    return api.root / "blobs" / "sha256" / digest.hex[:2] / digest.hex


async def test_head_and_get_tell_the_same(api: Api) -> None:
    await api.push_blob(CONTENT)
    head, get = await api.ask("HEAD", PATH), await api.ask("GET", PATH)
    assert (head.status_code, head.content, get.content) == (200, b"", CONTENT)
    for response in (head, get):
        assert response.headers["content-length"] == "10"
        assert response.headers["docker-content-digest"] == str(DIGEST)
        assert response.headers["etag"] == f'"{DIGEST}"'
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_blob_that_is_not_in_the_repository_is_unknown(api: Api, method: str) -> None:
    await api.push_blob(CONTENT, "lab/other")
    response = await api.ask(method, PATH)
    assert response.status_code == 404
    if method != "HEAD":
        assert codes(response) == ["BLOB_UNKNOWN"]


@pytest.mark.parametrize("etag", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"x", "{DIGEST}"', "*"])
async def test_a_known_blob_is_not_sent_again(api: Api, etag: str) -> None:
    await api.push_blob(CONTENT)
    response = await api.ask("GET", PATH, if_none_match=etag)
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "status", "content", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-9", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=99-100", 416, None, "bytes */10"),
        ("bytes=" + "9" * 60 + "-", 416, None, "bytes */10"),
        ("bytes=0-" + "9" * 60, 206, CONTENT, "bytes 0-9/10"),
        ("bytes=-" + "9" * 60, 206, CONTENT, "bytes 0-9/10"),
        ("bytes=" + "9" * 500 + "-", 200, CONTENT, None),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-4", 416, None, "bytes */10"),
        ("bytes=-", 200, CONTENT, None),
        ("bytes=0-1,3-4", 200, CONTENT, None),
        ("lines=0-1", 200, CONTENT, None),
    ],
)
async def test_a_range_of_a_blob(
    api: Api, header: str, status: int, content: bytes | None, content_range: str | None
) -> None:
    await api.push_blob(CONTENT)
    response = await api.ask("GET", PATH, range=header)
    assert (response.status_code, response.headers.get("content-range")) == (status, content_range)
    if content is not None:
        assert response.content == content
        assert response.headers["content-length"] == str(len(content))


@pytest.mark.parametrize(("validator", "status"), [(f'"{DIGEST}"', 206), ('"other"', 200), (str(DIGEST), 200)])
async def test_a_range_of_other_content_is_left_aside(api: Api, validator: str, status: int) -> None:
    await api.push_blob(CONTENT)
    response = await api.ask("GET", PATH, range="bytes=4-", if_range=validator)
    assert (response.status_code, response.content) == (status, CONTENT[4:] if status == 206 else CONTENT)


async def test_a_range_across_pieces(api: Api) -> None:
    content = bytes(range(256)) * (PIECE_BYTES // 64)
    blob = await api.push_blob(content)
    start, end = PIECE_BYTES - 3, 3 * PIECE_BYTES + 2
    response = await api.ask("GET", f"/v2/lab/app/blobs/{blob.digest}", range=f"bytes={start}-{end}")
    assert response.content == content[start : end + 1]


async def test_a_deleted_blob_is_gone_and_can_be_pushed_again(api: Api) -> None:
    await api.push_blob(CONTENT)
    assert (await api.ask("DELETE", PATH)).status_code == 202
    assert (await api.ask("GET", PATH)).status_code == 404
    assert api.files() == []
    await api.push_blob(CONTENT)
    assert (await api.ask("GET", PATH)).content == CONTENT


async def test_a_blob_stays_while_another_repository_has_it(api: Api) -> None:
    await api.push_blob(CONTENT)
    await api.push_blob(CONTENT, "lab/other")
    assert len(api.files()) == 1
    await api.ask("DELETE", PATH)
    assert (await api.ask("GET", PATH.replace("app", "other"))).content == CONTENT


async def test_a_blob_that_a_manifest_needs_is_not_deleted(api: Api) -> None:
    manifest = await api.prepare_manifest(CONTENT)
    digest = (await api.put(manifest)).headers["docker-content-digest"]
    refused = await api.ask("DELETE", PATH)
    assert (refused.status_code, codes(refused)) == (409, ["DENIED"])
    await api.ask("DELETE", f"/v2/lab/app/manifests/{digest}")
    assert (await api.ask("DELETE", PATH)).status_code == 202


async def test_a_missing_file_is_never_served_and_a_push_heals_it(api: Api) -> None:
    await api.push_blob(CONTENT)
    stored(api).unlink()
    response = await api.ask("GET", PATH)
    assert (response.status_code, codes(response)) == (500, ["UNKNOWN"])
    assert (await api.ask("HEAD", PATH)).status_code == 404
    await api.push_blob(CONTENT)
    assert (await api.ask("GET", PATH)).content == CONTENT


@pytest.mark.parametrize("damage", [b"012345678", b"0123456789!", b"012345678!", b""])
async def test_a_damaged_file_is_never_served_and_a_push_heals_it(api: Api, damage: bytes) -> None:
    await api.push_blob(CONTENT)
    stored(api).write_bytes(damage)
    response = await api.ask("GET", PATH)
    assert (response.status_code, codes(response)) == (500, ["UNKNOWN"])
    assert (await api.ask("HEAD", PATH)).status_code == 404
    assert api.files() == [f"damaged/{DIGEST.hex}"]
    await api.push_blob(CONTENT)
    assert (await api.ask("GET", PATH)).content == CONTENT


async def test_a_large_damaged_file_never_arrives_whole(tmp_path: Path) -> None:
    content = bytes(3 * PIECE_BYTES)
    async with open_api(tmp_path, VirtualClock()) as api:
        blob = await api.push_blob(content)
        stored(api, blob.digest).write_bytes(content[:-1] + b"!")
        pieces = api.registry.blobs.read(
            await api.registry.blobs.open(blob.digest, size=blob.size, start=0, stop=blob.size)
        )
        assert [len(await anext(pieces)), len(await anext(pieces))] == [PIECE_BYTES, PIECE_BYTES]
        with pytest.raises(DamagedContentError, match="DigestMismatch"):
            await anext(pieces)


async def test_a_scrub_finds_every_damaged_blob(api: Api) -> None:
    good, bad, gone, empty = [await api.push_blob(content) for content in (b"good", b"bad", b"gone", b"")]
    stored(api, bad.digest).write_bytes(b"BAD")
    stored(api, gone.digest).unlink()
    found = await api.registry.scrub.run()
    assert {damage.digest for damage in found.damages} == {str(bad.digest), str(gone.digest)}
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{good.digest}")).content == b"good"
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{empty.digest}")).content == b""


async def test_files_that_no_row_names_are_swept_at_the_start(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_api(tmp_path, clock) as api:
        await api.push_blob(CONTENT)
        orphan = stored(api, Digest.of(b"orphan"))
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"orphan")
    async with open_api(tmp_path, clock) as api:
        assert not orphan.exists()
        assert (await api.ask("GET", PATH)).content == CONTENT


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "name",
    ["..", "../..", "lab/../app", "%2e%2e/app", "lab//app", "/lab", "Lab/App", "lab/%00", "lab/a b", "-", "a" * 300],
)
async def test_path_tricks_are_refused(api: Api, method: str, name: str) -> None:
    for path in (f"/v2/{name}/manifests/x", f"/v2/{name}/blobs/{DIGEST}"):
        response = await api.client.request(method, path, auth=("admin", "admin-secret"))
        assert response.status_code in {400, 404, 405}
    assert api.files() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/x", 404),
        ("GET", "/v2/lab/app", 404),
        ("POST", "/v2/lab/app/manifests/x", 405),
        ("PUT", "/v2/lab/app/tags/list", 405),
        ("GET", "/v2/lab/app/blobs/uploads/", 405),
        ("GET", "/v2/lab/app/blobs/nonsense", 400),
        ("GET", "/v2/lab/app/manifests/sha256:zz", 400),
        ("GET", "/v2/lab/app/manifests/-x", 404),
        ("PUT", "/v2/lab/app/manifests/-x", 400),
    ],
)
async def test_wrong_paths_and_methods_are_answered_in_form(api: Api, method: str, path: str, status: int) -> None:
    response = await api.ask(method, path)
    assert response.status_code == status
    assert len(codes(response)) == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("lab/app/tags/list", ["GET", "HEAD"]),
        ("lab/app/referrers/" + str(DIGEST), ["GET", "HEAD"]),
        ("lab/app/blobs/" + str(DIGEST), ["DELETE", "GET", "HEAD"]),
        ("lab/app/blobs/uploads/", ["POST"]),
    ],
)
async def test_a_method_that_is_none_of_a_path_is_told_those_that_are(api: Api, path: str, allowed: list[str]) -> None:
    refused = await api.ask("PATCH", f"/v2/{path}")
    assert (refused.status_code, sorted(refused.headers["allow"].split(", "))) == (405, allowed)
    assert "PATCH is not supported here: expected " in refused.text
    for method in {"GET", "HEAD"} & set(allowed):
        assert (await api.ask(method, f"/v2/{path}")).status_code != 405


async def test_a_directory_of_another_version_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "catalog.db", now=0.0).close()
    database = open_database(tmp_path / "catalog.db", now=0.0)
    database.execute(f"PRAGMA user_version = {VERSION + 8}")
    database.close()
    with pytest.raises(DataVersionError, match=f"expected version {VERSION}, got {VERSION + 8}") as caught:
        await Registry(tmp_path).start()
    assert caught.value.hint


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    database = open_database(tmp_path / "catalog.db", now=0.0)
    database.execute("PRAGMA application_id = 7")
    database.close()
    with pytest.raises(DataVersionError):
        await Registry(tmp_path).start()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(DamagedContentError, match="Damaged"):
        await Registry(tmp_path).start()


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry").write_bytes(b"")
    with pytest.raises(UserError, match="NotADirectory"):
        await Registry(tmp_path / "registry").start()


async def test_a_directory_in_use_is_refused_until_it_is_free(tmp_path: Path) -> None:
    first, second = Registry(tmp_path), Registry(tmp_path)
    await first.start()
    with pytest.raises(UserError, match="InUse"):
        await second.start()
    await first.close()
    await second.start()
    await second.close()


async def test_the_directory_is_for_its_owner_only(api: Api) -> None:
    assert api.root.stat().st_mode & 0o777 == 0o700
