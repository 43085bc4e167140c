"""The Kubernetes API over HTTP: the second adapter of the reconciler's port `ResourceClient`.

Pure halves (`kubeconfig`, `request`, `response`, `discovery`, `watch_lines`, `exec_credential`) decide what is sent and
what an answer means; the I/O shell (`transport`, `credentials`, `watch`, `client`) sends, waits and closes. Everything
raised is of `kube.errors`, or a `KubeconfigError` before the first request.
"""
