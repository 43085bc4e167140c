from fakes.clock import VirtualClock
from towpath.cluster.node.pod.tokens import PodTokens
from towpath.cluster.tokens import ServiceAccountTokens

POD = {"metadata": {"name": "web", "namespace": "dev"}, "spec": {"serviceAccountName": "robot"}}


async def test_a_token_is_kept_until_a_fifth_of_its_life_is_left() -> None:
    clock = VirtualClock()
    issuer = ServiceAccountTokens(b"k" * 32, clock=clock)
    tokens = PodTokens(issuer, account_uid="uid-1", clock=clock)
    first = tokens.token(POD, lifetime_seconds=3600)
    clock.step(2879)
    assert tokens.token(POD, lifetime_seconds=3600) == first
    clock.step(1)
    second = tokens.token(POD, lifetime_seconds=3600)
    assert second != first
    bearer = issuer.find_bearer(second)
    assert bearer is not None
    assert (bearer.namespace, bearer.service_account, bearer.service_account_uid, bearer.pod) == (
        "dev",
        "robot",
        "uid-1",
        "web",
    )
