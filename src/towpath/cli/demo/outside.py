"""The demo on a cluster of the user's: nothing there is touched but three namespaces that must not exist before."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from towpath.errors import ConflictError, UserError
from towpath.render.kustomize import find_kubectl

NAMESPACES = ("dev", "prod", "towpath")
# A namespace is gone when all that was in it is: pods get 30 seconds to end.
GONE_SECONDS = 120


class DemoCluster:
    """The cluster of one context, with a kubeconfig of its own beside the demo's files."""

    def __init__(self, kubeconfig: Path, *, context: str, directory: Path) -> None:
        """Copy the context. Raises UserError when it cannot be used."""
        self.kubeconfig = directory / "kubeconfig"
        directory.mkdir(parents=True, exist_ok=True)
        chosen = [f"--context={context}"] if context else []
        view = ["config", "view", "--raw", "--minify", "--flatten", *chosen]
        # Its cache stays with the demo's files, not in the home of whoever looks at it.
        self._cache = directory / "kubectl-cache"
        text = self._kubectl(view, what="kubeconfig", kubeconfig=kubeconfig)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(text)

    def require_free(self) -> None:
        """Raises ConflictError when the demo's namespaces exist: they may be somebody's."""
        listed = json.loads(self._kubectl(["get", "namespaces", "-o", "json"], what="cluster"))
        taken = {item["metadata"]["name"] for item in listed["items"]} & set(NAMESPACES)
        if taken:
            raise ConflictError(
                f"the demo cannot run there (Exists): the cluster has {', '.join(sorted(taken))} already",
                hint="use a cluster without these namespaces, such as a fresh k3s; the demo deletes them at its end",
            )

    def clean_up(self) -> None:
        """Delete the demo's namespaces, and wait until they are gone."""
        delete = ["delete", "namespace", "--ignore-not-found", f"--timeout={GONE_SECONDS}s", *NAMESPACES]
        self._kubectl(delete, what="cluster")

    def _kubectl(self, arguments: Sequence[str], *, what: str, kubeconfig: Path | None = None) -> str:
        argv = [str(find_kubectl()), f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments]
        environment = {**os.environ, "KUBECACHEDIR": str(self._cache)}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip()
            raise UserError(f"{what} cannot be used for the demo (Kubectl): {said}", hint="try it with kubectl")
        return done.stdout
