import base64
from pathlib import Path

import httpx
import pytest

from fakes.clock import VirtualClock
from fakes.registry import password, prepare_accounts
from fakes.registry_api import Api, codes, open_api
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.oci.challenge import Scope, parse_challenges
from towpath.registry.accounts import Account, Accounts, Grant, Login, StoredSecret
from towpath.registry.tokens import (
    REFRESH,
    REFRESH_SECONDS,
    TOKEN_SECONDS,
    ExpiredTokenError,
    TokenClaims,
    TokenSigner,
)

DIGEST = "sha256:" + "0" * 64


async def get_token(api: Api, *scopes: str, user: str = "admin") -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    response = await api.ask("GET", f"/token?service=x&{query}", user=user)
    assert response.status_code == 200
    token: str = response.json()["token"]
    return token


async def ask_with(api: Api, token: str, method: str, path: str) -> httpx.Response:
    return await api.ask(method, path, user="", authorization=f"Bearer {token}")


def challenge(response: httpx.Response) -> dict[str, str]:
    (found,) = parse_challenges(response.headers["www-authenticate"])
    return dict(found.parameters)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("GET", "/v2", None),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/lab/app/tags/list", "repository:lab/app:pull"),
        ("HEAD", "/v2/lab/app/manifests/canary", "repository:lab/app:pull"),
        ("PUT", "/v2/lab/app/manifests/canary", "repository:lab/app:pull,push"),
        ("DELETE", "/v2/lab/app/manifests/canary", "repository:lab/app:delete"),
        ("GET", f"/v2/lab/app/blobs/{DIGEST}", "repository:lab/app:pull"),
        ("POST", "/v2/lab/app/blobs/uploads/", "repository:lab/app:pull,push"),
        ("PATCH", "/v2/lab/app/blobs/uploads/x", "repository:lab/app:pull,push"),
        ("GET", "/v2/lab/app/blobs/uploads/x", "repository:lab/app:pull,push"),
        ("DELETE", "/v2/lab/app/blobs/uploads/x", "repository:lab/app:pull,push"),
        (
            "POST",
            f"/v2/lab/app/blobs/uploads/?mount={DIGEST}&from=lab/base",
            "repository:lab/app:pull,push repository:lab/base:pull",
        ),
        ("POST", f"/v2/lab/app/blobs/uploads/?mount={DIGEST}&from=..", "repository:lab/app:pull,push"),
        ("GET", f"/v2/lab/app/referrers/{DIGEST}", "repository:lab/app:pull"),
        ("GET", "/v2/no/such/path", None),
        ("GET", "/v2/..%2f..%2fetc/manifests/x", "repository:../../etc:pull"),
    ],
)
async def test_without_credentials_every_path_is_challenged(
    api: Api, method: str, path: str, scope: str | None
) -> None:
    response = await api.ask(method, path, user="")
    assert response.status_code == 401
    assert challenge(response) == {
        "realm": "http://registry.test/token",
        "service": "registry.test",
        **({"scope": scope} if scope else {}),
    }
    if method != "HEAD":
        assert codes(response) == ["UNAUTHORIZED"]


async def test_a_password_opens_what_its_account_may_do(api: Api) -> None:
    assert (await api.ask("GET", "/v2/")).status_code == 200
    assert (await api.ask("GET", "/v2/lab/app/tags/list", user="reader")).status_code == 404
    refused = await api.ask("GET", "/v2/other/app/tags/list", user="reader")
    assert (refused.status_code, codes(refused)) == (403, ["DENIED"])
    assert "reader may not pull in other/app" in refused.text
    assert (await api.ask("POST", "/v2/lab/app/blobs/uploads/", user="reader")).status_code == 403


@pytest.mark.parametrize("header", ["Basic !!", "Negotiate x", "Basic " + base64.b64encode(b"admin:no").decode()])
async def test_wrong_credentials_are_challenged(api: Api, header: str) -> None:
    response = await api.ask("GET", "/v2/", user="", authorization=header)
    assert response.status_code == 401
    assert "error" not in challenge(response)


async def test_a_token_opens_its_scopes_only(api: Api) -> None:
    token = await get_token(api, "repository:lab/app:pull")
    assert (await ask_with(api, token, "GET", "/v2/")).status_code == 200
    assert (await ask_with(api, token, "GET", "/v2/lab/app/tags/list")).status_code == 404
    for method, path in (("GET", "/v2/lab/other/tags/list"), ("POST", "/v2/lab/app/blobs/uploads/")):
        response = await ask_with(api, token, method, path)
        assert response.status_code == 401
        assert challenge(response)["error"] == "insufficient_scope"


