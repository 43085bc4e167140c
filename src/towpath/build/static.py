"""The server of static files that a static service on the base `host` gets: one small layer, the same for all of them.

On another base the base's own server is started, or the service's `entrypoint`.
"""

from importlib.resources import files

from towpath.blueprint.model import Service
from towpath.build.entries import Entry, made_file
from towpath.build.recipes import Recipe

_SERVER = "usr/local/lib/towpath/static_server.py"


def server_entries() -> list[Entry]:
    """The server as it stands in the image."""
    program = files("towpath.build") / "programs" / "static_server.py"
    return [made_file(_SERVER, program.read_bytes())]


def server_command(service: Service, recipe: Recipe) -> tuple[str, ...]:
    """How it is started."""
    return ("python3", f"/{_SERVER}", recipe.into, str(service.port))
