"""TLS: the certificate proves who the server is, and a proof that fails is an error about configuration."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
import trustme

import iotstore
from iotstore import ConfigurationError, Device
from iotstore_conformance.proxy import Proxy

pytestmark = pytest.mark.neo4j


class Securing(Proxy):
    """A proxy that speaks TLS with its clients, and hands on to the server what they say."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        # Each connection shakes hands when it is read first: one that refuses the certificate ends nobody else's.
        self._listener = context.wrap_socket(self._listener, server_side=True, do_handshake_on_connect=False)


class Secured(NamedTuple):
    """A way to a store by TLS, and the files of two authorities, of which one has signed for ``localhost``."""

    url: str
    port: int
    folder: Path

    def url_of(self, scheme: str, *, host: str = "localhost", **options: str) -> str:
        """The URL of the store over TLS."""
        parts = urlsplit(self.url)
        who = parts.netloc.rpartition("@")[0]
        query = "&".join(filter(None, (parts.query, urlencode(options))))
        return parts._replace(scheme=scheme, netloc=f"{who}@{host}:{self.port}", query=query).geturl()


@pytest.fixture
def secured(url: str, tmp_path: Path) -> Iterator[Secured]:
    """The server of the tests, behind a certificate."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Securing(urlsplit(url).port or 7687, context) as proxy:
        yield Secured(url, proxy.port, tmp_path)


def test_a_server_whose_certificate_is_trusted_is_used(secured: Secured) -> None:
    trusted = secured.url_of("bolt+s", trust=str(secured.folder / "authority.pem"))
    with iotstore.open(trusted) as store:
        store.devices.put(Device(key="cam"))
        assert [device.key for device in store.devices.list()] == ["cam"]


def test_any_certificate_will_do_where_the_url_says_so(secured: Secured) -> None:
    with iotstore.open(secured.url_of("bolt+ssc")) as store:
        assert store.devices.count() == 0


@pytest.mark.parametrize(
    ("file", "host"), [("other.pem", "localhost"), ("authority.pem", "127.0.0.1"), (None, "localhost")]
)
def test_a_certificate_that_proves_nothing_is_refused_with_what_to_do(
    secured: Secured, file: str | None, host: str
) -> None:
    options = {"trust": str(secured.folder / file)} if file else {}
    with pytest.raises(ConfigurationError, match=r"certificate is not trusted .*; give the authority's file"):
        iotstore.open(secured.url_of("bolt+s", host=host, **options))
