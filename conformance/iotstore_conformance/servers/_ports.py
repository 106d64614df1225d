"""Ports for servers."""

from __future__ import annotations

import random
import socket
from typing import Final

from iotstore import ConfigurationError

# Below the ports that the kernel gives to clients: nobody gets a server's while it is down for a moment.
_PORTS: Final = range(20_000, 32_000)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            # A port whose last connections are still fading away is free, for PostgreSQL too.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigurationError("no port is free for a server", hint="end what listens on 20000 to 32000")
