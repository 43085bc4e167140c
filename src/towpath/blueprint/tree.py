"""The files of a repository, seen as directories. Pure: made from a list of paths."""

from collections.abc import Iterable

from towpath.blueprint.model import KUSTOMIZATION_FILES


class Tree:
    """Which files and directories a repository has."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.files = frozenset(paths)
        self.directories = {"."} if self.files else set()
        for path in self.files:
            while path := path.rpartition("/")[0]:
                if path in self.directories:
                    break
                self.directories.add(path)

    def children(self, directory: str) -> list[str]:
        """The names of the directories right under one; hidden and underscored ones are nobody's."""
        prefix = f"{directory}/"
        names = {path[len(prefix) :] for path in self.directories if path.startswith(prefix)}
        return sorted(name for name in names if "/" not in name and not name.startswith((".", "_")))

    def has_kustomization(self, directory: str) -> bool:
        """Whether a directory is something kustomize can render."""
        prefix = "" if directory == "." else f"{directory}/"
        return any(f"{prefix}{name}" in self.files for name in KUSTOMIZATION_FILES)

    def why_not_directory(self, path: str) -> str:
        """Why `path` cannot be used as a directory; empty when it can."""
        parts = path.split("/")
        if path.startswith("/") or (path != "." and any(part in {"", ".", ".."} for part in parts)):
            return f"got {path}, expected a path inside the repository without . or .."
        if path in self.directories:
            return ""
        return f"{path} is a file, expected a directory" if path in self.files else f"{path} does not exist"
