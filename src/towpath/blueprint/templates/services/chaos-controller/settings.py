"""What the environment and the service account tell the chaos controller."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"


class SettingsError(ValueError):
    """Something is missing, or has a value that makes no sense."""


@dataclass(frozen=True)
class Settings:
    """How the controller is set up.

    api_url: the Kubernetes API, as the cluster tells every pod.
    account: the directory of the service account's token, CA certificate and namespace.
    namespace: the controller's own.
    schedule_file: what to do, and its bounds; read again when it changes.
    sensor_port: where sensors listen.
    address: where the controller's own health and metrics are served.
    """

    api_url: str
    account: Path
    namespace: str
    schedule_file: Path
    sensor_port: int
    address: tuple[str, int]
    version: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        account = Path(environment.get("SERVICE_ACCOUNT_DIRECTORY", ACCOUNT_DIRECTORY))
        try:
            namespace = (account / "namespace").read_text().strip()
        except OSError as error:
            raise SettingsError(f"no service account in {account}: it runs in a pod only") from error
        return cls(
            api_url=_api_url(environment),
            account=account,
            namespace=namespace,
            schedule_file=Path(environment.get("SCHEDULE_FILE", "/etc/chaos/schedule.toml")),
            sensor_port=_port(environment, "SENSOR_PORT"),
            address=(environment.get("BIND_ADDRESS", "0.0.0.0"), _port(environment, "PORT")),
            version=environment.get("TOWPATH_VERSION", "unknown"),
        )


def _api_url(environment: Mapping[str, str]) -> str:
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise SettingsError("KUBERNETES_SERVICE_HOST is not set: it runs in a pod only")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _port(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "8080")
    if not text.isdigit() or int(text) > 65535:
        raise SettingsError(f"{name} is {text!r}, expected a number up to 65535")
    return int(text)
