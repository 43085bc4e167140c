"""Carries out the steps of `staging` in a forked child, between fork and exec: in a mount namespace of its own.

Mount points and sources are found by descriptors (`beneath`), so nothing that a container does meanwhile can move them.
Standard library only, see `broker`.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from towpath.cluster.node.sandbox.beneath import Kind, open_beneath
from towpath.cluster.node.sandbox.namespaces import bind_mount, remount_read_only, unshare_mounts

_LED_ASTRAY = frozenset({errno.ELOOP, errno.ENOTDIR})


def carry_out(steps: Sequence[Mapping[str, Any]]) -> None:
    """Put mounts together; they end with this process and those it executes. Raises OSError."""
    if any(step["source"] for step in steps):
        unshare_mounts()
    for step in steps:
        if step["source"]:
            try:
                _bind(step)
            except OSError as error:
                raise _refusal(step, error) from error
        else:
            with contextlib.suppress(OSError):  # then the container says that it is not there
                os.close(open_beneath(step["target"], step["below"], make="directory"))


def _bind(step: Mapping[str, Any]) -> None:
    opened = []
    try:
        source = open_beneath(step["source"], step["inner"])
        opened.append(source)
        make: Kind = ""
        if step["make"]:
            make = "directory" if stat.S_ISDIR(os.fstat(source).st_mode) else "file"
        point = open_beneath(step["target"], step["below"], make=make)
        opened.append(point)
        bind_mount(source, point)
        if step["read_only"]:
            # Found anew, because the old descriptor is of what is under the mount now. If it was moved away meanwhile,
            # this one is no mount, and the kernel refuses.
            opened.append(open_beneath(step["target"], step["below"]))
            remount_read_only(opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _refusal(step: Mapping[str, Any], error: OSError) -> OSError:
    if error.errno in _LED_ASTRAY:
        what = "a link or a file of a volume is in the way (LinkInVolume)"
        return OSError(f"mount at {step['shown']} is refused: {what}")
    return OSError(f"mount at {step['shown']} failed: {error.strerror or error}")
