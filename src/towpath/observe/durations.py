"""Durations as kubectl writes ages: `45s`, `12m`, `3h`, `2d`."""


def format_duration(seconds: float) -> str:
    """The largest unit of which there are at least two, in whole numbers."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"
