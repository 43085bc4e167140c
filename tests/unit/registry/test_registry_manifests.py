import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import orjson
import pytest

from fakes.clock import VirtualClock
from fakes.registry import make_account, password, prepare_accounts
from fakes.registry_api import Api, codes, open_api
from towpath.oci import media
from towpath.oci.annotations import SERVICE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.registry.accounts import Grant
from towpath.registry.app import create_registry_app
from towpath.registry.manifests import LARGE_MANIFEST_BYTES, RECENT_BYTES
from towpath.registry.protocol.exchange import PushEvent
from towpath.registry.protocol.manifests import MANIFEST_LIMIT

MANIFESTS = "/v2/lab/app/manifests/"
ABSENT = Descriptor(media.OCI_LAYER, Digest.of(b"absent"), 6)


async def test_a_manifest_is_served_as_it_was_pushed(api: Api) -> None:
    manifest = await api.prepare_manifest(b"layer")
    raw = b" " + format_manifest(manifest)[:-1] + b',"unknown":{"kept":true}}\n'
    pushed = await api.put(raw, content_type=media.OCI_MANIFEST)
    digest = str(Digest.of(raw))
    assert pushed.status_code == 201
    assert (pushed.headers["docker-content-digest"], pushed.headers["location"]) == (digest, MANIFESTS + digest)
    for reference in ("canary", digest):
        head, get = await api.ask("HEAD", MANIFESTS + reference), await api.ask("GET", MANIFESTS + reference)
        assert (get.status_code, get.content, head.content) == (200, raw, b"")
        for response in (head, get):
            assert response.headers["content-type"] == media.OCI_MANIFEST
            assert response.headers["docker-content-digest"] == digest
            assert response.headers["content-length"] == str(len(raw))
    assert (await api.ask("GET", MANIFESTS + "canary", if_none_match=f'"{digest}"')).status_code == 304


async def test_a_push_by_digest_sets_no_tag_unless_asked(api: Api) -> None:
    manifest = await api.prepare_manifest()
    digest = Digest.of(format_manifest(manifest))
    assert (await api.put(manifest, str(digest))).status_code == 201
    assert (await api.ask("GET", "/v2/lab/app/tags/list")).json() == {"name": "lab/app", "tags": []}
    response = await api.put(manifest, f"{digest}?tag=a&tag=b")
    assert response.headers.get_list("oci-tag") == ["a", "b"]
    assert (await api.ask("GET", "/v2/lab/app/tags/list")).json()["tags"] == ["a", "b"]


async def test_tag_parameters_beside_a_tag_are_refused_and_nothing_is_stored(api: Api) -> None:
    response = await api.put(await api.prepare_manifest(), "v1?tag=a&tag=b")
    assert (response.status_code, codes(response)) == (400, ["UNSUPPORTED"])
    assert (await api.ask("GET", "/v2/lab/app/tags/list")).json()["tags"] == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_manifest_that_is_not_its_digest_is_refused(api: Api, algorithm: str) -> None:
    manifest = await api.prepare_manifest()
    response = await api.put(manifest, str(Digest.of(b"other", algorithm)))
    assert (response.status_code, codes(response)) == (400, ["DIGEST_INVALID"])
    right = Digest.of(format_manifest(manifest), algorithm)
    assert (await api.put(manifest, str(right))).headers["docker-content-digest"] == str(right)


async def test_a_malformed_manifest_is_refused_with_every_problem(api: Api) -> None:
    response = await api.put(b'{"schemaVersion":2,"config":{},"layers":[1]}')
    assert (response.status_code, codes(response)) == (400, ["MANIFEST_INVALID"])
    assert len(response.json()["errors"][0]["detail"]) == 4  # three fields of the configuration, one layer
    assert (await api.put(b"not json")).status_code == 400


async def test_a_manifest_whose_blobs_are_not_here_is_refused(api: Api) -> None:
    manifest = await api.prepare_manifest(b"layer")
    response = await api.put(replace(manifest, layers=(*manifest.layers, ABSENT)))
    assert (response.status_code, codes(response)) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert response.json()["errors"][0]["detail"] == [str(ABSENT.digest)]
    elsewhere = await api.put(manifest, repository="lab/other")
    assert codes(elsewhere) == ["MANIFEST_BLOB_UNKNOWN"]
    assert (await api.ask("GET", MANIFESTS + "canary")).status_code == 404


