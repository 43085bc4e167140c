"""The service account token of one pod, kept until it is due to be renewed."""

from typing import Protocol

from towpath.aio.clock import Clock
from towpath.cluster.tokens import Bearer
from towpath.kube.objects import Object, find_path, name_of, namespace_of

# The kubelet's rule: renew when a fifth of the life is left.
RENEW_AT = 0.8


class TokenIssuer(Protocol):
    """Signs tokens; `cluster.tokens.ServiceAccountTokens` is one."""

    def issue(self, bearer: Bearer, *, lifetime_seconds: int = 3600) -> str:
        """A signed token."""
        ...


class PodTokens:
    """Satisfies `projection.TokenSource` for one pod."""

    def __init__(self, issuer: TokenIssuer, *, account_uid: str, clock: Clock) -> None:
        self._issuer = issuer
        self._account_uid = account_uid
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0

    def token(self, pod: Object, *, lifetime_seconds: int) -> str:
        """A token with at least a fifth of its life left."""
        now = self._clock.now()
        if not self._token or now >= self._renew_at:
            account = find_path(pod, "spec", "serviceAccountName") or "default"
            bearer = Bearer(namespace_of(pod), account, self._account_uid, name_of(pod))
            self._token = self._issuer.issue(bearer, lifetime_seconds=lifetime_seconds)
            self._renew_at = now + lifetime_seconds * RENEW_AT
        return self._token
