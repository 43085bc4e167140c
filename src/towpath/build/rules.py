"""Versions of the rules by which layers and images are made: part of every cache key that depends on them.

Raise one whenever the same input would give another output, or a cache goes on answering by the old rules.
"""

# How a service's own files, and the server of a static site, become a layer.
LAYER_RULES = "2"
# How a lock becomes a layer of packages.
PACKAGE_RULES = "1"
# What a service is made of and how it starts.
RECIPE_RULES = "1"
