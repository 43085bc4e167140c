"""`towpath demo`: the whole loop on a scaffolded platform repository, with real pushes, narrated.

`stage` runs the platform and the commands a person would type; `scenes` is the story, one function a scene. Nothing is
simulated: what is printed is what the commands print, and the times are measured.
"""

import tempfile
from pathlib import Path

import click

from towpath.cli.demo.scenes import SCENES
from towpath.cli.demo.stage import Stage


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the platform running at the end.")
@click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Where to put it.  [default: a temporary one]"
)
def command(keep: bool, directory: Path | None) -> None:
    """Run the whole loop in about half a minute: push, build, promote, drift, a bad version, rollback.

    Leaves nothing running and no files behind, unless --keep is given.
    """
    if keep or directory is not None:
        root = directory or Path(tempfile.mkdtemp(prefix="towpath-demo-"))
        _play(root.resolve() / "my-homelab", keep=keep)
        return
    with tempfile.TemporaryDirectory(prefix="towpath-demo-") as temporary:
        _play(Path(temporary).resolve() / "my-homelab", keep=False)


def _play(root: Path, *, keep: bool) -> None:
    with Stage(root, keep=keep) as stage:
        for scene in SCENES:
            stage.begin(scene)
            scene(stage)
        stage.finish()
