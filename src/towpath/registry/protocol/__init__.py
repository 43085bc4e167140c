"""The distribution specification over HTTP: paths, headers, statuses. What is right or wrong is decided in `registry`.

`exchange` is what every endpoint gets, `paths` says which endpoint a path is; one module for each kind of endpoint.
"""
