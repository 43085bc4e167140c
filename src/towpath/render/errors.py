"""What can go wrong between an overlay and its objects: one error, which names overlay, file and reason."""

from towpath.errors import UserError


class RenderError(UserError):
    """An overlay cannot be rendered; the user mends it in the platform repository.

    Attributes:
        overlay: its path in the repository.
        file: the file to look at, relative to the repository; the overlay's folder when kustomize names none.
        reason: one line, without paths of this machine.
    """

    def __init__(self, *, overlay: str, reason: str, file: str = "", hint: str = "") -> None:
        self.overlay = overlay
        self.file = file or overlay
        self.reason = reason
        super().__init__(f"overlay {overlay} could not be rendered (RenderFailed): {self.file}: {reason}", hint=hint)
