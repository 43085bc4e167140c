from towpath.kube.errors import ApiError, ApiNotFoundError, ForbiddenError, InvalidError
from towpath.kube.objects import ObjectKey
from towpath.reconcile.refusals import ApplyError, Refusal, explain_refusal

KEY = ObjectKey("apps", "StatefulSet", "dev", "sensor")


def test_an_immutable_field_is_explained_with_the_way_out() -> None:
    error = InvalidError("invalid", causes=[{"field": "spec.selector", "message": "field is immutable"}])
    refusal = explain_refusal(KEY, error)
    assert str(refusal) == "StatefulSet/dev/sensor could not be applied (Immutable): spec.selector: field is immutable"
    assert "kubectl delete statefulset sensor -n dev --cascade=orphan" in refusal.hint
    assert "pods keep running" in refusal.hint


def test_an_immutable_object_without_pods_needs_no_orphans() -> None:
    error = InvalidError("ConfigMap is immutable", causes=[])
    assert "--cascade" not in explain_refusal(ObjectKey("", "ConfigMap", "dev", "c"), error).hint


def test_an_invalid_object_names_each_cause() -> None:
    causes = [{"field": "spec.a", "message": "required"}, {"field": "spec.b", "message": "too long"}]
    refusal = explain_refusal(KEY, InvalidError("invalid", causes=causes))
    assert refusal.message == "spec.a: required; spec.b: too long"


def test_a_missing_right_and_a_missing_kind_have_their_own_next_steps() -> None:
    assert "grant" in explain_refusal(KEY, ForbiddenError("no")).hint
    assert "does not serve StatefulSet" in explain_refusal(KEY, ApiNotFoundError("?")).hint


def test_other_errors_keep_their_reason_and_may_pass() -> None:
    refusal = explain_refusal(KEY, ApiError("on fire"))
    assert refusal.reason == "InternalError"


def test_all_refusals_are_told_and_the_rest_is_counted() -> None:
    refusals = [
        Refusal(ObjectKey("", "ConfigMap", "dev", f"{number}"), "Invalid", "bad", "mend") for number in range(8)
    ]
    error = ApplyError(refusals)
    assert error.message.count("\n") == 6
    assert error.message.endswith("and 2 more")
    assert error.hint == "mend"


def test_an_unknown_field_is_the_manifests_fault_though_the_server_blames_itself() -> None:
    said = "failed to create typed patch object (dev/sensor; apps/v1, Kind=StatefulSet): .spec.x: field not declared"
    refusal = explain_refusal(KEY, ApiError(said))
    assert (refusal.reason, refusal.hint) == ("Invalid", "correct the manifest in Git")
