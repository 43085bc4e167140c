"""What a cluster must grant and hold so that Towpath runs on it with the least rights: values, computed from manifests.

`rights` derives the rules from what the overlays render and what the reconciler does; `manifest` makes the objects that
grant them and run `towpath serve`; `text` writes them for people. All of it is pure.
"""
