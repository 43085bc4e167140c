"""Adopting orphans and releasing what no longer matches, as `ownership` plans it.

An orphan is adopted only after the owner has been read past the cache: an owner that is being deleted must not collect
what is meant to stay.
"""

from typing import Any

from towpath.cluster.controllers.ownership import is_terminating, plan_claims, prepare_owner_reference
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.writes import WRITE
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import Object, gvk_of, metadata_of, name_of, namespace_of, uid_of


async def claim(client: ObjectClient, owner: Object, candidates: list[Object]) -> list[Object]:
    """Adopt and release among the objects of the owner's namespace; those that belong to it afterwards.

    Raises:
        ApiConflictError: a candidate changed meanwhile; reconcile again.
    """
    claims = plan_claims(owner, candidates)
    for obj in claims.to_release:
        references = [one for one in obj["metadata"]["ownerReferences"] if one.get("uid") != uid_of(owner)]
        await _write_references(client, obj, references)
    adopted = []
    if claims.to_adopt and await _may_adopt(client, owner):
        for obj in claims.to_adopt:
            references = [*(metadata_of(obj).get("ownerReferences") or []), prepare_owner_reference(owner)]
            stored = await _write_references(client, obj, references)
            adopted += [stored] if stored is not None else []
    return [*claims.owned, *adopted]


async def _may_adopt(client: ObjectClient, owner: Object) -> bool:
    try:
        fresh = await client.get(gvk_of(owner), name_of(owner), namespace_of(owner))
    except ApiNotFoundError:
        return False
    return uid_of(fresh) == uid_of(owner) and not is_terminating(fresh)


async def _write_references(client: ObjectClient, obj: Object, references: list[dict[str, Any]]) -> Object | None:
    changed = {**obj, "metadata": {**obj["metadata"], "ownerReferences": references}}
    try:
        return await client.update(changed, WRITE)
    except ApiNotFoundError:
        return None  # deleted meanwhile: nothing to own