@pytest.mark.parametrize("which", ["config", "layer", "foreign"])
async def test_a_blob_of_another_size_than_the_manifest_says_is_refused(api: Api, which: str) -> None:
    manifest = await api.prepare_manifest(b"eleven byte")
    (layer,) = manifest.layers
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    wrong = {
        "config": replace(manifest, config=replace(manifest.config, size=999)),
        "layer": replace(manifest, layers=(replace(layer, size=999),)),
        "foreign": replace(manifest, layers=(replace(layer, size=999, media_type=foreign),)),
    }[which]
    true = manifest.config if which == "config" else layer
    response = await api.put(wrong)
    assert (response.status_code, codes(response)) == (400, ["MANIFEST_INVALID"])
    problem = f"{true.digest}: expected {true.size} bytes, got 999"
    assert response.json()["errors"][0]["detail"] == [problem]
    assert problem in response.json()["errors"][0]["message"]
    assert (await api.ask("GET", MANIFESTS + "canary")).status_code == 404


@pytest.mark.parametrize("service", ["", "sensor"])
async def test_an_entry_of_another_size_than_the_index_says_is_refused(api: Api, service: str) -> None:
    manifest = await api.prepare_manifest(repository="lab/sensor")
    await api.put(manifest, "x", repository="lab/sensor")
    entry = describe(manifest, service)
    repository = "lab/sets" if service else "lab/sensor"
    response = await api.put(Index((replace(entry, size=1),)), "all", repository=repository)
    assert (response.status_code, codes(response)) == (400, ["MANIFEST_INVALID"])
    assert response.json()["errors"][0]["detail"] == [f"{entry.digest}: expected {entry.size} bytes, got 1"]
    assert (await api.put(Index((entry,)), "all", repository=repository)).status_code == 201


async def test_a_layer_that_must_not_be_distributed_may_be_absent(api: Api) -> None:
    foreign = replace(
        ABSENT, media_type="application/vnd.oci.image.layer.nondistributable.v1.tar", urls=("https://x/",)
    )
    assert (await api.put(replace(await api.prepare_manifest(), layers=(foreign,)))).status_code == 201


async def test_a_subject_may_be_absent_and_is_acknowledged(api: Api) -> None:
    response = await api.put(replace(await api.prepare_manifest(), subject=ABSENT))
    assert (response.status_code, response.headers["oci-subject"]) == (201, str(ABSENT.digest))


def describe(manifest: Manifest, service: str = "") -> Descriptor:
    """The entry of an index, or of a set."""
    raw = format_manifest(manifest)
    return Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw), {SERVICE: service} if service else {})


async def test_an_index_needs_its_manifests_in_its_own_repository(api: Api) -> None:
    index = Index((describe(await api.prepare_manifest()),))
    await api.put(await api.prepare_manifest(repository="lab/other"), "x", repository="lab/other")
    refused = await api.put(index, "multi")
    assert (refused.status_code, codes(refused)) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    await api.put(await api.prepare_manifest(), "x")
    assert (await api.put(index, "multi")).status_code == 201
    assert (await api.put(Index(()), "empty")).status_code == 201


async def test_an_entry_of_a_set_may_be_in_the_repository_of_its_service(api: Api) -> None:
    manifest = await api.prepare_manifest(repository="lab/sensor")
    index = Index((describe(manifest, "sensor"),))
    refused = await api.put(index, "sha-0123456", repository="lab/sets")
    assert codes(refused) == ["MANIFEST_BLOB_UNKNOWN"]
    await api.put(manifest, "x", repository="lab/sensor")
    assert (await api.put(index, "sha-0123456", repository="lab/sets")).status_code == 201
    assert codes(await api.put(index, "sha-0123456", repository="far/sets")) == ["MANIFEST_BLOB_UNKNOWN"]
    other = Index((describe(manifest, "cam"),))
    assert codes(await api.put(other, "other", repository="lab/sets")) == ["MANIFEST_BLOB_UNKNOWN"]


async def test_what_the_pusher_may_not_read_looks_like_what_is_not_there(tmp_path: Path) -> None:
    grants = (Grant("lab/sets", frozenset({"pull", "push"})),)
    accounts = prepare_accounts([make_account("publisher", password("publisher"), grants)])
    async with open_api(tmp_path / "registry", VirtualClock(), accounts=accounts) as api:
        index = Index((describe(await api.prepare_manifest(repository="lab/sensor"), "sensor"),))
        path = "/v2/lab/sets/manifests/sha-0123456"
        absent = await api.ask("PUT", path, format_manifest(index), user="publisher")
        await api.put(await api.prepare_manifest(repository="lab/sensor"), "x", repository="lab/sensor")
        hidden = await api.ask("PUT", path, format_manifest(index), user="publisher")
        assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
        assert codes(hidden) == ["MANIFEST_BLOB_UNKNOWN"]
        assert (await api.ask("PUT", path, format_manifest(index), user="pusher")).status_code == 201


