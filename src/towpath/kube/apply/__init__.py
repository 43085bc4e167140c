"""Server-side apply: who owns which field, and what happens when two want the same one.

The algorithm is structured-merge-diff's. A path set is a set of tuples of FieldsV1 elements (`f:name`, `k:{…}`, `v:…`);
`fieldset`, `compare`, `merge` and `remove` walk typed values; `managers` reads and writes `managedFields`; `server`
puts them together into the two operations, `apply` for configurations and `track_update` for every other write.

Left out, because every served kind has one version and a fixed schema: conversion between versions (entries of other
versions are dropped, as upstream does for versions it no longer serves) and changes from granular to atomic.
"""

from towpath.kube.apply.conflicts import FieldConflict
from towpath.kube.apply.managers import Managed, ManagerEntry, ManagerKey, decode_managed, encode_managed
from towpath.kube.apply.paths import FieldPath, decode_fields, encode_fields, format_path
from towpath.kube.apply.reset import restore_reset_fields
from towpath.kube.apply.server import apply, track_update

__all__ = [
    "FieldConflict",
    "FieldPath",
    "Managed",
    "ManagerEntry",
    "ManagerKey",
    "apply",
    "decode_fields",
    "decode_managed",
    "encode_fields",
    "encode_managed",
    "format_path",
    "restore_reset_fields",
    "track_update",
]
