"""Ages and sizes for people, one way in everything that Towpath prints: pure.

What has a form of its own is with its owner: durations that are read back (`blueprint.durations`), and Kubernetes' ages
and back-offs, which are those of kubectl and Go (`cluster`).
"""

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


def format_age(seconds: float) -> str:
    """The largest unit of which there are at least two, in whole numbers: `45s`, `12m`, `3h`, `2d`."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"


def format_size(count: float) -> str:
    """Bytes in powers of 1024, as quotas are set: `512 B`, `3.4 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    value, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"
