"""TCP ports of this machine."""

import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    [port] = free_ports(1)
    return port


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
