"""What the registry refuses or fails at, each with the code and the status of the distribution specification."""

from collections.abc import Mapping
from typing import Any

from towpath.errors import IntegrityError, TowpathError, UserError
from towpath.oci.errors import STATUSES, ErrorCode


class RegistryError(TowpathError):
    """A request that is refused by the rules. `status` is the code's unless given."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        detail: Any = None,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail
        self.status = status or STATUSES[code]
        self.headers = dict(headers or {})


class StorageError(TowpathError):
    """The disk or the database failed; nothing that was acknowledged is lost."""

    status = 500


class StorageFullError(StorageError):
    """There is no space left; what was half written has been removed."""

    status = 507


class DamagedContentError(IntegrityError):
    """A stored blob or manifest is missing or is not what its digest says; it is never served as good."""

    status = 500


class DataVersionError(UserError):
    """The directory was written by another version of the registry."""
