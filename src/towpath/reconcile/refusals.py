"""What the API server refused, in words that lead to the next step. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from towpath.errors import TowpathError
from towpath.kube.errors import ApiError, ApiNotFoundError, ForbiddenError, InvalidError
from towpath.kube.objects import ObjectKey

_WORKLOADS = frozenset({"StatefulSet", "Deployment", "ReplicaSet", "DaemonSet"})
# How upstream answers an apply with unknown or ill-typed fields: with 500, though it is Git that has to be mended.
_UNTYPED = "failed to create typed patch object"
RIGHTS_HINT = "in the platform repository `towpath manifest | kubectl apply -f -` grants what its overlays need"
# 6: a screen holds them; the rest is counted.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Refusal:
    """One object the API server did not take."""

    key: ObjectKey
    reason: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.key} could not be applied ({self.reason}): {self.message}"


class ApplyError(TowpathError):
    """Some objects could not be applied; `refusals` holds all of them."""

    exit_code = 6

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        lines = [str(refusal) for refusal in self.refusals[:_SHOWN]]
        if len(self.refusals) > _SHOWN:
            lines.append(f"and {len(self.refusals) - _SHOWN} more")
        hints = list(dict.fromkeys(refusal.hint for refusal in self.refusals if refusal.hint))
        super().__init__("\n".join(lines), hint="; ".join(hints))


def explain_refusal(key: ObjectKey, error: ApiError) -> Refusal:
    """What an error of the API means for the person who wrote the object."""
    if isinstance(error, InvalidError):
        return _explain_invalid(key, error)
    if isinstance(error, ForbiddenError):
        return Refusal(key, error.reason, error.message, RIGHTS_HINT)
    if isinstance(error, ApiNotFoundError):
        hint = f"the cluster does not serve {key.kind}, or namespace {key.namespace or '(none)'} does not exist"
        return Refusal(key, error.reason, error.message, hint)
    if error.message.startswith(_UNTYPED):
        return Refusal(key, "Invalid", error.message, "correct the manifest in Git")
    if error.code == 400:
        return Refusal(key, error.reason, error.message, error.hint or "correct the manifest in Git")
    return Refusal(key, error.reason, error.message, error.hint)


def _explain_invalid(key: ObjectKey, error: InvalidError) -> Refusal:
    causes = [f"{cause.get('field', '')}: {cause.get('message', '')}".strip(": ") for cause in error.causes]
    message = "; ".join(causes) or error.message
    if "immutable" not in message and "forbidden" not in message.lower():
        return Refusal(key, error.reason, message, "correct the manifest in Git")
    namespace = f" -n {key.namespace}" if key.namespace else ""
    orphan = " --cascade=orphan" if key.kind in _WORKLOADS else ""
    keeps = " (its pods keep running)" if orphan else ""
    hint = (
        f"undo the change in Git, or `kubectl delete {key.kind.lower()} {key.name}{namespace}{orphan}`{keeps}: "
        "it is created anew from Git"
    )
    return Refusal(key, "Immutable", message, hint)
