"""`towpath.yaml`, the conventions that make an empty one valid, and the scaffold of a platform repository."""
