"""TLS: who the server is gets proven by certificates, and a proof that fails is an error about configuration."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest
import trustme

import iotstore
from iotstore import ConfigurationError, Device
from iotstore_conformance.servers import server_url
from iotstore_conformance.servers._containers import ContainerPostgres, image


class Secured(NamedTuple):
    """A server with a certificate for ``localhost``, and the files that prove who is who."""

    url: str
    folder: Path

    def url_of(self, host: str, *, user: str | None = None, **options: str) -> str:
        """The URL of a store of its own, with options."""
        parts = urlsplit(self.url)
        who = parts.netloc.rpartition("@")[0] if user is None else user
        return parts._replace(netloc=f"{who}@{host}:{parts.port}", query=urlencode(options)).geturl()

    def file(self, name: str) -> str:
        """The path of a file of certificates."""
        return str(self.folder / name)


def put(connection: psycopg.Connection[Any], name: str, content: bytes, *, also: str = "") -> None:
    """Write a file of the server's, in its folder of data; *also* is a file whose content follows."""
    coded = base64.b64encode(content).decode()
    program = f"umask 077; (base64 -d{also and '; cat '}{also}) > {name}.new && mv {name}.new {name}"
    connection.execute(f"COPY (SELECT '{coded}') TO PROGRAM '{program}'".encode())


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server that shows a certificate, and lets a role in that shows one. The server of the wheel knows no TLS."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    other.cert_pem.write_to_path(str(folder / "other.pem"))
    shown, ours = authority.issue_cert("localhost"), authority.issue_cert("client.test", common_name="certified")
    ours.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    ours.private_key_pem.write_to_path(str(folder / "client.key"))
    (folder / "client.key").chmod(0o600)
    server = ContainerPostgres(image("container"))
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            put(connection, "shown.pem", shown.cert_chain_pems[0].bytes())
            put(connection, "shown.key", shown.private_key_pem.bytes())
            put(connection, "authority.pem", authority.cert_pem.bytes())
            put(connection, "pg_hba.conf", b"hostssl all certified all cert\n", also="pg_hba.conf")
            connection.execute("CREATE ROLE certified LOGIN")
            connection.execute(f"GRANT CREATE ON DATABASE {connection.info.dbname} TO certified".encode())
            for name, value in (("cert", "shown.pem"), ("key", "shown.key"), ("ca", "authority.pem")):
                connection.execute(f"ALTER SYSTEM SET ssl_{name}_file = '{value}'".encode())
            connection.execute("ALTER SYSTEM SET ssl = on")
        server.stop()
        server.start()
        yield Secured(server.url, folder)
    finally:
        server.end()


@pytest.mark.container
def test_a_server_that_proves_who_it_is_is_written_to_and_read(secured: Secured) -> None:
    url = secured.url_of("localhost", sslmode="verify-full", sslrootcert=secured.file("authority.pem"))
    with iotstore.open(url) as store:
        store.devices.put(Device(key="a"))
        assert store.devices.get("a").key == "a"
        with psycopg.connect(secured.url) as connection:
            found = connection.execute(
                "SELECT bool_and(ssl), count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                " WHERE application_name = 'iotstore'"
            ).fetchone()
        assert found == (True, True)


@pytest.mark.container
@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("localhost", {"sslmode": "verify-full", "sslrootcert": "other.pem"}),
        ("localhost", {"sslmode": "verify-ca", "sslrootcert": "other.pem"}),
        ("127.0.0.1", {"sslmode": "verify-full", "sslrootcert": "authority.pem"}),
        ("localhost", {"sslmode": "verify-full", "sslrootcert": "missing.pem"}),
    ],
    ids=["another authority", "another authority, any name", "another name", "no authority"],
)
def test_a_server_that_proves_to_be_another_one_is_refused(
    secured: Secured, host: str, options: dict[str, str]
) -> None:
    url = secured.url_of(host, sslmode=options["sslmode"], sslrootcert=secured.file(options["sslrootcert"]))
    with pytest.raises(ConfigurationError, match=r"no TLS connection could be made .*check sslmode, sslrootcert"):
        iotstore.open(url)


@pytest.mark.container
def test_a_name_that_is_not_asked_about_need_not_be_right(secured: Secured) -> None:
    url = secured.url_of("127.0.0.1", sslmode="verify-ca", sslrootcert=secured.file("authority.pem"))
    iotstore.open(url).close()


@pytest.mark.container
def test_a_client_that_shows_a_certificate_needs_no_password(secured: Secured) -> None:
    proof = {"sslmode": "verify-full", "sslrootcert": secured.file("authority.pem"), "schema": "certified"}
    shown = {"sslcert": secured.file("client.pem"), "sslkey": secured.file("client.key")}
    with iotstore.open(secured.url_of("localhost", user="certified", **proof, **shown)) as store:
        store.devices.put(Device(key="b"))
        assert store.devices.count() == 1
    with pytest.raises(ConfigurationError, match=r"no TLS connection could be made .*client certificate"):
        iotstore.open(secured.url_of("localhost", user="certified", **proof))


def test_a_server_without_tls_is_not_talked_to_where_tls_is_required() -> None:
    base = server_url("embedded")
    with pytest.raises(ConfigurationError, match="no TLS connection could be made"):
        iotstore.open(f"{base}{'&' if '?' in base else '?'}sslmode=require&schema=never_made")