async def test_a_token_holds_what_was_asked_and_granted(api: Api) -> None:
    token = await get_token(api, "repository:lab/app:pull,push", user="reader")
    assert (await ask_with(api, token, "GET", "/v2/lab/app/tags/list")).status_code == 404
    response = await ask_with(api, token, "POST", "/v2/lab/app/blobs/uploads/")
    assert challenge(response)["error"] == "insufficient_scope"
    # The new token takes the place of the old one, so it must still read.
    assert challenge(response)["scope"] == "repository:lab/app:pull,push"


async def test_several_scopes_are_all_honoured(api: Api) -> None:
    token = await get_token(api, "repository:lab/a:pull", "repository:lab/b:pull%20repository:lab/c:pull")
    for name in "abc":
        assert (await ask_with(api, token, "GET", f"/v2/lab/{name}/tags/list")).status_code == 404


async def test_a_star_asks_for_all_that_is_granted(api: Api) -> None:
    token = await get_token(api, "repository:lab/app:*")
    assert (await ask_with(api, token, "DELETE", "/v2/lab/app/manifests/x")).status_code == 404
    narrow = await get_token(api, "repository:lab/app:*", user="reader")
    assert (await ask_with(api, narrow, "DELETE", "/v2/lab/app/manifests/x")).status_code == 401


async def test_an_expired_token_says_so(api: Api) -> None:
    token = await get_token(api)
    await api.clock.advance(TOKEN_SECONDS - 1)
    assert (await ask_with(api, token, "GET", "/v2/")).status_code == 200
    await api.clock.advance(1)
    response = await ask_with(api, token, "GET", "/v2/")
    assert (response.status_code, challenge(response)["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("token", ["x", "e30.e30", "..", "e30.", "é"])
async def test_a_token_of_another_maker_is_refused(api: Api, token: str) -> None:
    response = await api.client.get("/v2/", headers={b"Authorization": f"Bearer {token}".encode()})
    assert (response.status_code, challenge(response)["error"]) == (401, "invalid_token")


async def test_a_token_answer_has_both_names_and_lasts_five_minutes_at_least(api: Api) -> None:
    document = (await api.ask("GET", "/token")).json()
    assert document["token"] == document["access_token"]
    assert document["expires_in"] >= 300
    assert document["issued_at"] == "2026-01-31T09:30:00Z"


async def test_the_token_endpoint_takes_an_oauth_form(api: Api) -> None:
    form = f"grant_type=password&username=admin&password={password('admin')}&scope=repository:lab/app:pull&service=x"
    response = await api.ask("POST", "/token", form.encode(), user="")
    assert response.status_code == 200
    assert (await ask_with(api, response.json()["token"], "GET", "/v2/lab/app/tags/list")).status_code == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (b"grant_type=password&username=admin&password=wrong", 401),
        (b"grant_type=password", 401),
        (b"grant_type=refresh_token&refresh_token=x", 401),
        (b"grant_type=client_credentials", 400),
        (b"grant_type=password&scope=nonsense", 400),
        (b"\xff\xfe", 400),
        (b"x" * 20_000, 413),
    ],
)
async def test_other_forms_are_refused(api: Api, form: bytes, status: int) -> None:
    assert (await api.ask("POST", "/token", form, user="")).status_code == status


async def test_no_token_without_the_right_password(api: Api) -> None:
    anonymous = await api.ask("GET", "/token", user="")
    wrong = await api.client.get("/token", auth=("admin", "wrong"))
    unknown = await api.client.get("/token", auth=("nobody", "wrong"))
    assert [response.status_code for response in (anonymous, wrong, unknown)] == [401, 401, 401]
    assert (await api.ask("GET", "/token?scope=nonsense")).status_code == 400


def test_a_grant_covers_repositories_by_glob() -> None:
    account = Account("ci", (), (Grant("lab/*", frozenset({"pull"})), Grant("lab/app", frozenset({"push"}))))
    assert account.allowed("lab/app") == {"pull", "push"}
    assert account.allowed("lab/deep/app") == {"pull"}
    assert account.allowed("laboratory") == frozenset()
    assert "secret-hash" not in repr(Account("ci", (StoredSecret("1", "the-secret-hash"),)))


