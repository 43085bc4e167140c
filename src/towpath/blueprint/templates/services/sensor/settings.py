"""What the environment tells the sensor."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """A variable has a value that makes no sense."""


@dataclass(frozen=True)
class Settings:
    """How this sensor is set up.

    name: who it is; a StatefulSet's pods have stable names, so each keeps its own readings.
    seed: what its readings are drawn from, together with its name.
    address: where it listens.
    version, commit: the build that runs; Towpath sets both in the image.
    """

    name: str
    seed: str
    address: tuple[str, int]
    version: str
    commit: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        port = environment.get("PORT", "8080")
        if not port.isdigit() or int(port) > 65535:
            raise SettingsError(f"PORT is {port!r}, expected a number up to 65535")
        return cls(
            name=environment.get("SENSOR_NAME") or environment.get("HOSTNAME") or socket.gethostname(),
            seed=environment.get("SENSOR_SEED", "0"),
            address=(environment.get("BIND_ADDRESS", "0.0.0.0"), int(port)),
            version=environment.get("TOWPATH_VERSION", "unknown"),
            commit=environment.get("TOWPATH_COMMIT", "unknown"),
        )
