"""Who asks? The platform's administrator by the admin token, or a pod by its service account token."""

from dataclasses import dataclass

from towpath.cluster.client import EmbeddedClient
from towpath.cluster.tokens import ServiceAccountTokens
from towpath.http.credentials import equals_secret, parse_bearer
from towpath.kube.errors import ApiNotFoundError, UnauthorizedError
from towpath.kube.objects import GVK, uid_of

SERVICE_ACCOUNT = GVK("", "v1", "ServiceAccount")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `is_admin` may do everything; others what the Roles of each namespace allow them."""

    name: str
    groups: tuple[str, ...]
    is_admin: bool = False


class Authenticator:
    """Knows the admin token and the cluster's own tokens."""

    def __init__(self, *, admin_token: str, tokens: ServiceAccountTokens, client: EmbeddedClient) -> None:
        self._admin_token = admin_token
        self._tokens = tokens
        self._client = client

    async def authenticate(self, authorization: str) -> User:
        """The user behind an `Authorization` header. Raises UnauthorizedError; there is no anonymous user."""
        token = parse_bearer(authorization)
        if token is None:
            raise UnauthorizedError("Unauthorized")
        if equals_secret(token, self._admin_token):
            return User("towpath:admin", ("system:masters", "system:authenticated"), is_admin=True)
        bearer = self._tokens.find_bearer(token)
        if bearer is None:
            raise UnauthorizedError("Unauthorized")
        try:
            account = await self._client.get(SERVICE_ACCOUNT, bearer.service_account, bearer.namespace)
        except ApiNotFoundError as error:
            raise UnauthorizedError("Unauthorized") from error
        if uid_of(account) != bearer.service_account_uid:  # deleted and made again: another account
            raise UnauthorizedError("Unauthorized")
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{bearer.namespace}",
            "system:authenticated",
        )
        return User(bearer.user, groups)
