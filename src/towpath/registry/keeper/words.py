"""Ages and sizes as the keeper says them: pure."""

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


def format_age(seconds: float) -> str:
    """One unit, rounded down: `3d`, `5h`, `12m`, `8s`."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def format_size(count: int) -> str:
    """Bytes for people: `512 B`, `3.4 MiB`."""
    if count < 1024:
        return f"{count} B"
    value, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"