async def test_accounts_know_their_secrets() -> None:
    accounts = prepare_accounts()
    found = await accounts.authenticate("reader", password("reader"))
    assert found is not None
    assert found.account is accounts.find("reader")
    assert await accounts.authenticate("reader", password("admin")) is None
    assert await Accounts([], checker=SecretChecker(key=b"k" * 16)).authenticate("reader", "x") is None


def test_token_and_claims_are_inverses_until_it_expires() -> None:
    clock = VirtualClock()
    signer = TokenSigner(key=b"k" * 32, clock=clock)
    scopes = (Scope.of_repository("lab/app", "pull", "push"),)
    token = signer.sign(Login(Account("ci"), "1"), scopes)
    assert signer.read(token) == TokenClaims("ci", "1", scopes)
    assert signer.read(token, use=REFRESH) is None
    assert TokenSigner(key=b"x" * 32, clock=clock).read(token) is None
    payload, _, signature = token.partition(".")
    for position in range(0, len(payload), 7):
        changed = payload[:position] + ("A" if payload[position] != "A" else "B") + payload[position + 1 :]
        assert signer.read(f"{changed}.{signature}") is None
    clock.step(TOKEN_SECONDS)
    with pytest.raises(ExpiredTokenError):
        signer.read(token)


async def refresh_token(api: Api, user: str = "admin") -> str:
    response = await api.ask("GET", "/token?offline_token=true&client_id=docker", user=user)
    token: str = response.json()["refresh_token"]
    return token


async def test_a_refresh_token_stands_for_the_password_at_the_token_endpoint_and_nowhere_else(api: Api) -> None:
    refresh = await refresh_token(api, "reader")
    form = f"grant_type=refresh_token&refresh_token={refresh}&scope=repository:lab/app:pull,push&service=x"
    answer = await api.ask("POST", "/token", form.encode(), user="")
    assert (answer.status_code, answer.json()["refresh_token"]) == (200, refresh)
    assert answer.json()["scope"] == "repository:lab/app:pull"
    assert (await ask_with(api, answer.json()["token"], "GET", "/v2/lab/app/tags/list")).status_code == 404
    assert (await ask_with(api, refresh, "GET", "/v2/")).status_code == 401
    access = await get_token(api)
    form = f"grant_type=refresh_token&refresh_token={access}"
    assert (await api.ask("POST", "/token", form.encode(), user="")).status_code == 401


async def test_a_refresh_token_ends_with_its_time_and_is_not_given_unasked(api: Api) -> None:
    refresh = await refresh_token(api)
    assert "refresh_token" not in (await api.ask("GET", "/token")).json()
    await api.clock.advance(REFRESH_SECONDS)
    form = f"grant_type=refresh_token&refresh_token={refresh}"
    assert (await api.ask("POST", "/token", form.encode(), user="")).status_code == 401


async def test_an_oauth_form_gives_a_refresh_token_to_who_works_offline(api: Api) -> None:
    form = f"grant_type=password&username=admin&password={password('admin')}&access_type=offline"
    assert (await api.ask("POST", "/token", form.encode(), user="")).json()["refresh_token"]


async def test_every_scope_of_an_oauth_form_is_honoured(api: Api) -> None:
    scopes = "scope=repository:lab/a:pull&scope=repository:lab/b:pull+repository:lab/c:pull"
    form = f"grant_type=password&username=admin&password={password('admin')}&{scopes}"
    token = (await api.ask("POST", "/token", form.encode(), user="")).json()["token"]
    for name in "abc":
        assert (await ask_with(api, token, "GET", f"/v2/lab/{name}/tags/list")).status_code == 404


class Rights:
    """Accounts with one robot that changes under the eyes of its clients."""

    def __init__(self, *anonymous: Grant) -> None:
        self.clock = VirtualClock()
        self.accounts = Accounts(
            [], checker=SecretChecker(key=b"k" * 16), robots=self, clock=self.clock, anonymous=anonymous
        )
        self.robot: Account | None = None

    def find(self, name: str) -> Account | None:
        return self.robot if self.robot and self.robot.name == name else None

    def give(self, *secrets: StoredSecret) -> None:
        self.robot = Account("ci", secrets, (Grant("lab/*"),))


def stored(secret: str, secret_id: str, expires_at: float | None = None) -> StoredSecret:
    return StoredSecret(secret_id, hash_secret(secret, salt=secret_id.ljust(16).encode(), iterations=1), expires_at)


