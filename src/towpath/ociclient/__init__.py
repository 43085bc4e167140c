"""OCI distribution over HTTP, the client side: resolve, pull, push, tags, the token flow, and why a pull failed.

Used by the builder (base images, publishing), the node (as a kubelet pulls) and the promotion gate (is it pullable?).
What a reference or a manifest *is* stands in `oci`.
"""
