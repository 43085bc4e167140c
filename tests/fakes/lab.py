"""A platform repository of two tiny services, for tests of the whole platform that must not wait for big ones.

`clock` is a StatefulSet (1 in dev, 2 in prod), `lamp` a Deployment; both print their version and their colour, which
comes from a generated ConfigMap, and answer every request. dev follows the channel; prod is promoted into at once.
"""

SERVICES = ("clock", "lamp")
FIRST_VERSION = "one"
BASE = "k3s/base/kustomization.yaml"

_PROGRAM = """\
import os, signal, socket, sys

VERSION = "{version}"
{first_line}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("version", VERSION, os.environ["COLOUR"], flush=True)
server = socket.create_server(("", 8080))
while True:
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n")
    peer.close()
"""

_WORKLOAD = """\
apiVersion: apps/v1
kind: {kind}
metadata:
  name: {name}
spec:
  replicas: 1
{extra}\
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      imagePullSecrets: [{{name: towpath-pull}}]
      containers:
        - name: {name}
          image: {name}
          env:
            - name: COLOUR
              valueFrom: {{configMapKeyRef: {{name: settings, key: colour}}}}
          readinessProbe:
            httpGet: {{path: /, port: 8080}}
            periodSeconds: 1
"""

_BASE = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [clock.yaml, lamp.yaml]
configMapGenerator:
  - name: settings
    literals: [colour={colour}]
"""

_OVERLAY = """\
# {environment}: this comment must survive every edit
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {environment}
resources:
  - namespace.yaml
  - ../../base
replicas:
  - name: clock
    count: {clocks}
images:
  - name: clock
    newName: {registry}/clock
    newTag: {tag}  # of the clock
  - name: lamp
    newName: {registry}/lamp
    newTag: {tag}
"""


def program(version: str, *, broken: str = "") -> str:
    """The source of a service; `broken` makes it end with that message as soon as it starts."""
    return _PROGRAM.format(version=version, first_line=f'raise SystemExit("{broken}")' if broken else "")


def source_of(service: str) -> str:
    """Where a service's program stands."""
    return f"services/{service}/main.py"


def overlay_of(environment: str) -> str:
    """Where an environment's pins stand."""
    return f"k3s/overlays/{environment}/kustomization.yaml"


def base(colour: str) -> str:
    """What the environments have in common; another colour rolls out every pod without a build."""
    return _BASE.format(colour=colour)


def lab_files(registry: str) -> dict[str, str]:
    """The whole repository; `registry` is the prefix of its images."""
    clock = _WORKLOAD.format(kind="StatefulSet", name="clock", extra="  serviceName: clock\n")
    files = {
        "towpath.yaml": f"name: lab\nregistry: {registry}\nenvironments:\n  prod:\n    soak: 0s\n",
        ".gitignore": ".towpath/\n",
        BASE: base("green"),
        "k3s/base/clock.yaml": clock,
        "k3s/base/lamp.yaml": _WORKLOAD.format(kind="Deployment", name="lamp", extra=""),
    }
    for environment, tag, clocks in (("dev", "canary", 1), ("prod", "unreleased", 2)):
        files[overlay_of(environment)] = _OVERLAY.format(
            environment=environment, registry=registry, tag=tag, clocks=clocks
        )
        namespace = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {environment}}}\n"
        files[f"k3s/overlays/{environment}/namespace.yaml"] = namespace
    for service in SERVICES:
        files[source_of(service)] = program(FIRST_VERSION)
    return files
