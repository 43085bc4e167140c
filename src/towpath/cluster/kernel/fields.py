"""Fields of a request that the schema does not know, or knows as another type.

A wrong type is always refused. Unknown fields are refused, warned about or passed over, as `fieldValidation` says; what
is passed over is dropped when the object takes its canonical form. Duplicate items of a keyed list are no fault of
decoding (validation finds those that matter). Server-side apply has its own check (`kube.apply`), which passes nothing
over: nobody could own it.
"""

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object, gvk_of
from towpath.kube.problems import FieldProblem, ProblemKind
from towpath.kube.requests import FieldValidation
from towpath.kube.schema import Schema

_WRONG = frozenset({ProblemKind.TYPE, ProblemKind.VALUE})


def check_fields(schema: Schema, obj: Object, mode: FieldValidation) -> list[str]:
    """The warnings for an object in a create, update or patch. Raises BadRequestError."""
    problems = schema.problems(obj)
    if not problems:
        return []
    gvk = gvk_of(obj)
    opening = f'{gvk.kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}'
    wrong = [problem for problem in problems if problem.kind in _WRONG]
    if wrong:
        raise BadRequestError(f"{opening}: {_text(wrong)}")
    unknown = [problem for problem in problems if problem.kind is ProblemKind.UNKNOWN]
    if unknown and mode is FieldValidation.STRICT:
        raise BadRequestError(f"{opening}: strict decoding error: {_text(unknown)}")
    return [problem.message for problem in unknown] if mode is FieldValidation.WARN else []


def _text(problems: list[FieldProblem]) -> str:
    return ", ".join(problem.message for problem in problems)
