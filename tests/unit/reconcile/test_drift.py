from fakes.clock import VirtualClock
from towpath.kube.diff import FieldChange
from towpath.kube.objects import GVK, ObjectKey
from towpath.reconcile.changes import Action, Change
from towpath.reconcile.drift import KEPT_RECORDS, DriftLog, DriftState


def change(name: str = "a", *, after: object = "high", before: object = "low") -> Change:
    key, gvk = ObjectKey("", "ConfigMap", "dev", name), GVK("", "v1", "ConfigMap")
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "dev"}}
    fields = (FieldChange("data.level", before, after),)
    return Change(key, gvk, Action.CONFIGURED, fields=fields, live=live, drift=True)


def test_the_same_drift_is_found_once() -> None:
    log = DriftLog(VirtualClock())
    assert log.found(change())[1]
    assert not log.found(change())[1]
    assert len(log.records) == 1


def test_drift_that_changes_shape_is_told_again_and_keeps_its_beginning() -> None:
    clock = VirtualClock()
    log = DriftLog(clock)
    first, _ = log.found(change())
    clock.step(5)
    second, is_new = log.found(change(before="lower"))
    assert is_new
    assert second.found_at == first.found_at
    assert len(log.records) == 1


def test_the_history_is_bounded() -> None:
    log = DriftLog(VirtualClock())
    for number in range(KEPT_RECORDS + 50):
        log.found(change(f"{number}"))
    assert len(log.records) == KEPT_RECORDS
    assert log.records[-1].key.name == f"{KEPT_RECORDS + 49}"


def test_healed_drift_says_when() -> None:
    clock = VirtualClock()
    log = DriftLog(clock)
    log.found(change())
    clock.step(3)
    (record,) = log.settled([change().key], DriftState.HEALED)
    assert record.healed_at == clock.now()
    assert log.open_keys() == set()
    assert log.settled([change().key], DriftState.HEALED) == []


def test_each_heal_in_a_fight_waits_longer_and_peace_is_forgiven() -> None:
    clock = VirtualClock()
    log = DriftLog(clock)
    delays = []
    for _ in range(9):
        log.found(change())
        delays.append(log.heal_delay_seconds(change().key))
        clock.step(delays[-1])
        assert log.heal_delay_seconds(change().key) == 0
        log.settled([change().key], DriftState.HEALED)
    assert delays == [0, 2, 6, 18, 54, 162, 300, 300, 300]
    clock.step(331)
    assert log.heal_delay_seconds(change().key) == 0
    log.settled([change().key], DriftState.HEALED)


def test_long_values_are_cut_and_many_fields_counted() -> None:
    fields = tuple(FieldChange(f"data.k{number}", "x" * 100, None) for number in range(5))
    log = DriftLog(VirtualClock())
    drifted = change()
    record, _ = log.found(
        Change(drifted.key, drifted.gvk, Action.CONFIGURED, fields=fields, live=drifted.live, drift=True)
    )
    text = record.describe()
    assert text.endswith("and 2 more fields")
    assert f"data.k0 nothing -> {'x' * 40}…" in text
