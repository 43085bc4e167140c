"""The blueprint of each commit, read once: commits never change, and many parts ask for the same few."""

from collections import OrderedDict

from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import BLUEPRINT_FILE, DEFAULT_REGISTRY_HOST, Blueprint
from towpath.source.repository import GitRepository

# The head and the commits of its recent history.
REMEMBERED = 64


class Blueprints:
    """Blueprints of one repository by commit."""

    def __init__(self, repository: GitRepository, *, default_name: str, address: str = DEFAULT_REGISTRY_HOST) -> None:
        """`address` is where the embedded registry is, for blueprints that name none: `127.0.0.1:7070`."""
        self._repository = repository
        self._default_name = default_name
        self._address = address
        self._known: OrderedDict[str, Blueprint] = OrderedDict()

    async def at(self, commit: str) -> Blueprint:
        """The blueprint at a commit. Raises BlueprintError with every problem, NotFoundError for an unknown commit."""
        if commit not in self._known:
            text = await self._repository.find_file(commit, BLUEPRINT_FILE)
            paths = await self._repository.paths(commit)
            self._known[commit] = load_blueprint(
                None if text is None else text.decode(errors="replace"),
                paths,
                default_name=self._default_name,
                default_registry_host=self._address,
            )
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[commit]

    async def head(self, branch: str) -> tuple[str, Blueprint] | None:
        """The branch's newest commit and its blueprint; None while the branch is unborn. Raises BlueprintError."""
        commit = await self._repository.find_commit(f"refs/heads/{branch}")
        return None if commit is None else (commit, await self.at(commit))
