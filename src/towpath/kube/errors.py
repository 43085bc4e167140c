"""The Kubernetes API's own errors: one class a reason, each with its HTTP code.

Clients decide on `reason`, so the reasons are exactly upstream's (apimachinery `metav1.StatusReason`). Both adapters of
the resource client raise these, and the façade turns them into `Status` documents.
"""

from typing import Any, ClassVar

from towpath.errors import TowpathError


class ApiError(TowpathError):
    """A request the Kubernetes API refused. `causes` are `{"reason","message","field"}` as in `Status.details`."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        causes: list[dict[str, str]] | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.causes = causes or []
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """The error as a `v1 Status` document."""
        details = {**self.details, **({"causes": self.causes} if self.causes else {})}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": details} if details else {}),
            "code": self.code,
        }


class BadRequestError(ApiError):
    """The request makes no sense: strict decoding, a bad selector, a name that does not match."""

    code = 400
    reason = "BadRequest"
    exit_code = 2


class UnauthorizedError(ApiError):
    """No credentials, or wrong ones."""

    code = 401
    reason = "Unauthorized"
    exit_code = 6


class ForbiddenError(ApiError):
    """Known, but not allowed; also a create in a terminating namespace."""

    code = 403
    reason = "Forbidden"
    exit_code = 3


class ApiNotFoundError(ApiError):
    """No such object, kind or path."""

    code = 404
    reason = "NotFound"
    exit_code = 4


class MethodNotAllowedError(ApiError):
    """The resource does not support this verb."""

    code = 405
    reason = "MethodNotAllowed"
    exit_code = 2


class AlreadyExistsError(ApiError):
    """An object of that name exists."""

    code = 409
    reason = "AlreadyExists"
    exit_code = 5


class ApiConflictError(ApiError):
    """The optimistic lock failed, or (causes of reason FieldManagerConflict) other managers own the fields."""

    code = 409
    reason = "Conflict"
    exit_code = 5


class ExpiredError(ApiError):
    """The resource version is older than what the server still knows: list again."""

    code = 410
    reason = "Expired"
    exit_code = 6


class RequestEntityTooLargeError(ApiError):
    """The object is larger than the server stores."""

    code = 413
    reason = "RequestEntityTooLarge"
    exit_code = 2


class UnsupportedMediaTypeError(ApiError):
    """A body the server cannot decode."""

    code = 415
    reason = "UnsupportedMediaType"
    exit_code = 2


class InvalidError(ApiError):
    """The object breaks a rule; each breach is a cause with its field."""

    code = 422
    reason = "Invalid"
    exit_code = 2


class TooManyRequestsError(ApiError):
    """Try again later."""

    code = 429
    reason = "TooManyRequests"
    exit_code = 6


class ServerTimeoutError(ApiError):
    """The server could not finish in time; nothing says that nothing was done."""

    code = 504
    reason = "Timeout"
    exit_code = 6


class ServiceUnavailableError(ApiError):
    """The server is down, starting, not reachable, or something else answers in its place."""

    code = 503
    reason = "ServiceUnavailable"
    exit_code = 6


ERRORS_BY_REASON: dict[str, type[ApiError]] = {
    error.reason: error
    for error in (
        ApiError,
        BadRequestError,
        UnauthorizedError,
        ForbiddenError,
        ApiNotFoundError,
        MethodNotAllowedError,
        AlreadyExistsError,
        ApiConflictError,
        ExpiredError,
        RequestEntityTooLargeError,
        UnsupportedMediaTypeError,
        InvalidError,
        TooManyRequestsError,
        ServerTimeoutError,
        ServiceUnavailableError,
    )
}
