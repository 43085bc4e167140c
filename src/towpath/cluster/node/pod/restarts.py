"""How long a container or an image waits before the next try: 10 s, doubled up to 300 s; forgiven after 10 minutes."""

from towpath.aio.backoff import Backoff

# The kubelet's numbers (MaxContainerBackOff, image pull back-off).
BACKOFF = Backoff(initial_seconds=10.0, factor=2.0, cap_seconds=300.0)
FORGIVEN_AFTER_SECONDS = 600.0


class RestartTimer:
    """The back-off of one container's restarts: the first restart is at once."""

    def __init__(self) -> None:
        self._restarts = 0

    def next_delay(self, *, ran_seconds: float) -> float:
        """Seconds to wait before the next start, after a run of this length."""
        if ran_seconds >= FORGIVEN_AFTER_SECONDS:
            self._restarts = 0
        delay = BACKOFF.delay(self._restarts)
        self._restarts += 1
        return delay


class PullTimer:
    """The back-off of one image's pulls for one pod."""

    def __init__(self) -> None:
        self._failures = 0

    def failed(self) -> float:
        """Note a failure; seconds to wait before the next try."""
        self._failures += 1
        return BACKOFF.delay(self._failures)

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0


def format_elapsed(seconds: float) -> str:
    """As Go prints a time cut to milliseconds: `82ms`, `2.73s`, `1m2.5s`."""
    milliseconds = int(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    whole, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{format_duration(whole).removesuffix('s')}{fraction}s"


def format_duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
