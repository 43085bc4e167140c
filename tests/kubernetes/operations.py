"""Random operations on a few objects, for two clusters to carry out side by side.

Everything comes from one seeded generator. Most of what is made is valid; some is not, because refusals are compared
too. Only fields are used that the embedded cluster supports: what it refuses on purpose is in docs/conformance.md.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, FieldValidation, Patch, PatchType, WriteOptions

NAMESPACE = "differential"
CONFIG_MAP = GVK("", "v1", "ConfigMap")
SECRET = GVK("", "v1", "Secret")
SERVICE = GVK("", "v1", "Service")
DEPLOYMENT = GVK("apps", "v1", "Deployment")
STATEFUL_SET = GVK("apps", "v1", "StatefulSet")
JOB = GVK("batch", "v1", "Job")
ROLE = GVK("rbac.authorization.k8s.io", "v1", "Role")
SERVICE_ACCOUNT = GVK("", "v1", "ServiceAccount")
KINDS = (CONFIG_MAP, SECRET, SERVICE, DEPLOYMENT, STATEFUL_SET, JOB, ROLE, SERVICE_ACCOUNT)
# Never set to null: what is then left is refused by both with many causes, or is a zero value (docs/conformance.md).
REQUIRED = frozenset({"spec", "rules", "template", "selector", "containers", "serviceName"})
# The length of a sequence: of operations on two clusters, of configurations beside upstream's field manager.
STEPS = 40
CONFIGURATIONS = 60
MANAGERS = ("alice", "bob", "towpath")


@dataclass(frozen=True)
class Operation:
    """One request; `body` is an object, a patch or nothing."""

    verb: str
    gvk: GVK
    name: str
    options: Any
    body: Any = None

    def __str__(self) -> str:
        return f"{self.verb} {self.gvk.kind}/{self.name} {self.options} {self.body}"


class Generator:
    """Makes operations from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a seed is to give the same again

    def operation(self) -> Operation:
        """The next operation."""
        gvk = self.pick(*KINDS)
        name = self.pick("one", "two")
        verb = self._random.choices(
            ("create", "apply", "update", "merge", "json", "strategic", "status", "delete"), (3, 8, 3, 3, 2, 3, 2, 2)
        )[0]
        if verb == "delete":
            return Operation("delete", gvk, name, DeleteOptions())
        options = WriteOptions(
            field_manager=self.pick(*MANAGERS),
            dry_run=self.chance(0.1),
            force=verb == "apply" and self.chance(0.4),
            subresource="status" if verb == "status" else "",
            field_validation=self.pick(*FieldValidation),
        )
        if verb in {"create", "apply", "update"}:
            return Operation(verb, gvk, name, options, self.object(gvk, name))
        return Operation("patch", gvk, name, options, self.patch(gvk, name, verb))

    def patch(self, gvk: GVK, name: str, verb: str) -> Patch:
        """A patch of one of the three types."""
        body = self.object(gvk, name)
        if verb == "status":
            return Patch(PatchType.MERGE, {"status": self.status(gvk), "spec": body.get("spec")})
        if verb == "json":
            return Patch(PatchType.JSON, [self.step() for _ in range(self._random.randint(1, 2))])
        kept = {key: value for key, value in body.items() if key not in {"apiVersion", "kind"}}
        kept["metadata"] = {key: value for key, value in body["metadata"].items() if key not in {"name", "namespace"}}
        if verb == "strategic":
            self.direct(kept)
        else:
            self.nullify(kept)
        return Patch(PatchType.STRATEGIC if verb == "strategic" else PatchType.MERGE, kept)

    def step(self) -> dict[str, Any]:
        """One step of a JSON patch, which may well not fit."""
        path = self.pick("/metadata/labels", "/metadata/labels/a", "/data/a", "/spec/replicas", "/metadata/annotations")
        op = self.pick("add", "replace", "remove", "test")
        value: Any = {"a": self.pick("1", "2")} if path.endswith(("labels", "annotations")) else self.pick("1", "2")
        if path == "/spec/replicas":
            value = self.pick(0, 1, 2)
        return {"op": op, "path": path, **({} if op == "remove" else {"value": value})}

    def direct(self, body: Any) -> None:
        """Put the directives of strategic merge into some lists and mappings."""
        if isinstance(body, dict):
            for value in body.values():
                self.direct(value)
            if "containers" in body and self.chance(0.3):
                body["containers"] = [{"$patch": "delete", "name": self.pick("main", "side")}]
            elif self.chance(0.05):
                body["$patch"] = "replace"

    def nullify(self, body: Any) -> None:
        """Set some fields to null, which removes them."""
        if isinstance(body, dict):
            for key, value in body.items():
                if self.chance(0.08) and key not in REQUIRED:
                    body[key] = None
                else:
                    self.nullify(value)

    def object(self, gvk: GVK, name: str) -> Object:
        """An object of a kind."""
        metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
        self.maybe(metadata, "labels", lambda: self.words("1", "2"), 0.5)
        self.maybe(metadata, "annotations", lambda: self.words("x", ""), 0.3)
        self.maybe(metadata, "finalizers", lambda: [self.pick("towpath.test/a", "towpath.test/b", "bad")], 0.08)
        obj: Object = {"apiVersion": gvk.api_version, "kind": gvk.kind, "metadata": metadata}
        obj.update(self._bodies()[gvk]())
        if self.chance(0.05):
            obj[self.pick("spec", "unknown", "status")] = self.pick({"stray": 1}, "text")
        if self.chance(0.1):
            self.nullify({key: value for key, value in obj.items() if key not in {"apiVersion", "kind", "metadata"}})
            self.nullify(metadata.get("labels", {}))
        return obj

    def status(self, gvk: GVK) -> Any:
        """A status."""
        if gvk in {DEPLOYMENT, STATEFUL_SET}:
            counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "collisionCount")
            return {"observedGeneration": self.pick(1, 2), **{name: self.pick(0, 1, 3) for name in self.some(*counts)}}
        if gvk == JOB:
            return self._job_status()
        return {"stray": 1} if self.chance(0.2) else {}

    def _job_status(self) -> dict[str, Any]:
        status: dict[str, Any] = {name: self.pick(0, 1, 2) for name in self.some("active", "ready", "failed")}
        kinds = self.some("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget", "Suspended")
        self.maybe(
            status, "conditions", lambda: [{"type": kind, "status": self.pick("True", "False")} for kind in kinds], 0.4
        )
        self.maybe(status, "startTime", lambda: self.pick("2026-01-31T09:30:00Z", "2026-01-31T09:35:00Z"), 0.4)
        self.maybe(status, "completionTime", lambda: self.pick("2026-01-31T09:31:00Z", "2026-01-31T09:36:00Z"), 0.2)
        return status

    def _bodies(self) -> dict[GVK, Callable[[], dict[str, Any]]]:
        return {
            CONFIG_MAP: self._config_map,
            SECRET: self._secret,
            SERVICE: self._service,
            DEPLOYMENT: self._deployment,
            STATEFUL_SET: self._stateful_set,
            JOB: self._job,
            ROLE: self._role,
            SERVICE_ACCOUNT: self._service_account,
        }

    def _config_map(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        self.maybe(body, "data", lambda: self.words("1", "2", 3 if self.chance(0.05) else "3"), 0.8)
        self.maybe(body, "binaryData", lambda: {self.pick("d", "a"): self.pick("YWJj", "")}, 0.1)
        self.maybe(body, "immutable", lambda: self.chance(0.5), 0.06)
        return body

    def _secret(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        self.maybe(body, "type", lambda: self.pick("Opaque", "towpath.test/own"), 0.3)
        self.maybe(body, "stringData", lambda: self.words("s", "t"), 0.3)
        self.maybe(body, "data", lambda: self.words("YWJj", "ZGVm", "no base64" if self.chance(0.05) else "YWJj"), 0.7)
        return body

    def _service(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"ports": self.several(self._service_port, 1, 3)}
        self.maybe(spec, "selector", lambda: self.words("1", "2"), 0.7)
        self.maybe(spec, "type", lambda: self.pick("ClusterIP", "Wrong"), 0.1)
        self.maybe(spec, "clusterIP", lambda: "None", 0.15)
        self.maybe(spec, "publishNotReadyAddresses", lambda: self.chance(0.5), 0.1)
        self.maybe(spec, "sessionAffinity", lambda: self.pick("None", "ClientIP"), 0.1)
        return {"spec": spec}

    def _service_port(self) -> dict[str, Any]:
        port: dict[str, Any] = {"port": self.pick(80, 81, 0 if self.chance(0.1) else 82)}
        self.maybe(port, "name", lambda: self.pick("http", "web", "Bad_Name" if self.chance(0.1) else "admin"), 0.7)
        self.maybe(port, "targetPort", lambda: self.pick(8080, "http", "80"), 0.4)
        self.maybe(port, "protocol", lambda: self.pick("TCP", "UDP"), 0.2)
        return port

    def _deployment(self) -> dict[str, Any]:
        spec = self._workload()
        self.maybe(spec, "strategy", self._strategy, 0.2)
        self.maybe(spec, "paused", lambda: self.chance(0.5), 0.1)
        self.maybe(spec, "progressDeadlineSeconds", lambda: self.pick(600, 1, 0), 0.1)
        return {"spec": spec}

    def _strategy(self) -> dict[str, Any]:
        strategy: dict[str, Any] = self.pick(
            {"type": "Recreate"},
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": self.pick(1, "30%", 0)}},
            {"rollingUpdate": {"maxUnavailable": self.pick(0, "10%", "x%")}},
            {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
        )
        return strategy

    def _stateful_set(self) -> dict[str, Any]:
        spec = self._workload()
        self.maybe(spec, "serviceName", lambda: self.pick("one", "two"), 0.8)
        self.maybe(spec, "podManagementPolicy", lambda: self.pick("OrderedReady", "Parallel"), 0.2)
        self.maybe(spec, "updateStrategy", lambda: self.pick({"type": "OnDelete"}, {"type": "RollingUpdate"}), 0.2)
        return {"spec": spec}

    def _workload(self) -> dict[str, Any]:
        labels = {"app": self.pick("x", "y" if self.chance(0.1) else "x")}
        spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "x"}}, "template": self._template(labels)}
        self.maybe(spec, "replicas", lambda: self.pick(0, 1, 2, -1 if self.chance(0.1) else 3), 0.7)
        self.maybe(spec, "revisionHistoryLimit", lambda: self.pick(0, 5), 0.1)
        self.maybe(spec, "minReadySeconds", lambda: self.pick(0, 1, 5), 0.1)
        if self.chance(0.05):
            spec["selector"] = self.pick({}, {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]})
        if self.chance(0.03):
            spec["replica"] = 1
        return spec

    def _job(self) -> dict[str, Any]:
        template = self._template({})
        template["spec"]["restartPolicy"] = self.pick("Never", "OnFailure", "Always" if self.chance(0.1) else "Never")
        spec: dict[str, Any] = {"template": template}
        self.maybe(spec, "suspend", lambda: self.chance(0.7), 0.4)
        self.maybe(spec, "completions", lambda: self.pick(1, 2), 0.2)
        self.maybe(spec, "parallelism", lambda: self.pick(1, 2), 0.2)
        self.maybe(spec, "backoffLimit", lambda: self.pick(0, 3), 0.2)
        self.maybe(spec, "ttlSecondsAfterFinished", lambda: self.pick(0, 60), 0.2)
        self.maybe(spec, "activeDeadlineSeconds", lambda: self.pick(10, 20), 0.2)
        return {"spec": spec}

    def _template(self, labels: dict[str, str]) -> dict[str, Any]:
        names = ["main", "side"] if self.chance(0.3) else ["main"]
        spec: dict[str, Any] = {"containers": [self._container(name) for name in names]}
        self.maybe(spec, "initContainers", lambda: [self._container("first")], 0.1)
        self.maybe(spec, "volumes", self._volumes, 0.2)
        self.maybe(spec, "imagePullSecrets", lambda: [{"name": self.pick("p", "q")}], 0.2)
        self.maybe(spec, "terminationGracePeriodSeconds", lambda: self.pick(0, 5), 0.1)
        self.maybe(spec, "serviceAccountName", lambda: self.pick("one", "default"), 0.1)
        self.maybe(spec, "securityContext", lambda: {"runAsUser": self.pick(0, 1000)}, 0.1)
        self.maybe(spec, "dnsPolicy", lambda: self.pick("Default", "ClusterFirst"), 0.1)
        return {"metadata": {"labels": {**labels, **(self.words("1") if self.chance(0.2) else {})}}, "spec": spec}

    def _container(self, name: str) -> dict[str, Any]:
        image = self.pick("registry.test/a:1", "registry.test/a", "registry.test/a:latest", "a@sha256:" + "0" * 64)
        container: dict[str, Any] = {"name": name, "image": image}
        self.maybe(container, "env", lambda: self.several(self._env, 0, 3), 0.4)
        self.maybe(container, "ports", lambda: self.several(self._port, 0, 2), 0.3)
        self.maybe(container, "command", lambda: ["sh", "-c", "true"], 0.2)
        self.maybe(container, "resources", self._resources, 0.4)
        self.maybe(container, "imagePullPolicy", lambda: self.pick("Always", "Never", "IfNotPresent"), 0.1)
        self.maybe(container, "readinessProbe", self._probe, 0.2)
        self.maybe(container, "livenessProbe", self._probe, 0.1)
        self.maybe(container, "volumeMounts", lambda: [{"name": "v", "mountPath": self.pick("/v", "/w")}], 0.1)
        self.maybe(container, "securityContext", lambda: {"readOnlyRootFilesystem": True}, 0.1)
        self.maybe(container, "workingDir", lambda: "/tmp", 0.1)  # noqa: S108 - inside the container
        return container

    def _env(self) -> dict[str, Any]:
        env: dict[str, Any] = {"name": self.pick("A", "B", "C")}
        if self.chance(0.2):
            reference = self.pick(
                {
                    "fieldRef": {
                        "fieldPath": self.pick(
                            "metadata.name", "status.podIP", "spec.stray" if self.chance(0.1) else "metadata.uid"
                        )
                    }
                },
                {"configMapKeyRef": {"name": "one", "key": "a"}},
                {"secretKeyRef": {"name": "one", "key": "a", "optional": True}},
                {"resourceFieldRef": {"resource": "limits.cpu"}},
            )
            return {**env, "valueFrom": reference}
        self.maybe(env, "value", lambda: self.pick("1", "x", ""), 0.9)
        return env

    def _port(self) -> dict[str, Any]:
        port: dict[str, Any] = {"containerPort": self.pick(80, 81, 70000 if self.chance(0.1) else 82)}
        self.maybe(port, "name", lambda: self.pick("http", "metrics"), 0.4)
        self.maybe(port, "protocol", lambda: self.pick("TCP", "UDP"), 0.2)
        return port

    def _resources(self) -> dict[str, Any]:
        amounts = ("0.5", "500m", "1000m", "1", "2", "1024Mi", "1Gi", "100M", "1e3", 1, 0.25)
        resources: dict[str, Any] = {}
        for kind in ("limits", "requests"):
            self.maybe(resources, kind, lambda: {name: self.pick(*amounts) for name in self.some("cpu", "memory")}, 0.6)
        return resources

    def _probe(self) -> dict[str, Any]:
        probe = self.pick(
            {"httpGet": {"path": "/healthz", "port": self.pick(80, "http")}},
            {"tcpSocket": {"port": 80}},
            {"exec": {"command": ["true"]}},
            {"httpGet": {"port": 80}},
            {},
        )
        probe = dict(probe)
        self.maybe(probe, "periodSeconds", lambda: self.pick(0, 1, 5, -1), 0.3)
        self.maybe(probe, "initialDelaySeconds", lambda: self.pick(0, 2, 3), 0.2)
        return probe

    def _volumes(self) -> list[dict[str, Any]]:
        source = self.pick(
            {"emptyDir": {}},
            {"emptyDir": {"medium": "Memory"}},
            {"configMap": {"name": "one"}},
            {"secret": {"secretName": "one", "defaultMode": 0o400}},
            {"projected": {"sources": [{"configMap": {"name": "one"}}]}},
            {},
        )
        return [{"name": "v", **source}]

    def _role(self) -> dict[str, Any]:
        rule: dict[str, Any] = {"apiGroups": [self.pick("", "apps")], "resources": ["pods"], "verbs": ["get", "list"]}
        if self.chance(0.1):
            del rule[self.pick("apiGroups", "resources", "verbs")]
        return {"rules": [rule] * self.pick(1, 1, 2)}

    def _service_account(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        self.maybe(body, "imagePullSecrets", lambda: self.several(lambda: {"name": self.pick("p", "q")}, 0, 2), 0.5)
        self.maybe(body, "automountServiceAccountToken", lambda: self.chance(0.5), 0.3)
        return body

    def chance(self, likelihood: float) -> bool:
        """Whether something happens."""
        return self._random.random() < likelihood

    def pick(self, *choices: Any) -> Any:
        """One of some."""
        return self._random.choice(choices)

    def some(self, *choices: str) -> list[str]:
        """Some of some."""
        return [choice for choice in choices if self.chance(0.6)]

    def several(self, make: Callable[[], Any], least: int, most: int) -> list[Any]:
        """A list of made things."""
        return [make() for _ in range(self._random.randint(least, most))]

    def words(self, *values: Any) -> dict[str, Any]:
        """A small mapping."""
        return {key: self.pick(*values) for key in self.some("a", "b", "c")}

    def maybe(self, fields: dict[str, Any], name: str, make: Callable[[], Any], likelihood: float) -> None:
        """Set a field, or not."""
        if self.chance(likelihood):
            fields[name] = make()
