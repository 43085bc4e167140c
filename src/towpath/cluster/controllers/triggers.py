"""Which keys of a control loop a change concerns: the object itself, its controller, or whoever may adopt it.

Each function makes a listener for `Informer.on_change`; a controller's own wiring is a list of them.
"""

from collections.abc import Callable

from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import selector_of
from towpath.kube.objects import GVK, Object, controller_of, labels_of, namespace_of

Listener = Callable[[Object | None, Object | None], None]


def add_changed(loop: ControlLoop) -> Listener:
    """The object that changed."""

    def listen(before: Object | None, after: Object | None) -> None:
        changed = after or before
        if changed is not None:
            loop.add(namespaced_name(changed))

    return listen


def add_controllers(loop: ControlLoop, owner: GVK) -> Listener:
    """The owner, of a kind, that controls the object or did so before."""

    def listen(before: Object | None, after: Object | None) -> None:
        for dependent in (before, after):
            reference = controller_of(dependent) if dependent is not None else None
            if dependent is not None and reference is not None and reference.kind == owner.kind:
                loop.add(NamespacedName(namespace_of(dependent), reference.name))

    return listen


def add_adopters(
    loop: ControlLoop, owners: Informer, *, may_adopt: Callable[[Object, Object], bool] = lambda _owner, _orphan: True
) -> Listener:
    """Every owner whose selector matches an object that nobody controls."""

    def listen(_before: Object | None, after: Object | None) -> None:
        if after is None or controller_of(after) is not None:
            return
        for owner in owners.in_namespace(namespace_of(after)):
            selector = selector_of(owner)
            if selector is not None and selector.matches(labels_of(after)) and may_adopt(owner, after):
                loop.add(namespaced_name(owner))

    return listen
