import json

import pytest

from towpath.kube.errors import (
    ERRORS_BY_REASON,
    AlreadyExistsError,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ExpiredError,
    InvalidError,
    ServiceUnavailableError,
    TooManyRequestsError,
)
from towpath.kube.objects import GVK
from towpath.kubeclient.response import parse_error, parse_object, parse_page, parse_warnings

CONFIG_MAP = GVK("", "v1", "ConfigMap")


@pytest.mark.parametrize("reason", sorted(ERRORS_BY_REASON))
def test_every_error_survives_its_status_document(reason: str) -> None:
    causes = [{"reason": "FieldValueInvalid", "message": "no", "field": "spec.x"}]
    sent = ERRORS_BY_REASON[reason]("the text", causes=causes, details={"name": "s", "kind": "deployments"})
    read = parse_error(sent.code, json.dumps(sent.status()).encode())
    assert type(read) is type(sent)
    assert (read.message, read.causes, read.details) == (sent.message, sent.causes, sent.details)


def test_a_reason_decides_between_errors_of_one_code() -> None:
    status = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "m"}
    assert isinstance(parse_error(409, json.dumps(status).encode()), AlreadyExistsError)
    assert isinstance(parse_error(409, json.dumps({**status, "reason": "Conflict"}).encode()), ApiConflictError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (404, ApiNotFoundError),
        (410, ExpiredError),
        (422, InvalidError),
        (429, TooManyRequestsError),
        (502, ServiceUnavailableError),
        (418, ApiError),
    ],
)
def test_what_is_no_status_is_judged_by_its_code(code: int, kind: type[ApiError]) -> None:
    error = parse_error(code, b"<html>\n  gateway  says no</html>" + b"x" * 5000)
    assert type(error) is kind
    assert error.message.startswith(f"the server answered {code}: <html> gateway says no</html>")
    assert len(error.message) < 300


def test_a_gone_version_is_expired_under_either_reason() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Gone", "message": "m"}
    assert isinstance(parse_error(410, json.dumps(status).encode()), ExpiredError)


def test_items_of_a_page_say_their_kind() -> None:
    document = {
        "metadata": {"resourceVersion": "9", "continue": "t"},
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
    }
    page = parse_page(json.dumps(document).encode(), CONFIG_MAP)
    assert [(item["apiVersion"], item["kind"]) for item in page.items] == [("v1", "ConfigMap")] * 2
    assert (page.resource_version, page.continue_token) == ("9", "t")


def test_an_empty_list_may_have_no_items_at_all() -> None:
    page = parse_page(b'{"metadata":{"resourceVersion":"9"},"items":null}', CONFIG_MAP)
    assert (page.items, page.continue_token) == ([], "")


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"a":'])
def test_an_answer_that_is_no_object_is_the_server_s_fault(content: bytes) -> None:
    with pytest.raises(ServiceUnavailableError, match="the server answered with something other than"):
        parse_object(content)


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ("", []),
        ('299 - "one"', ["one"]),
        ('299 - "one", 299 kube-apiserver "two, with a comma"', ["one", "two, with a comma"]),
        (r'299 - "a \"quoted\" word and a \\"', ['a "quoted" word and a \\']),
        ('299 - "dated" "Wed, 21 Oct 2015 07:28:00 GMT", 299 - "next"', ["dated", "next"]),
        ('199 - "miscellaneous", 299 - "kept"', ["kept"]),
        ("299 - unquoted", []),
    ],
)
def test_warnings_are_read_from_their_header(header: str, texts: list[str]) -> None:
    assert parse_warnings(header) == texts
