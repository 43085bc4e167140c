"""What of a registry's options makes no sense, by one rule for a platform and a registry alone.

What would have no effect is refused, and so is a collection that could not know what is needed.
"""

from collections.abc import Sequence
from pathlib import Path

from towpath.config import STATE_DIRECTORY
from towpath.errors import RefusedError, UserError
from towpath.registry.globs import check_repository_glob


def check_serving(
    *,
    anonymous_pull: Sequence[str],
    upstreams: Sequence[str],
    upstream_logins: Path | None,
    notify: Sequence[str],
    notify_secret_file: Path | None,
) -> None:
    """Refuse what would have no effect though somebody meant it to. Raises UserError."""
    for glob in anonymous_pull:
        try:
            check_repository_glob(glob)
        except UserError as error:
            raise UserError(f"--anonymous-pull: {error.message}", hint=error.hint) from error
    if notify_secret_file and not notify:
        raise UserError(
            "--notify-secret-file signs what listeners are told (Usage): there is none",
            hint="say whom to tell: --notify URL",
        )
    if upstream_logins and not upstreams:
        raise UserError(
            "--upstream-logins opens other registries (Usage): there is none",
            hint="name them: --upstream PREFIX=REGISTRY, or --mend-from PREFIX=REGISTRY",
        )


def refuse_collection(root: Path) -> None:
    """Refuse to collect a platform's registry without the platform: digests that only Git names would go.

    Raises:
        RefusedError: the directory is a platform's.
    """
    if root.resolve().parent.name == STATE_DIRECTORY:
        raise RefusedError(
            f"{root} is the registry of a platform (Platform): what Git names and the cluster runs is not known here",
            hint="towpath up, then towpath registry collect without --root",
        )