@pytest.mark.parametrize(("size", "status"), [(MANIFEST_LIMIT, 201), (MANIFEST_LIMIT + 1, 413)])
async def test_four_megabytes_are_accepted_and_no_more(api: Api, size: int, status: int) -> None:
    raw = format_manifest(await api.prepare_manifest())
    response = await api.put(raw + b" " * (size - len(raw)))
    assert response.status_code == status
    if status == 413:
        assert codes(response) == ["SIZE_INVALID"]


async def test_an_artifact_tag_never_moves(api: Api) -> None:
    manifest = await api.prepare_manifest(b"one")
    assert (await api.put(manifest, "sha-0123456")).status_code == 201
    assert (await api.put(manifest, "sha-0123456")).status_code == 201
    other = await api.prepare_manifest(b"two")
    refused = await api.put(other, "sha-0123456")
    assert (refused.status_code, codes(refused)) == (409, ["DENIED"])
    assert "sha-0123456 is immutable" in refused.text
    digest = Digest.of(format_manifest(other))
    assert (await api.put(other, f"{digest}?tag=canary&tag=sha-0123456")).status_code == 409
    assert (await api.ask("GET", MANIFESTS + str(digest))).status_code == 404
    assert (await api.ask("GET", "/v2/lab/app/tags/list")).json()["tags"] == ["sha-0123456"]


async def test_a_channel_moves_and_its_followers_are_told(api: Api) -> None:
    one, two = await api.prepare_manifest(b"one"), await api.prepare_manifest(b"two")
    first, second = (str(Digest.of(format_manifest(manifest))) for manifest in (one, two))
    await api.put(one)
    await api.put(two)
    await api.put(two, second)
    assert [(push.repository, push.tag, push.digest, push.before) for push in api.pushes] == [
        ("lab/app", "canary", first, ""),
        ("lab/app", "canary", second, first),
    ]
    assert (api.pushes[0].origin.caller, api.pushes[0].origin.host) == ("admin", "registry.test")
    assert (api.pushes[0].media_type, api.pushes[0].size) == (media.OCI_MANIFEST, len(format_manifest(one)))


async def test_a_follower_that_fails_does_not_fail_the_push(tmp_path: Path) -> None:
    async def fail(_event: PushEvent) -> None:
        raise RuntimeError("a fault in the follower")

    async with open_api(tmp_path, VirtualClock()) as api:
        manifest = await api.prepare_manifest()
        app = create_registry_app(api.registry, prepare_accounts(), on_push=fail)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            response = await client.put(
                f"{MANIFESTS}canary", content=format_manifest(manifest), auth=("admin", "admin-secret")
            )
        assert response.status_code == 201


async def test_a_full_catalog_moves_no_tag(api: Api) -> None:
    await api.put(await api.prepare_manifest(b"one"))
    before = (await api.ask("GET", MANIFESTS + "canary")).content
    two = await api.prepare_manifest(b"two")
    api.registry._require()[1]._writer.execute("PRAGMA max_page_count = 1")
    raw = format_manifest(two)
    response = await api.put(raw + b" " * (1024 * 1024))
    assert (response.status_code, codes(response)) == (507, ["UNKNOWN"])
    assert (await api.ask("GET", MANIFESTS + "canary")).content == before


async def test_a_damaged_manifest_is_never_served_and_a_push_heals_it(api: Api) -> None:
    manifest = await api.prepare_manifest()
    await api.put(manifest)
    api.registry._require()[1]._writer.execute("UPDATE manifests SET content = x'00'")
    response = await api.ask("GET", MANIFESTS + "canary")
    assert (response.status_code, codes(response)) == (500, ["UNKNOWN"])
    await api.put(manifest)
    assert (await api.ask("GET", MANIFESTS + "canary")).content == format_manifest(manifest)


