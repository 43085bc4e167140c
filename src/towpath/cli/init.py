"""`towpath init`: write a platform repository."""

import shlex
import subprocess
import sys
from pathlib import Path

import click

from towpath.blueprint.model import platform_name
from towpath.blueprint.scaffold import write_scaffold
from towpath.config import DEFAULT_HOST, DEFAULT_PORT, STATE_DIRECTORY
from towpath.errors import ConflictError, UserError

REMOTE = "towpath"
BRANCH = "main"


@click.command("init")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", help="The platform's name.  [default: the directory's]")
@click.option("--registry", help="Where images go.  [default: the embedded registry]")
@click.option("--port", type=int, default=DEFAULT_PORT, help="Where `towpath up` will listen.", show_default=True)
def command(directory: Path, name: str | None, registry: str | None, port: int) -> None:
    """Write a platform repository: two services, a Kustomize base, and the environments dev and prod."""
    target = directory.resolve()
    if target.exists() and any(target.iterdir()):
        raise ConflictError(
            f"platform repository cannot be written (NotEmpty): {target} has files in it", hint="name a new directory"
        )
    chosen = platform_name(name or target.name)
    target.mkdir(parents=True, exist_ok=True)
    write_scaffold(target, name=chosen, registry=registry or f"{DEFAULT_HOST}:{port}/{chosen}")
    _begin_history(target, url=f"http://{DEFAULT_HOST}:{port}", name=chosen)
    click.echo(f"wrote the platform repository {chosen} to {directory}\n")
    click.echo(f"  cd {directory}")
    click.echo(f"  towpath up{f' --port {port}' if port != DEFAULT_PORT else ''}            # run the platform")
    click.echo(f"  git push {REMOTE} {BRANCH}    # in another terminal: build it and run it in dev")
    click.echo("  towpath status         # what runs where")


def _begin_history(target: Path, *, url: str, name: str) -> None:
    """Make it a Git repository whose remote is the platform, with credentials that never leave the state directory."""
    _git(target, "init", "--quiet", f"--initial-branch={BRANCH}")
    _git(target, "add", "--all")
    identity = [] if _has_identity(target) else ["-c", "user.name=Towpath", "-c", "user.email=towpath@localhost"]
    _git(target, *identity, "commit", "--quiet", "--message", "Start from the Towpath scaffold")
    _git(target, "remote", "add", REMOTE, f"{url}/git/{name}.git")
    program = shlex.quote(str(Path(sys.executable).parent / "towpath"))
    helper = f"!{program} git-credential -C {shlex.quote(str(target))}"
    # An empty helper first: whatever the user has for other hosts is not asked about this one.
    _git(target, "config", f"credential.{url}.helper", "")
    _git(target, "config", "--add", f"credential.{url}.helper", helper)
    (target / STATE_DIRECTORY).mkdir(mode=0o700, exist_ok=True)


def _has_identity(target: Path) -> bool:
    asked = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], cwd=target, capture_output=True, check=False)
    return asked.returncode == 0


def _git(directory: Path, *arguments: str) -> None:
    try:
        subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError("git could not be started (NotInstalled)", hint="install git") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"git {arguments[0]} failed (exit code {error.returncode}): {error.stderr.strip()}") from error
