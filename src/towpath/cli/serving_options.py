"""The options about how a port is served (TLS, who may pull, what is noted down), and what clients of a TLS one do."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)
TLS_FILES = (
    click.option("--tls-cert", "tls_certificate", type=_FILE, help="Serve TLS with this certificate, PEM."),
    click.option("--tls-key", type=_FILE, help="Its key. Both are taken up anew when they change."),
)
INSECURE = click.option(
    "--insecure-http", is_flag=True, help="Serve clear text beyond loopback: behind a proxy, in a network you trust."
)
ANONYMOUS = click.option(
    "--anonymous-pull", multiple=True, metavar="PREFIX/*", help="Let everybody pull from these repositories."
)
ACCESS_LOG = click.option(
    "--access-log", default="", metavar="FILE", help="Note each request of the registry there, as JSON; -: on stderr."
)
UPSTREAMS = (
    click.option(
        "--upstream",
        "upstreams",
        multiple=True,
        metavar="PREFIX=REGISTRY[/PATH]",
        help="Fill repositories below PREFIX/ from another registry, as they are pulled: hub=docker.io.",
    ),
    click.option(
        "--mend-from",
        multiple=True,
        metavar="PREFIX=REGISTRY[/PATH]",
        help="Fetch what is damaged below PREFIX/ again from there: lab=ghcr.io/me/lab.",
    ),
    click.option("--upstream-logins", type=_FILE, help="The logins for both, a file as docker writes it."),
)
NOTIFY = (
    click.option("--notify", multiple=True, metavar="URL", help="Tell this address of every tag that is pushed."),
    click.option(
        "--notify-secret-file", type=_FILE, help="What signs it.  [default: notify.secret of the registry, made]"
    ),
)
TLS = click.option("--tls", is_flag=True, help="Serve TLS, with a certificate of an authority made here.")
SERVING_OPTIONS = (TLS, *TLS_FILES, INSECURE, ANONYMOUS, *UPSTREAMS, ACCESS_LOG, *NOTIFY)


def describe_trust(registry: str, trusted: Path) -> str:
    """What clients of a registry over TLS do to trust it, ready to be pasted."""
    url = f"https://{registry}"
    return "\n".join(
        [
            f"  trust     clients need {trusted}",
            f"    podman      mkdir -p /etc/containers/certs.d/{registry} && cp {trusted} $_/ca.crt",
            f"    containerd  /etc/containerd/certs.d/{registry}/hosts.toml:",
            f'                  server = "{url}"',
            f'                  [host."{url}"]',
            f'                    ca = "{trusted}"',
        ]
    )


def describe_git(url: str, name: str, trusted: Path) -> str:
    """What a working copy that was made for clear text is told, so that it pushes over TLS; ready to be pasted."""
    program = f"{shlex.quote(str(Path(sys.executable).parent / 'towpath'))} git-credential"
    return "\n".join(
        [
            f"    git         git remote set-url towpath {url}/git/{name}.git",
            f"                git config http.{url}/.sslCAInfo {shlex.quote(str(trusted))}",
            f"                git config credential.{url}.helper '!{program}'",
        ]
    )
