"""The node agent: runs the pods bound to this machine as a kubelet would.

`image` pulls and unpacks, `sandbox` starts processes, `network` gives pods addresses and names, `pod` follows one pod
from its spec to its status, `agent` watches and wires. It talks to the cluster only through the resource client; no
other package of the cluster is imported except that client. Kept free of imports: the sandbox's broker process loads
this package and must stay small.
"""
