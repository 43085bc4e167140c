"""`doctor` on an outside cluster: has the platform's account the rights that the overlays need?

Asked of the API server itself, one question a namespace. A server that does not answer such questions, or not
completely, is no reason for a finding: what is refused is named when it happens.
"""

from collections.abc import Iterable

from towpath.errors import TowpathError
from towpath.install.review import find_missing
from towpath.install.rights import derive_rights
from towpath.kube.errors import ApiError
from towpath.kube.objects import Object, find_path
from towpath.kube.requests import WriteOptions
from towpath.reconcile.desired import DesiredSource
from towpath.reconcile.marks import FIELD_MANAGER
from towpath.reconcile.ports import ResourceWriter
from towpath.reconcile.refusals import RIGHTS_HINT
from towpath.server.doctor import OK, PROBLEM, Check

_SHOWN = 4


async def examine_permissions(
    writer: ResourceWriter, source: DesiredSource, environments: Iterable[str], *, own_namespace: str
) -> list[Check]:
    """One finding, or none where nothing is desired yet or the server does not say."""
    rendered: dict[str, list[Object]] = {}
    for name in environments:
        try:
            rendered[name] = list((await source.resolve(name)).objects)
        except TowpathError:
            continue  # a finding of the environment's own
    if not rendered:
        return []
    rights = derive_rights(rendered, own_namespace=own_namespace)
    granted = {}
    for namespace in rights.namespaced:
        answer = await _ask(writer, namespace)
        if answer is None or find_path(answer, "status", "incomplete"):
            return []
        granted[namespace] = find_path(answer, "status", "resourceRules") or []
    missing = find_missing(rights, granted)
    if not missing:
        return [Check("rights", OK, f"all that the overlays need, in {', '.join(rights.namespaced)}")]
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return [Check("rights", PROBLEM, f"missing: {'; '.join(missing[:_SHOWN])}{more}", RIGHTS_HINT)]


async def _ask(writer: ResourceWriter, namespace: str) -> Object | None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    try:
        return await writer.create(review, WriteOptions(field_manager=FIELD_MANAGER))
    except ApiError:
        return None
