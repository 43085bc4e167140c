"""The wire names of requests and outcomes."""

import pytest

from towpath.errors import UserError
from towpath.kube.diff import FieldChange
from towpath.kube.objects import ObjectKey
from towpath.promote.preview import ObjectDiff
from towpath.web.documents import (
    LONGEST_HOLD_SECONDS,
    SHOWN_CHARACTERS,
    hold_request,
    objects_document,
    promotion_request,
    rollback_request,
    text_field,
)


def test_a_promotion_request_has_every_field_of_the_command_line() -> None:
    request = promotion_request(
        {
            "services": ["sensor", "lamp"],
            "environment": "prod",
            "version": "sha-1234567",
            "by": "ada",
            "dry_run": True,
            "allow_downgrade": True,
        }
    )

    assert (request.services, request.environment, request.version) == (("sensor", "lamp"), "prod", "sha-1234567")
    assert (request.by, request.dry_run, request.allow_downgrade) == ("ada", True, True)


def test_what_is_left_out_has_its_default() -> None:
    assert promotion_request({"services": ["sensor"]}).version == ""
    assert (rollback_request({}).to, rollback_request({}).dry_run) == ("", False)
    assert (hold_request({}).seconds, hold_request({}).release) == (3600.0, False)


@pytest.mark.parametrize("value", [1, None, [], {}, True])
def test_a_text_is_a_text(value: object) -> None:
    with pytest.raises(UserError, match="a text is expected"):
        text_field({"reason": value}, "reason")


@pytest.mark.parametrize("seconds", [0.001, 1, LONGEST_HOLD_SECONDS])
def test_a_hold_of_any_sensible_length_is_taken(seconds: float) -> None:
    assert hold_request({"seconds": seconds}).seconds == seconds


@pytest.mark.parametrize("length", [SHOWN_CHARACTERS, SHOWN_CHARACTERS + 1])
def test_long_values_are_cut_and_say_how_long_they_were(length: int) -> None:
    change = FieldChange("data.text", None, "x" * length)
    (document,) = objects_document([ObjectDiff(ObjectKey("", "ConfigMap", "dev", "a"), "created", (change,))])
    shown = document["changes"][0]["after"]

    assert shown == "x" * length if length <= SHOWN_CHARACTERS else shown.endswith(f"… ({length} characters)")
    assert document["changes"][0]["before"] is None
