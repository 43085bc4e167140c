"""The name server on a real socket."""

import asyncio
import socket

from towpath.cluster.node.network.dns import NameServer

# One question: the A record of `sensor.`, with recursion desired.
QUERY = bytes.fromhex("002a 0100 0001 0000 0000 0000") + b"\x06sensor\x00" + bytes.fromhex("0001 0001")


async def test_a_query_is_answered() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NameServer({"sensor": ["10.42.0.7"]}.get), local_addr=("127.0.0.1", 0)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(120)
        client.connect(transport.get_extra_info("sockname"))
        client.send(QUERY)
        reply = await asyncio.to_thread(client.recv, 512)
    transport.close()
    assert reply[:2] == QUERY[:2]
    assert reply.endswith(bytes([10, 42, 0, 7]))
