"""Images on this node: pulled with the pod's own credentials, verified, unpacked once, pruned when unused."""