async def test_a_login_lasts_as_long_as_its_own_secret() -> None:
    rights = Rights()
    rights.give(stored("old", "1"))
    login = await rights.accounts.authenticate("ci", "old")
    assert login is not None
    assert rights.accounts.find_login("ci", login.secret_id)

    rights.give(stored("new", "2"))  # revoked, and made again under the same name

    assert rights.accounts.find_login("ci", login.secret_id) is None
    assert await rights.accounts.authenticate("ci", "old") is None
    assert await rights.accounts.authenticate("ci", "new")


async def test_two_secrets_open_the_door_until_one_expires() -> None:
    rights = Rights()
    rights.give(stored("new", "2"), stored("old", "1", rights.clock.now() + 10))
    assert await rights.accounts.authenticate("ci", "old")
    assert await rights.accounts.authenticate("ci", "new")
    rights.clock.step(10)
    assert await rights.accounts.authenticate("ci", "old") is None
    assert rights.accounts.find_login("ci", "1") is None
    assert await rights.accounts.authenticate("ci", "new")


async def test_the_last_use_of_each_secret_is_known() -> None:
    rights = Rights()
    rights.give(stored("new", "2"), stored("old", "1"))
    await rights.accounts.authenticate("ci", "new")
    first = rights.clock.now()
    rights.clock.step(5)
    rights.accounts.find_login("ci", "2")
    assert rights.accounts.last_used("ci", "2") == first + 5
    assert rights.accounts.last_used("ci", "1") is None


async def test_nobody_is_anonymous_unless_something_is_open_to_all() -> None:
    assert Rights().accounts.anonymous is None
    opened = Rights(Grant("open/*", frozenset({"pull"}))).accounts
    assert opened.anonymous is not None
    assert opened.find_login("anonymous", "") == opened.anonymous
    assert opened.find_login("anonymous", "1") is None


async def test_behind_a_proxy_that_ends_tls_clients_are_sent_to_its_address_and_events_name_it(tmp_path: Path) -> None:
    async with open_api(tmp_path, VirtualClock(), external_url="https://reg.example.com:8443") as api:
        for named in ("reg.example.com:8443", "127.0.0.1:5000", "evil.example"):
            response = await api.ask("GET", "/v2/", user="", host=named)
            assert challenge(response) == {
                "realm": "https://reg.example.com:8443/token",
                "service": "reg.example.com:8443",
            }
        await api.put(await api.prepare_manifest(b"layer"), host="127.0.0.1:5000")
        origin = api.pushes[-1].origin
        assert (origin.scheme, origin.host) == ("https", "reg.example.com:8443")


async def test_what_a_proxy_says_of_itself_is_not_believed(api: Api) -> None:
    response = await api.ask(
        "GET",
        "/v2/",
        user="",
        x_forwarded_proto="https",
        x_forwarded_host="evil.example",
        forwarded="host=evil.example",
    )
    assert challenge(response)["realm"] == "http://registry.test/token"


@pytest.mark.parametrize(
    "scopes", [(), ("repository:lab/app:pull",), ("registry:catalog:pull",), ("registry:other:*",)]
)
async def test_a_token_that_was_not_made_for_the_list_is_challenged_for_it(api: Api, scopes: tuple[str, ...]) -> None:
    await api.put(await api.prepare_manifest(repository="secret/app"), repository="secret/app")
    refused = await ask_with(api, await get_token(api, *scopes), "GET", "/v2/_catalog")
    assert (refused.status_code, codes(refused)) == (401, ["UNAUTHORIZED"])
    asked = challenge(refused)
    assert (asked["scope"], asked["error"]) == ("registry:catalog:*", "insufficient_scope")
    assert "secret" not in refused.text
    listed = await ask_with(api, await get_token(api, *scopes, asked["scope"]), "GET", "/v2/_catalog")
    assert listed.json() == {"repositories": ["secret/app"]}


async def test_a_token_for_the_list_names_what_its_account_may_pull(api: Api) -> None:
    for repository in ("lab/app", "secret/app"):
        await api.put(await api.prepare_manifest(repository=repository), repository=repository)
    listed = await ask_with(api, await get_token(api, "registry:catalog:*", user="reader"), "GET", "/v2/_catalog")
    assert listed.json() == {"repositories": ["lab/app"]}
