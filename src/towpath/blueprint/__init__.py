"""`towpath.yaml`, its conventions, and the platform repository `towpath init` writes.

`model` has the values, `load` makes them (through `document`, `tree`, `fields`, `services`, `environments`), `scaffold`
writes a new repository from `templates/`.
"""
