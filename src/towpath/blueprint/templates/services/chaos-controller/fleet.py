"""The sensors: found through the Kubernetes API, asked and troubled through their own."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

TIMEOUT_SECONDS = 5.0
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024


class FleetError(Exception):
    """The Kubernetes API or a sensor could not be asked."""


@dataclass(frozen=True)
class Target:
    """A running sensor."""

    namespace: str
    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Fleet(Protocol):
    """What the controller needs of the sensors."""

    def find(self, namespace: str, labels: Mapping[str, str]) -> list[Target]:
        """The running sensors with these labels, by name."""

    def active_faults(self, target: Target) -> int:
        """How many faults a sensor has."""

    def start_fault(self, target: Target, fault: Mapping[str, Any]) -> None:
        """Switch a fault on."""


class Kubernetes:
    """Reads from the Kubernetes API as the pod's service account."""

    def __init__(self, url: str, account: Path) -> None:
        self._url = url
        self._account = account

    def get(self, path: str, query: Mapping[str, str]) -> Any:
        """The document at a path."""
        try:
            # Both are read each time: tokens are rotated, and certificates renewed.
            token = (self._account / "token").read_text().strip()
            context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise FleetError(f"the service account is incomplete: {error}") from error
        url = f"{self._url}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(
            url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"}
        )
        return _fetch(request, context)


class KubernetesFleet:
    """Satisfies `Fleet`."""

    def __init__(self, kubernetes: Kubernetes, *, port: int) -> None:
        self._kubernetes = kubernetes
        self._port = port

    def find(self, namespace: str, labels: Mapping[str, str]) -> list[Target]:
        """The running sensors with these labels, by name."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        path = f"/api/v1/namespaces/{urllib.parse.quote(namespace)}/pods"
        pods = self._kubernetes.get(path, {"labelSelector": selector}).get("items") or []
        running = [pod for pod in pods if _is_running(pod)]
        targets = [Target(namespace, pod["metadata"]["name"], pod["status"]["podIP"]) for pod in running]
        return sorted(targets, key=lambda target: target.name)

    def active_faults(self, target: Target) -> int:
        """How many faults a sensor has."""
        return len(_fetch(urllib.request.Request(self._faults_url(target))).get("faults", []))

    def start_fault(self, target: Target, fault: Mapping[str, Any]) -> None:
        """Switch a fault on."""
        headers = {"Content-Type": "application/json"}
        body = json.dumps(fault).encode()
        _fetch(urllib.request.Request(self._faults_url(target), data=body, headers=headers, method="POST"))

    def _faults_url(self, target: Target) -> str:
        host = f"[{target.address}]" if ":" in target.address else target.address
        return f"http://{host}:{self._port}/faults"


def _is_running(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status", {})
    leaving = pod["metadata"].get("deletionTimestamp")
    return status.get("phase") == "Running" and bool(status.get("podIP")) and not leaving


def _fetch(request: urllib.request.Request, context: ssl.SSLContext | None = None) -> Any:
    """The JSON object a request answers. No proxy of the environment is used: all this stays in the cluster."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    where = f"{request.get_method()} {request.full_url}"
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS) as response:
            document = json.loads(response.read(LARGEST_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            raise FleetError(f"{where} answered {error.code}: {error.read(200).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise FleetError(f"{where} failed: {error}") from error
    if not isinstance(document, dict):
        raise FleetError(f"{where} answered {type(document).__name__}, expected an object")
    return document
