"""Which options about serving a registry make sense together, by one rule for a platform and a registry alone."""

from collections.abc import Sequence
from pathlib import Path

from towpath.errors import UserError
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
