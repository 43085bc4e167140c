import contextlib
import re
import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, InvalidManifestError, Manifest, format_manifest, parse_manifest
from towpath.oci.platform import Platform

CONFIG = Descriptor(media.OCI_CONFIG, Digest.of(b"config"), 6)
LAYER = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"layer"), 5, {"a": "b"})
MANIFEST = Manifest(CONFIG, (LAYER,), {"x": "y"}, "application/x.y", LAYER)
ENTRY = Descriptor(
    media.OCI_MANIFEST, Digest.of(b"m"), 1, {"dev.towpath.service": "sensor"}, Platform("linux", "amd64")
)
INDEX = Index((ENTRY,), {"x": "y"})


@pytest.mark.parametrize("value", [MANIFEST, INDEX, Index(()), Manifest(CONFIG, ())])
def test_bytes_and_value_are_inverses(value: Manifest | Index) -> None:
    raw = format_manifest(value)
    assert parse_manifest(raw) == value
    assert parse_manifest(raw, f"{value.media_type}; charset=utf-8") == value


def test_equal_values_give_equal_bytes() -> None:
    one = Index((ENTRY,), {"a": "1", "b": "2"})
    other = Index((ENTRY,), {"b": "2", "a": "1"})
    assert format_manifest(one) == format_manifest(other)


def test_the_kind_is_told_by_the_body_then_the_header_then_the_shape() -> None:
    document = orjson.loads(format_manifest(INDEX))
    del document["mediaType"]
    raw = orjson.dumps(document)
    assert isinstance(parse_manifest(raw), Index)
    parsed = parse_manifest(raw, media.DOCKER_LIST)
    assert isinstance(parsed, Index)
    assert parsed.media_type == media.DOCKER_LIST


def test_the_blobs_of_an_image_are_its_configuration_and_layers() -> None:
    assert MANIFEST.blobs == (CONFIG, LAYER)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schemaVersion": 1}, "schemaVersion: expected 2, got 1"),
        ({"schemaVersion": "2"}, "schemaVersion: expected an integer, got a text"),
        ({"schemaVersion": None}, "schemaVersion: is missing"),
        ({"config": None}, "config: is missing"),
        ({"layers": None}, "layers: is missing"),
        ({"layers": {}}, "layers: expected a list, got an object"),
        ({"layers": [1]}, r"layers\[0\]: expected an object, got an integer"),
        (
            {"layers": [{"mediaType": "x", "digest": "sha256:zz", "size": 1}]},
            r"layers\[0\].digest: expected lower-case",
        ),
        ({"layers": [{"mediaType": "x", "digest": str(CONFIG.digest), "size": -1}]}, r"layers\[0\].size: expected at"),
        ({"layers": [{"mediaType": "x", "digest": str(CONFIG.digest), "size": True}]}, r"size: expected an integer"),
        ({"annotations": {"a": 1}}, r"annotations\[a\]: expected a text, got an integer"),
        ({"mediaType": "text/plain"}, "'text/plain' is not a manifest"),
        ({"manifests": []}, "either an index"),
    ],
)
def test_a_malformed_manifest_is_refused_with_its_path(change: dict[str, object], problem: str) -> None:
    document = orjson.loads(format_manifest(MANIFEST)) | change
    with pytest.raises(InvalidManifestError, match=problem):
        parse_manifest(orjson.dumps(document))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidManifestError) as caught:
        parse_manifest(b'{"schemaVersion": 3, "layers": [{}], "config": {}}')
    assert len(caught.value.problems) == 7


def test_a_content_type_that_contradicts_the_body_is_refused() -> None:
    with pytest.raises(InvalidManifestError, match="contradicts"):
        parse_manifest(format_manifest(MANIFEST), media.OCI_INDEX)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"schemaVersion":NaN}'])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidManifestError):
        parse_manifest(raw)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_read_or_refused(document: object) -> None:
    for shaped in (document, {"schemaVersion": 2, "config": document, "layers": document, "subject": document}):
        try:
            parse_manifest(orjson.dumps(shaped, option=orjson.OPT_NON_STR_KEYS))
        except (InvalidManifestError, orjson.JSONEncodeError):
            continue


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"schemaVersion":2,"manifests":[],"manifests":[]}', "manifests: is in one object more than once"),
        (b'{"schemaVersion":2,"manifests":[{"size":1,"size":2}]}', "size: is in one object more than once"),
        (b'{"schemaVersion":2,"manifests":[],"Subject":{}}', "Subject: some readers take it for 'subject'"),
        (b'{"schemaVersion":2,"manifests":[],"LAYERS":[]}', "LAYERS: some readers take it for 'layers'"),
        (b'{"schemaVersion":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "depth limit exceeded"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(InvalidManifestError, match=re.escape(problem)):
        parse_manifest(raw)


@pytest.mark.parametrize("depth", [10, 500, 950, 990, 1000, 1020])
def test_no_depth_is_more_than_refused(depth: int) -> None:
    raw = b'{"schemaVersion":2,"manifests":[],"x":' + b"[" * depth + b"]" * depth + b"}"
    with contextlib.suppress(InvalidManifestError):  # which depth is too much differs between Pythons
        assert parse_manifest(raw) == Index(())


def test_unknown_keys_are_nobody_s_problem() -> None:
    raw = b'{"schemaVersion":2,"manifests":[],"annotations":{"a.B":"1","a.b":"2"},"org.example":{"Layers":1}}'
    assert parse_manifest(raw).annotations == {"a.B": "1", "a.b": "2"}


def test_a_manifest_that_is_wrong_many_times_is_told_some_of_them() -> None:
    raw = b'{"schemaVersion":2,"manifests":[' + b"1," * 200_000 + b"1]}"
    with pytest.raises(InvalidManifestError) as caught:
        parse_manifest(raw)
    assert 20 < len(caught.value.problems) < 200


@pytest.mark.parametrize("item", [b"1,", b"[],", b"{},", b'"",', b"[[[[[[[[]]]]]]]],", b'{"a":1},'])
def test_a_document_that_is_small_and_costs_much_is_refused_unread(item: bytes) -> None:
    raw = b'{"schemaVersion":2,"manifests":[' + item * (4_000_000 // len(item)) + item[:-1] + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidManifestError, match="items"):
            parse_manifest(raw)
        assert tracemalloc.get_traced_memory()[1] < len(raw)
    finally:
        tracemalloc.stop()


def test_the_largest_index_of_small_entries_is_read() -> None:
    entries = [{"mediaType": media.OCI_MANIFEST, "digest": str(Digest.of(b"%d" % n)), "size": n} for n in range(25_000)]
    raw = orjson.dumps({"schemaVersion": 2, "manifests": entries})
    parsed = parse_manifest(raw)
    assert isinstance(parsed, Index)
    assert len(parsed.manifests) == len(entries)
