"""The three patches of the Kubernetes API: JSON patch, merge patch, strategic merge patch.

`apply_patch` never changes its argument. Errors are the API's: BadRequestError for a patch that is malformed,
InvalidError for one that cannot be applied to this object, UnsupportedMediaTypeError for a strategic merge on a kind
without a schema.
"""

from collections.abc import Mapping

from towpath.kube.errors import BadRequestError, UnsupportedMediaTypeError
from towpath.kube.objects import Object, clone, gvk_of
from towpath.kube.patches.json_patch import json_patch
from towpath.kube.patches.merge_patch import merge_patch
from towpath.kube.patches.strategic import strategic_merge_patch
from towpath.kube.requests import Patch, PatchType
from towpath.kube.schema import Schema

__all__ = ["apply_patch", "json_patch", "merge_patch", "strategic_merge_patch"]


def apply_patch(schema: Schema, obj: Object, patch: Patch) -> Object:
    """The patched object, as a copy."""
    if patch.type is PatchType.JSON:
        if not isinstance(patch.body, list):
            raise BadRequestError("error decoding patch: a JSON patch must be a list of operations")
        result = json_patch(clone(obj), patch.body)
    else:
        if not isinstance(patch.body, Mapping):
            raise BadRequestError("error decoding patch: a merge patch must be an object")
        body = clone(dict(patch.body))
        if patch.type is PatchType.MERGE:
            result = merge_patch(clone(obj), body)
        else:
            root = schema.find_type(gvk_of(obj))
            if root is None or root.map is None:
                raise UnsupportedMediaTypeError(
                    "the body of the request was in an unknown format - accepted media types include: "
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                )
            result = strategic_merge_patch(clone(obj), body, root.map)
    if not isinstance(result, dict):
        raise BadRequestError("error applying patch: the result is not an object")
    return result
