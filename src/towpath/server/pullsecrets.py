"""The pull secret that every environment's manifests name: made by the platform, applied with everything else.

It joins the desired state of an environment, in each namespace that runs something of it, so it is there before the
first pod, healed when someone changes it, and pruned with the environment. An overlay that brings a Secret of that name
is left alone, and so is a platform whose images are on an outside registry: that password is not ours to make.
"""

import base64
from dataclasses import replace

from towpath.blueprint.model import PULL_SECRET
from towpath.kube.objects import GVK, Object, find_path, key_of, namespace_of
from towpath.reconcile.desired import Desired, DesiredSource
from towpath.server.artifacts import Artifacts

SECRET = GVK("", "v1", "Secret")
SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type, not a secret


class WithPullSecrets:
    """A `DesiredSource` that adds pull secrets to what another one says."""

    def __init__(self, source: DesiredSource, artifacts: Artifacts) -> None:
        self._source = source
        self._artifacts = artifacts

    async def resolve(self, environment: str) -> Desired:
        """What the environment is to be, pull secrets included."""
        desired = await self._source.resolve(environment)
        present = {key_of(obj) for obj in desired.objects}
        secrets = [self._secret(environment, namespace) for namespace in sorted(_pulling_namespaces(desired))]
        missing = tuple(secret for secret in secrets if key_of(secret) not in present)
        return replace(desired, objects=(*desired.objects, *missing))

    def _secret(self, environment: str, namespace: str) -> Object:
        content = base64.b64encode(self._artifacts.pull_secret(environment)).decode()
        return {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": PULL_SECRET, "namespace": namespace},
            "type": SECRET_TYPE,
            "data": {".dockerconfigjson": content},
        }


def _pulling_namespaces(desired: Desired) -> set[str]:
    """The namespaces whose workloads name the pull secret."""
    found = set()
    for obj in desired.objects:
        spec = find_path(obj, "spec", "template", "spec") or find_path(obj, "spec") or {}
        names = {entry.get("name") for entry in spec.get("imagePullSecrets") or []} if isinstance(spec, dict) else set()
        if PULL_SECRET in names:
            found.add(namespace_of(obj))
    return found
