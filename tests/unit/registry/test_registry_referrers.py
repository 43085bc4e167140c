"""Referrers: what the list says of each, the filter by type, its pages, and the lists that clients keep in tags."""

from dataclasses import replace

import httpx
import pytest

from fakes.registry_api import Api
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.registry.manifests import REFERRERS_PAGE_BYTES

SBOM = "application/vnd.example.sbom"
MEGABYTE = 1_000_000


def descriptor(manifest: Manifest | Index) -> Descriptor:
    raw = format_manifest(manifest)
    return Descriptor(manifest.media_type, Digest.of(raw), len(raw))


async def push(api: Api, manifest: Manifest | Index) -> Descriptor:
    found = descriptor(manifest)
    response = await api.put(manifest, str(found.digest), content_type=manifest.media_type)
    assert response.status_code == 201, response.text
    return found


async def list_referrers(api: Api, subject: Descriptor, query: str = "") -> httpx.Response:
    response = await api.ask("GET", f"/v2/lab/app/referrers/{subject.digest}{query}")
    assert response.status_code == 200
    assert response.headers["content-type"] == media.OCI_INDEX
    return response


def digests(response: httpx.Response) -> list[str]:
    return [entry["digest"] for entry in response.json()["manifests"]]


async def test_an_index_without_a_type_is_listed_without_one(api: Api) -> None:
    subject = await push(api, await api.prepare_manifest())
    pushed = await push(api, Index((), {"a": "b"}, "", subject))
    (entry,) = (await list_referrers(api, subject)).json()["manifests"]
    assert entry == {
        "mediaType": media.OCI_INDEX,
        "digest": str(pushed.digest),
        "size": pushed.size,
        "annotations": {"a": "b"},
    }


async def test_a_filter_that_nothing_matches_gives_an_empty_index(api: Api) -> None:
    subject = await push(api, await api.prepare_manifest())
    await push(api, Index((), {}, SBOM, subject))
    for wanted in ("application/x", "' OR ''='", "%25"):
        response = await list_referrers(api, subject, f"?artifactType={wanted}")
        assert (digests(response), response.headers["oci-filters-applied"]) == ([], "artifactType")


async def test_referrers_that_do_not_fit_into_one_index_come_in_pages(api: Api) -> None:
    subject = await push(api, await api.prepare_manifest())
    pushed = {
        str((await push(api, Index((), {"note": f"{n}" * 3 * MEGABYTE}, SBOM, subject))).digest) for n in range(3)
    }
    other = await push(api, Index((), {}, "application/x", subject))
    seen: list[str] = []
    path = f"/v2/lab/app/referrers/{subject.digest}?artifactType={SBOM}"
    pages = 0
    while path:
        response = await api.ask("GET", path)
        assert len(response.content) <= REFERRERS_PAGE_BYTES
        assert response.headers["oci-filters-applied"] == "artifactType"
        seen += digests(response)
        path = response.links["next"]["url"] if "next" in response.links else ""
        pages += 1
    assert (sorted(seen), pages) == (sorted(pushed), 3)
    assert str(other.digest) not in seen


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_what_a_client_lists_in_a_tag_is_listed_by_the_api(api: Api, algorithm: str) -> None:
    """Clients of registries without this API keep an index at `<algorithm>-<hex>`; a copy of it brings the same."""
    base = await api.prepare_manifest()
    raw = format_manifest(base)
    subject = Descriptor(media.OCI_MANIFEST, Digest.of(raw, algorithm), len(raw))
    await api.put(base, str(subject.digest))
    referring = await push(api, replace(base, subject=subject, artifact_type=SBOM))
    stranger = await push(api, replace(base, artifact_type="application/x"))
    tag = f"{algorithm}-{subject.digest.hex[:64]}"
    response = await api.put(Index((referring, stranger)), tag, content_type=media.OCI_INDEX)
    assert response.status_code == 201
    # Once, and only what really names the subject: the tag is a copy of the list, and not its source.
    assert digests(await list_referrers(api, subject)) == [str(referring.digest)]
    fallback = await api.ask("GET", f"/v2/lab/app/manifests/{tag}")
    assert digests(fallback) == [str(referring.digest), str(stranger.digest)]


async def test_a_deleted_referrer_is_listed_no_more(api: Api) -> None:
    subject = await push(api, await api.prepare_manifest())
    referring = await push(api, Index((), {}, SBOM, subject))
    await api.ask("DELETE", f"/v2/lab/app/manifests/{referring.digest}")
    assert digests(await list_referrers(api, subject)) == []


async def test_referrers_are_those_of_the_repository(api: Api) -> None:
    subject = await push(api, await api.prepare_manifest())
    await push(api, Index((), {}, SBOM, subject))
    response = await api.ask("GET", f"/v2/lab/other/referrers/{subject.digest}")
    assert (response.status_code, digests(response)) == (200, [])


async def test_only_who_may_pull_sees_who_refers(api: Api) -> None:
    subject = Digest.of(b"x")
    assert (await api.ask("GET", f"/v2/other/app/referrers/{subject}", user="reader")).status_code == 403