async def test_a_manifest_is_refused_when_a_blob_file_is_missing(api: Api) -> None:
    manifest = await api.prepare_manifest(b"layer")
    (api.root / "blobs" / "sha256" / manifest.layers[0].digest.hex[:2] / manifest.layers[0].digest.hex).unlink()
    assert codes(await api.put(manifest)) == ["MANIFEST_BLOB_UNKNOWN"]


async def test_deleting_a_tag_leaves_the_manifest(api: Api) -> None:
    digest = (await api.put(await api.prepare_manifest())).headers["docker-content-digest"]
    assert (await api.ask("DELETE", MANIFESTS + "canary")).status_code == 202
    assert (await api.ask("GET", MANIFESTS + "canary")).status_code == 404
    assert (await api.ask("GET", MANIFESTS + digest)).status_code == 200


async def test_deleting_a_manifest_takes_its_tags(api: Api) -> None:
    manifest = await api.prepare_manifest()
    digest = (await api.put(manifest)).headers["docker-content-digest"]
    await api.put(manifest, "sha-0123456")
    assert (await api.ask("DELETE", MANIFESTS + digest)).status_code == 202
    assert (await api.ask("GET", "/v2/lab/app/tags/list")).json()["tags"] == []
    for reference in (digest, "canary"):
        for method in ("GET", "DELETE"):
            response = await api.ask(method, MANIFESTS + reference)
            assert (response.status_code, codes(response)) == (404, ["MANIFEST_UNKNOWN"])


async def test_an_unknown_repository_is_told_from_an_unknown_manifest(api: Api) -> None:
    for path in (MANIFESTS + "x", "/v2/lab/app/tags/list"):
        response = await api.ask("GET", path)
        assert (response.status_code, codes(response)) == (404, ["NAME_UNKNOWN"])


async def test_tags_are_paged_in_byte_order(api: Api) -> None:
    manifest = await api.prepare_manifest()
    for tag in ("b", "a", "_", "B", "10", "9"):
        await api.put(manifest, tag)
    ordered = ["10", "9", "B", "_", "a", "b"]
    path, seen = "/v2/lab/app/tags/list?n=4", []
    while path:
        response = await api.ask("GET", path)
        seen.append(response.json()["tags"])
        path = response.links["next"]["url"] if "next" in response.links else ""
    assert seen == [ordered[:4], ordered[4:]]
    assert (await api.ask("GET", "/v2/lab/app/tags/list?last=B")).json()["tags"] == ["_", "a", "b"]
    assert (await api.ask("GET", "/v2/lab/app/tags/list?n=0")).json()["tags"] == []
    for number in ("99999999999", "9" * 5000):
        assert (await api.ask("GET", f"/v2/lab/app/tags/list?n={number}")).json()["tags"] == ordered
    for number in ("x", "-1", "1.5", ""):
        response = await api.ask("GET", f"/v2/lab/app/tags/list?n={number}")
        assert (response.status_code, codes(response)) == (400, ["UNSUPPORTED"])


async def test_the_catalog_names_what_the_caller_may_read(api: Api) -> None:
    for repository in ("lab/b", "lab/a", "secret/x"):
        await api.put(await api.prepare_manifest(repository=repository), repository=repository)
    await api.push_blob(b"only a blob", "lab/unfinished")
    assert (await api.ask("GET", "/v2/_catalog")).json() == {"repositories": ["lab/a", "lab/b", "secret/x"]}
    assert (await api.ask("GET", "/v2/_catalog", user="reader")).json() == {"repositories": ["lab/a", "lab/b"]}
    assert (await api.ask("GET", "/v2/_catalog", user="stranger")).json() == {"repositories": []}
    page = await api.ask("GET", "/v2/_catalog?n=1", user="reader")
    assert page.json() == {"repositories": ["lab/a"]}
    following = await api.ask("GET", page.links["next"]["url"], user="reader")
    assert (following.json(), following.links) == ({"repositories": ["lab/b"]}, {})


async def test_what_refers_to_a_subject_is_listed_and_filtered(api: Api) -> None:
    base = await api.prepare_manifest()
    subject = Descriptor(media.OCI_MANIFEST, Digest.of(format_manifest(base)), 1)
    path = f"/v2/lab/app/referrers/{subject.digest}"
    empty = await api.ask("GET", path)
    assert (empty.status_code, empty.headers["content-type"], empty.json()["manifests"]) == (200, media.OCI_INDEX, [])
    await api.put(Manifest(base.config, (), {"note": "kept"}, "application/x.sbom", subject), "one")
    await api.put(Index((), {}, "application/x.list", subject), "two")
    await api.put(replace(base, subject=subject), "three")
    found = {entry["artifactType"]: entry for entry in (await api.ask("GET", path)).json()["manifests"]}
    assert set(found) == {"application/x.sbom", "application/x.list", media.OCI_CONFIG}
    assert found["application/x.sbom"]["annotations"] == {"note": "kept"}
    filtered = await api.ask("GET", f"{path}?artifactType=application/x.sbom")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [entry["artifactType"] for entry in filtered.json()["manifests"]] == ["application/x.sbom"]


