import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.source.events import NO_COMMIT, PushEvent
from towpath.source.payloads import PayloadError, delivery_id, event_name, is_push, parse_push, prepare_push

BEFORE, AFTER = "28e1879d029cb852e4844d9c718537df08844e03", "bffeb74224043ba2feb48d137756c8a9331c449a"

# The fields that matter of the examples in each forge's documentation.
GITHUB = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": AFTER,
    "repository": {"name": "Hello-World", "full_name": "Codertocat/Hello-World", "pushed_at": 1557933657},
    "pusher": {"name": "Codertocat", "email": "21031067+Codertocat@users.noreply.github.com"},
}
GITEA = {
    "ref": "refs/heads/develop",
    "before": BEFORE,
    "after": AFTER,
    "compare_url": "http://localhost:3000/gitea/webhooks/compare/…",
    "commits": [{"id": AFTER, "message": "Webhooks Yay!", "timestamp": "2017-03-13T13:52:11-04:00"}],
    "repository": {"id": 140, "name": "webhooks", "full_name": "gitea/webhooks"},
    "pusher": {"id": 1, "login": "gitea", "username": "gitea"},
    "sender": {"id": 1, "login": "gitea"},
}
GITLAB = {
    "object_kind": "push",
    "event_name": "push",
    "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
    "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "ref": "refs/heads/master",
    "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "user_name": "John Smith",
    "user_username": "jsmith",
    "project": {"id": 15, "name": "Diaspora", "path_with_namespace": "mike/diaspora"},
}


def parse(provider: str, payload: Any) -> PushEvent:
    return parse_push(provider, json.dumps(payload).encode(), received_at=7.5)


@pytest.mark.parametrize(
    ("provider", "payload", "event"),
    [
        ("github", GITHUB, PushEvent("Codertocat/Hello-World", "refs/heads/main", BEFORE, AFTER, 7.5, "Codertocat")),
        ("gitea", GITEA, PushEvent("gitea/webhooks", "refs/heads/develop", BEFORE, AFTER, 7.5, "gitea")),
        ("forgejo", GITEA, PushEvent("gitea/webhooks", "refs/heads/develop", BEFORE, AFTER, 7.5, "gitea")),
        (
            "gitlab",
            GITLAB,
            PushEvent(
                "mike/diaspora",
                "refs/heads/master",
                "95790bf891e76fee5e1747ab589903a6a1f80f22",
                "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
                7.5,
                "jsmith",
            ),
        ),
    ],
)
def test_each_forges_own_example_is_understood(provider: str, payload: dict[str, Any], event: PushEvent) -> None:
    assert parse(provider, payload) == event


def test_a_deleted_branch_is_understood_also_when_the_id_is_null() -> None:
    assert parse("github", {**GITHUB, "after": NO_COMMIT}).deleted
    assert parse("gitlab", {**GITLAB, "after": None}).deleted


def test_the_headers_of_each_forge_name_event_and_delivery() -> None:
    forgejo = {"x-forgejo-delivery": "f", "x-gitea-delivery": "g", "x-github-delivery": "h", "x-forgejo-event": "push"}
    assert delivery_id("forgejo", forgejo) == "f"
    assert delivery_id("gitea", forgejo) == "g"
    assert delivery_id("github", forgejo) == "h"
    assert delivery_id("gitlab", {"idempotency-key": "i", "x-gitlab-event-uuid": "u"}) == "i"
    assert delivery_id("gitlab", {}) == ""
    assert event_name("forgejo", forgejo) == "push"
    assert event_name("gitlab", {"x-gitlab-event": "Tag Push Hook"}) == "Tag Push Hook"
    assert [is_push(name) for name in ("push", "Push Hook", "Tag Push Hook", "issues", "")] == [True] * 3 + [False] * 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ref": "main"}, "ref"),
        ({"ref": None}, "ref"),
        ({"ref": "refs/heads/a b"}, "ref"),
        ({"ref": "refs/heads/" + "x" * 600}, "ref"),
        ({"after": "bffeb74"}, "after"),
        ({"after": "refs/heads/main"}, "after"),
        ({"before": 7}, "before"),
        ({"repository": None}, "repository.full_name"),
        ({"repository": []}, "repository.full_name"),
        ({"repository": {"full_name": "a\nb"}}, "repository.full_name"),
    ],
)
def test_a_malformed_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(PayloadError, match=rf"webhook field {field} is malformed \(BadField\)"):
        parse("github", {**GITHUB, **change})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"payload=%7B%7D"])
def test_what_is_not_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(PayloadError, match="NotJSON"):
        parse_push("github", body, received_at=0)


@pytest.mark.parametrize("payload", [[], 7, "x", None, {}])
def test_json_of_another_shape_is_refused(payload: Any) -> None:
    with pytest.raises(PayloadError, match="BadField"):
        parse("gitlab", payload)


def test_only_our_own_webhooks_say_when_the_push_arrived() -> None:
    claim = {**GITHUB, "towpath": {"received_at": 1.25}}
    assert parse("towpath", claim).received_at == 1.25
    assert parse("github", claim).received_at == 7.5


ids = st.text("0123456789abcdef", min_size=40, max_size=40)


@given(ids, ids, st.sampled_from(["refs/heads/main", "refs/tags/v1", "refs/heads/ünï/x"]), st.floats(0, 4e9))
def test_what_we_send_is_what_is_received(before: str, after: str, ref: str, received_at: float) -> None:
    event = PushEvent("lab", ref, before, after, received_at, "ada")
    assert parse_push("towpath", prepare_push(event), received_at=0) == event
