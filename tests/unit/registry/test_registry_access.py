import base64

import httpx
import pytest

from fakes.clock import VirtualClock
from fakes.registry import password, prepare_accounts
from fakes.registry_api import Api, codes
from towpath.http.credentials import SecretChecker
from towpath.oci.challenge import Scope, parse_challenges
from towpath.registry.accounts import Account, Accounts, Grant
from towpath.registry.tokens import TOKEN_SECONDS, ExpiredTokenError, TokenClaims, TokenSigner

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
        (b"grant_type=refresh_token&refresh_token=x", 400),
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
    account = Account("ci", "", (Grant("lab/*", frozenset({"pull"})), Grant("lab/app", frozenset({"push"}))))
    assert account.allowed("lab/app") == {"pull", "push"}
    assert account.allowed("lab/deep/app") == {"pull"}
    assert account.allowed("laboratory") == frozenset()
    assert "secret" not in repr(Account("ci", "the-secret-hash"))


async def test_accounts_know_their_secrets() -> None:
    accounts = prepare_accounts()
    found = await accounts.authenticate("reader", password("reader"))
    assert found is accounts.find("reader")
    assert await accounts.authenticate("reader", password("admin")) is None
    assert await Accounts([], checker=SecretChecker(key=b"k" * 16)).authenticate("reader", "x") is None


def test_token_and_claims_are_inverses_until_it_expires() -> None:
    clock = VirtualClock()
    signer = TokenSigner(key=b"k" * 32, clock=clock)
    scopes = (Scope.of_repository("lab/app", "pull", "push"),)
    token = signer.sign("ci", scopes)
    assert signer.read(token) == TokenClaims("ci", scopes)
    assert TokenSigner(key=b"x" * 32, clock=clock).read(token) is None
    payload, _, signature = token.partition(".")
    for position in range(0, len(payload), 7):
        changed = payload[:position] + ("A" if payload[position] != "A" else "B") + payload[position + 1 :]
        assert signer.read(f"{changed}.{signature}") is None
    clock.step(TOKEN_SECONDS)
    with pytest.raises(ExpiredTokenError):
        signer.read(token)