async def test_an_index_and_its_platforms_are_kept(api: Api) -> None:
    manifest = await api.prepare_manifest()
    raw = format_manifest(manifest)
    await api.put(manifest, str(Digest.of(raw)))
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw), platform=Platform("linux", "arm64", "v8"))
    assert (await api.put(Index((entry,)), "multi", content_type=media.OCI_INDEX)).status_code == 201
    document = orjson.loads((await api.ask("GET", MANIFESTS + "multi")).content)
    assert document["manifests"][0]["platform"]["variant"] == "v8"


async def test_a_blob_that_is_deleted_while_its_manifest_waits_to_be_written_stays(api: Api) -> None:
    manifest = await api.prepare_manifest(b"layer")
    layer = f"/v2/lab/app/blobs/{manifest.layers[0].digest}"
    disk = api.registry._require()[0]
    begun, ends = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        ends.wait()

    held = asyncio.create_task(disk.commit(hold))
    await asyncio.to_thread(begun.wait)
    push = asyncio.create_task(api.put(manifest, "v1"))
    async with asyncio.timeout(60):
        while disk._catalog._work_queue.qsize() < 1:  # noqa: ASYNC110 - a queue without an event of ours
            await asyncio.sleep(0.001)
        deletion = asyncio.create_task(api.ask("DELETE", layer))
        while disk._catalog._work_queue.qsize() < 2 and not deletion.done():  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.001)
    ends.set()
    await held
    pushed, deleted = await push, await deletion

    assert (pushed.status_code, deleted.status_code, codes(deleted)) == (201, 409, ["DENIED"])
    assert (await api.ask("GET", layer)).content == b"layer"


async def test_a_manifest_whose_layer_has_become_shorter_is_refused_until_the_layer_is_sent_again(api: Api) -> None:
    manifest = await api.prepare_manifest(b"layer")
    digest = manifest.layers[0].digest
    path = api.root / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    path.write_bytes(b"lay")
    refused = await api.put(manifest, "v1")
    await api.push_blob(b"layer")

    assert (refused.status_code, codes(refused)) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert (await api.put(manifest, "v1")).status_code == 201


async def test_a_manifest_that_was_just_read_is_given_again_from_memory_until_something_changes(api: Api) -> None:
    manifest = await api.prepare_manifest()
    await api.put(manifest)
    first = (await api.ask("GET", MANIFESTS + "canary")).content
    api.registry._require()[1]._writer.execute("UPDATE manifests SET content = x'00'")
    assert (await api.ask("GET", MANIFESTS + "canary")).content == first
    await api.put(await api.prepare_manifest(b"other"), "other")
    assert (await api.ask("GET", MANIFESTS + "canary")).status_code == 500


async def test_a_tag_that_moved_and_one_that_went_are_seen_by_the_next_reader(api: Api) -> None:
    one, two = await api.prepare_manifest(b"one"), await api.prepare_manifest(b"two")
    for manifest in (one, two, one):
        await api.put(manifest)
        for _ in range(2):
            assert (await api.ask("GET", MANIFESTS + "canary")).content == format_manifest(manifest)
    await api.ask("DELETE", MANIFESTS + "canary")
    assert (await api.ask("GET", MANIFESTS + "canary")).status_code == 404


async def test_manifests_in_memory_are_bounded(api: Api) -> None:
    manifests = api.registry.manifests
    for number in range(RECENT_BYTES // LARGE_MANIFEST_BYTES + 3):
        row = await api.prepare_manifest(b"%d" % number)
        content = format_manifest(row) + b" " * (LARGE_MANIFEST_BYTES - 2000)
        await api.put(content, f"t{number}")
    for number in range(RECENT_BYTES // LARGE_MANIFEST_BYTES + 3):
        await api.ask("GET", f"{MANIFESTS}t{number}")
    assert manifests._recent._bytes <= RECENT_BYTES + LARGE_MANIFEST_BYTES
