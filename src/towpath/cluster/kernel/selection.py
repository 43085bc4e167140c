"""Which objects a list or a watch asked for, and what a change means to that reader.

A watch with a selector must turn a change that crosses the selector's border into ADDED or DELETED; for that a change
carries the state before it.
"""

from dataclasses import dataclass

from towpath.cluster.kernel.changes import Change, encode
from towpath.kube.objects import Object, labels_of
from towpath.kube.requests import EventType
from towpath.kube.selectors import FieldSelector, LabelSelector


@dataclass(frozen=True, slots=True)
class Selection:
    """A label and a field selector; None selects everything."""

    labels: LabelSelector | None = None
    fields: FieldSelector | None = None

    @classmethod
    def parse(cls, *, labels: str, fields: str) -> "Selection":
        """From the query's texts. Raises BadRequestError."""
        return cls(
            labels=LabelSelector.parse(labels) if labels else None,
            fields=FieldSelector.parse(fields) if fields else None,
        )

    @property
    def everything(self) -> bool:
        """Whether nothing needs to be looked at."""
        return self.labels is None and self.fields is None

    def matches(self, obj: Object) -> bool:
        """Whether the object is selected."""
        return (self.labels is None or self.labels.matches(labels_of(obj))) and (
            self.fields is None or self.fields.matches(obj)
        )

    def event(self, change: Change) -> tuple[EventType, bytes] | None:
        """What this reader sees of a change: the event and its object's bytes, or None."""
        if self.everything:
            return change.type, change.body
        before = change.previous_object
        was = before is not None and self.matches(before)
        if change.type is EventType.DELETED:
            return (EventType.DELETED, change.body) if was else None
        if self.matches(change.object):
            return (EventType.MODIFIED if was else EventType.ADDED), change.body
        if not was or before is None:
            return None
        # The reader knows the object as it last matched; upstream sends that state with the new revision.
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(change.revision)}}
        return EventType.DELETED, encode(last)
