"""Bodies and options of requests."""

import pytest

from towpath.cluster.facade.bodies import decode_body, decode_object, delete_options, patch_type, write_options
from towpath.kube.errors import BadRequestError, UnsupportedMediaTypeError
from towpath.kube.requests import FieldValidation, PatchType, Propagation


def test_json_and_yaml_are_read() -> None:
    assert decode_body(b'{"a": 1}', "application/json; charset=utf-8") == {"a": 1}
    assert decode_body(b"a: 1", "application/yaml") == {"a": 1}
    assert decode_body(b"a: 1", "application/apply-patch+yaml") == {"a": 1}


@pytest.mark.parametrize("media_type", ["application/vnd.kubernetes.protobuf", "text/html", "image/png"])
def test_other_media_types_are_refused_with_those_there_are(media_type: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="application/json"):
        decode_body(b"", media_type)


@pytest.mark.parametrize(("body", "media_type"), [(b"{", "application/json"), (b"a: [", "application/yaml")])
def test_a_broken_body_is_a_bad_request(body: bytes, media_type: str) -> None:
    with pytest.raises(BadRequestError, match="error decoding the body"):
        decode_body(body, media_type)


@pytest.mark.parametrize("body", [b"[]", b"null", b"{}", b'{"kind": 3}'])
def test_an_object_has_a_kind(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="Kind"):
        decode_object(body, "application/json")


def test_patch_types_are_told_by_the_content_type() -> None:
    assert patch_type("application/merge-patch+json") is PatchType.MERGE
    assert patch_type("application/apply-patch+yaml") is None
    with pytest.raises(UnsupportedMediaTypeError):
        patch_type("application/json")


@pytest.mark.parametrize(
    ("query", "agent", "manager"),
    [({"fieldManager": "me"}, "kubectl/v1", "me"), ({}, "kubectl/v1.37 (linux)", "kubectl"), ({}, "", "unknown")],
)
def test_a_writer_is_known_by_its_name_or_its_agent(query: dict[str, str], agent: str, manager: str) -> None:
    assert write_options(query, user_agent=agent, subresource="").field_manager == manager


def test_options_are_read_from_the_query() -> None:
    assert not write_options({"force": "false"}, user_agent="kubectl/v1", subresource="").force
    query = {"dryRun": "All", "force": "true", "fieldValidation": "Strict"}
    options = write_options(query, user_agent="x", subresource="status")

    assert (options.dry_run, options.force, options.subresource) == (True, True, "status")
    assert options.field_validation is FieldValidation.STRICT


@pytest.mark.parametrize("query", [{"dryRun": "Some"}, {"fieldValidation": "Loose"}])
def test_values_the_api_does_not_know_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match="upported value"):
        write_options(query, user_agent="x", subresource="")


def test_delete_options_come_from_the_body_or_the_query() -> None:
    body = {
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
        "dryRun": ["All"],
    }
    from_body = delete_options({}, body)
    from_query = delete_options({"propagationPolicy": "Orphan", "gracePeriodSeconds": "5"}, {})

    assert (from_body.propagation, from_body.grace_period_seconds) == (Propagation.FOREGROUND, 0)
    assert (from_body.uid, from_body.dry_run) == ("u", True)
    assert (from_query.propagation, from_query.grace_period_seconds) == (Propagation.ORPHAN, 5)


@pytest.mark.parametrize("query", [{"gracePeriodSeconds": "soon"}, {"propagationPolicy": "Sideways"}])
def test_senseless_delete_options_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        delete_options(query, {})
