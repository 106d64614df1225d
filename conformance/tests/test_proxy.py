"""The proxy lets bytes through and breaks them as told, on a small server that answers each line in capitals."""

import re
import socket
import socketserver
import threading
import time
from dataclasses import replace

import pytest

from iotstore_conformance import find_harness
from iotstore_conformance.leaks import nothing_left
from iotstore_conformance.proxy import Proxy, harness_through_proxy
from iotstore_conformance.serving import settled


class Capitals(socketserver.StreamRequestHandler):
    """Answers each line in capitals, and tells whether the client's direction was ended."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ThreadingTCPServer):
    """A server whose threads end with it."""

    allow_reuse_address = True
    daemon_threads = False


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Capitals) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one.server_address[1]
        one.shutdown()
        thread.join()


@pytest.fixture
def proxy(server):
    with nothing_left(), Proxy(server) as one:
        yield one


@pytest.fixture
def client(proxy):
    with connect(proxy) as one:
        yield one


def connect(proxy, timeout=5.0):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def ask(client, text=b"hello\n"):
    client.sendall(text)
    return receive(client, len(text))


def receive(client, size):
    found = b""
    while len(found) < size and (more := client.recv(size - len(found))):
        found += more
    return found


def test_without_trouble_everything_goes_through(proxy, client):
    assert ask(client) == b"HELLO\n"
    assert ask(client, b"x" * 1_000_000 + b"\n") == b"X" * 1_000_000 + b"\n"
    with connect(proxy) as other:
        assert ask(other, b"two\n") == b"TWO\n"
    assert proxy.connections == 2


def test_a_cut_ends_the_connection_in_the_middle_of_an_answer(proxy, client):
    proxy.trouble("cut", after=3)
    assert ask(client) == b"HEL"
    proxy.heal()
    with connect(proxy) as again:
        assert ask(again) == b"HELLO\n"


def test_a_reset_is_seen_as_one(proxy, client):
    assert ask(client) == b"HELLO\n"
    proxy.trouble("reset")
    client.sendall(b"hello\n")
    with pytest.raises(ConnectionResetError, match=r"."):
        receive(client, 6)


def test_a_stall_answers_nothing_until_it_is_healed(proxy, client):
    proxy.trouble("stall", after=2)
    client.sendall(b"hello\n")
    assert receive(client, 2) == b"HE"
    client.settimeout(0.2)
    with pytest.raises(TimeoutError, match=r"."):
        client.recv(1)
    proxy.heal()
    client.settimeout(5.0)
    assert receive(client, 4) == b"LLO\n"


def test_a_delay_makes_each_piece_late_and_loses_none(proxy, client):
    proxy.trouble("delay", seconds=0.2)
    began = time.monotonic()
    assert ask(client) == b"HELLO\n"
    assert time.monotonic() - began >= 0.2


def test_a_half_close_ends_the_answers_only(proxy, client):
    proxy.trouble("half-close", after=1)
    assert ask(client) == b"H"
    client.sendall(b"still open this way\n")


def test_a_client_that_ends_its_direction_gets_its_answer(client):
    client.sendall(b"last\n")
    client.shutdown(socket.SHUT_WR)
    assert receive(client, 100) == b"LAST\n"


def test_all_connections_are_cut_at_once(proxy, client):
    assert ask(client) == b"HELLO\n"
    proxy.cut_all()
    with pytest.raises((ConnectionError, AssertionError), match=r"."):
        assert ask(client) == b"HELLO\n"


def test_where_nobody_listens_a_connection_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Proxy(port) as proxy, pytest.raises(ConnectionResetError, match=r"."), connect(proxy) as client:
        client.recv(1)


def test_it_ends_by_itself_when_its_time_is_over(server):
    with Proxy(server, lifetime=0.1) as proxy, connect(proxy) as client:
        client.settimeout(5.0)
        assert client.recv(1) == b""
    proxy.close()


def test_a_connection_that_its_client_ended_is_gone(proxy):
    with connect(proxy) as client:
        assert ask(client) == b"HELLO\n"
        assert proxy.live == 1
    assert settled(lambda: proxy.live, 0) == 0


def test_it_listens_on_loopback_only(proxy):
    assert proxy._listener.getsockname()[0] == "127.0.0.1"


def test_a_harness_opens_its_stores_through_the_proxy(server):
    def through(url, port):
        return re.sub(r":\d+/", f":{port}/", url)

    direct = replace(find_harness("sqlite"), url=lambda place: f"server://127.0.0.1:{server}/{place}")
    with harness_through_proxy(direct, server, through) as (harness, proxy):
        assert harness.url("x") == f"server://127.0.0.1:{proxy.port}/x"
        with connect(proxy) as client:
            assert ask(client) == b"HELLO\n"
