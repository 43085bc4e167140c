"""Waiting longer after each failure, up to a cap."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """An exponential back-off without memory: the caller counts its failures.

    Kubernetes doubles from 10 s to 300 s for image pulls and restarts; most of Towpath's loops start below a second.
    """

    initial_seconds: float = 0.5
    factor: float = 2.0
    cap_seconds: float = 60.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after `failures` failures in a row (0 for none)."""
        if failures <= 0:
            return 0.0
        exponent = min(failures - 1, 62)  # 62: 2.0**62 still is a float; the cap rules long before
        return min(self.initial_seconds * self.factor**exponent, self.cap_seconds)
