"""Quotas: what is refused, when, and with which words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, codes, open_api
from towpath.http.pouring import GATHERED_BYTES
from towpath.oci.digest import Digest
from towpath.registry.keeper.quota import Quota

KIB = 1024
CONTENT = b"y" * 20
DIGEST = Digest.of(CONTENT)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened


async def post(api: Api, content: bytes, repository: str = "lab/app") -> int:
    """Push a blob in one request; the status."""
    path = f"/v2/{repository}/blobs/uploads/?digest={Digest.of(content)}"
    return (await api.ask("POST", path, content)).status_code


async def test_within_the_quota_everything_goes(api: Api) -> None:
    api.registry.limit(Quota(total=100 * KIB, globs={"lab/*": 100 * KIB}))
    manifest = await api.prepare_manifest(b"x" * 50 * KIB)

    assert (await api.put(manifest, "v1")).status_code == 201


@pytest.mark.parametrize("quota", [Quota(total=100 * KIB), Quota(globs={"lab/*": 100 * KIB})])
async def test_what_would_be_too_much_is_refused_with_numbers_and_the_setting(api: Api, quota: Quota) -> None:
    api.registry.limit(quota)
    assert await post(api, b"x" * 60 * KIB) == 201
    content = b"y" * 50 * KIB
    refused = await api.ask("POST", f"/v2/lab/app/blobs/uploads/?digest={Digest.of(content)}", content)
    setting = "total" if quota.total else "lab/*"

    assert (refused.status_code, codes(refused)) == (403, ["DENIED"])
    message = refused.json()["errors"][0]["message"]
    assert message == (
        f"lab/app cannot take more (QuotaExceeded): 110.0 KiB with this push, and the quota {setting} is 100.0 KiB"
    )
    assert refused.json()["errors"][0]["detail"]["limit"] == 100 * KIB
    assert [name for name in api.files() if name.startswith("uploads/")] == []


@pytest.mark.parametrize("by_room", [True, False])
async def test_numbers_that_would_look_alike_are_told_to_the_byte(api: Api, by_room: bool) -> None:
    manifest = await api.prepare_manifest(b"x" * KIB * KIB)
    config = manifest.config.size
    api.registry.limit(Quota(total=KIB * KIB + config + (10 if by_room else 1), advice="a larger disk"))
    refused = await (
        api.ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", CONTENT) if by_room else api.put(manifest)
    )
    (error,) = refused.json()["errors"]

    assert refused.status_code == 403
    assert (
        f" {error['detail']['used']} bytes with this push, and the quota total is {error['detail']['limit']} bytes"
        in (error["message"])
    )
    assert error["detail"]["next"] == "a larger disk"


async def test_a_stream_is_refused_as_soon_as_it_is_too_long_and_not_at_its_end(api: Api) -> None:
    api.registry.limit(Quota(total=10 * KIB))
    location = (await api.ask("POST", "/v2/lab/app/blobs/uploads/")).headers["location"]
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += KIB
            yield b"x" * KIB

    assert (await api.ask("PATCH", location, endless())).status_code == 403
    assert sent <= 2 * GATHERED_BYTES  # what may be on its way to the disk
    assert (await api.ask("GET", location)).status_code == 404, "the session has ended"
    assert api.files() == []


async def test_repositories_of_one_glob_share_its_quota_and_others_do_not_count(api: Api) -> None:
    api.registry.limit(Quota(globs={"guest/*": 100 * KIB}))
    assert await post(api, b"a" * 60 * KIB, "guest/one") == 201
    assert await post(api, b"b" * 900 * KIB, "home/app") == 201
    assert await post(api, b"c" * 60 * KIB, "guest/two") == 403
    assert await post(api, b"c" * 30 * KIB, "guest/two") == 201


async def test_a_blob_that_two_repositories_of_a_glob_share_counts_once(api: Api) -> None:
    api.registry.limit(Quota(total=100 * KIB, globs={"guest/*": 100 * KIB}))
    content = b"a" * 80 * KIB
    assert await post(api, content, "guest/one") == 201
    mounted = await api.ask("POST", f"/v2/guest/two/blobs/uploads/?mount={Digest.of(content)}&from=guest/one")

    assert mounted.status_code == 201


async def test_a_mount_counts_where_it_goes(api: Api) -> None:
    api.registry.limit(Quota(globs={"guest/*": 10 * KIB}))
    content = b"a" * 80 * KIB
    assert await post(api, content, "home/app") == 201
    refused = await api.ask("POST", f"/v2/guest/two/blobs/uploads/?mount={Digest.of(content)}&from=home/app")

    assert (refused.status_code, codes(refused)) == (403, ["DENIED"])
    assert (await api.ask("HEAD", f"/v2/guest/two/blobs/{Digest.of(content)}")).status_code == 404


async def test_manifests_count_and_one_that_is_too_much_leaves_nothing_behind(api: Api) -> None:
    manifest = await api.prepare_manifest(b"x")
    api.registry.limit(Quota(total=100))
    refused = await api.put(manifest, "v1")

    assert (refused.status_code, codes(refused)) == (403, ["DENIED"])
    assert (await api.ask("GET", "/v2/lab/app/manifests/v1")).status_code == 404


async def test_what_is_here_already_may_be_tagged_again_under_a_smaller_quota(api: Api) -> None:
    manifest = await api.prepare_manifest(b"x" * KIB)
    await api.put(manifest, "v1")
    api.registry.limit(Quota(total=10))

    assert (await api.put(manifest, "v2")).status_code == 201
    api.registry.limit(Quota())
    assert await post(api, b"y" * 900 * KIB) == 201
