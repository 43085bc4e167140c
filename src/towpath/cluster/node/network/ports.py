"""What a pod's containers need of the network, whichever mode is in force."""

import socket
from typing import Protocol

from towpath.cluster.node.sandbox.argv import Mount
from towpath.cluster.node.sandbox.launcher import Launcher


class PodNetwork(Protocol):
    """One pod's place in the network."""

    @property
    def address(self) -> str:
        """The pod's IP."""
        ...

    @property
    def launcher(self) -> Launcher:
        """What forks its sandboxes."""
        ...

    @property
    def namespace(self) -> str:
        """The network namespace its sandboxes join; "" for the launcher's own."""
        ...

    @property
    def mounts(self) -> list[Mount]:
        """`/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`."""
        ...

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection made where the pod is. Raises OSError."""
        ...
