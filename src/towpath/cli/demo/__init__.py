"""`towpath demo`: the whole loop on a scaffolded platform repository, with real pushes, narrated.

`stage` runs the platform and the commands a person would type; `scenes` is the story, one function a scene. Nothing is
simulated: what is printed is what the commands print, and the times are measured.
"""

import contextlib
import tempfile
from pathlib import Path

import click

from towpath.cli.demo.outside import DemoCluster
from towpath.cli.demo.scenes import SCENES
from towpath.cli.demo.stage import Stage
from towpath.cli.platform_options import kubeconfig_option
from towpath.errors import UserError


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the platform running at the end.")
@click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Where to put it.  [default: a temporary one]"
)
@kubeconfig_option("Run the pods on this cluster, whose nodes must be this machine, in the namespaces dev and prod.")
@click.option("--context", default="", help="Which context of --kubeconfig.  [default: its current one]")
def command(keep: bool, directory: Path | None, kubeconfig: Path | None, context: str) -> None:
    """Run the whole loop in about half a minute: push, build, promote, drift, a bad version, rollback.

    Leaves nothing running and no files behind, unless --keep is given.
    """
    if context and kubeconfig is None:
        raise UserError("--context names a part of a kubeconfig (Usage)", hint="say which: --kubeconfig FILE")
    with contextlib.ExitStack() as stack:
        if directory is None and keep:
            directory = Path(tempfile.mkdtemp(prefix="towpath-demo-"))
        elif directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towpath-demo-")))
        root = directory.resolve()
        cluster = DemoCluster(kubeconfig.resolve(), context=context, directory=root) if kubeconfig else None
        _play(root / "my-homelab", keep=keep, cluster=cluster)


def _play(root: Path, *, keep: bool, cluster: DemoCluster | None) -> None:
    if cluster is not None:
        cluster.require_free()
    with Stage(root, keep=keep, cluster=cluster) as stage:
        for scene in SCENES:
            stage.begin(scene)
            scene(stage)
        stage.finish()
