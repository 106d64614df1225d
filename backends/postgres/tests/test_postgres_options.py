"""What a URL and its options mean to the driver and to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import iotstore
from iotstore.backend import BackendUnavailable, ConfigurationError, Durability, Settings, StoreError
from iotstore_postgres._connection import connector
from iotstore_postgres._options import OPTIONS, Tuning, checked_schema, connection_parameters, quoted, session_options
from iotstore_postgres.store import PostgresBackend

SettingsOf = Callable[..., Settings]
SECRET = "hush-hush/?@"
WRITTEN = "hush-hush%2F%3F%40"


@pytest.fixture
def parameters(settings_of: SettingsOf) -> Callable[..., dict[str, str | int]]:
    def make(url: str, **options: Any) -> dict[str, str | int]:
        settings = settings_of(url, **options)
        return connection_parameters(settings, Tuning.of(settings))

    return make


def test_every_option_says_what_it_does_in_a_sentence() -> None:
    for name, option in OPTIONS.items():
        assert option.help[0].isupper() or option.help.startswith("full:"), name
        assert len(option.help) > 20, name


def test_a_url_may_name_several_hosts_with_their_ports(parameters: Callable[..., dict[str, str | int]]) -> None:
    found = parameters(f"postgresql://ann:{WRITTEN}@one:5433,two,[::1]:5434/home?sslmode=verify-full")
    assert found["host"] == "one,two,::1"
    assert found["port"] == "5433,,5434"
    assert found["user"] == "ann"
    assert found["password"] == SECRET
    assert found["dbname"] == "home"
    assert found["sslmode"] == "verify-full"


def test_of_several_hosts_the_one_that_takes_writes_is_wanted(parameters: Callable[..., dict[str, str | int]]) -> None:
    assert parameters("postgresql://one,two/home")["target_session_attrs"] == "read-write"
    assert parameters("postgresql://one/home")["target_session_attrs"] == "any"
    assert parameters("postgresql://one,two/home", read_only=True)["target_session_attrs"] == "any"
    assert parameters("postgresql://one,two/home?target_session_attrs=standby")["target_session_attrs"] == "standby"


def test_a_socket_is_named_by_the_option_host_or_in_the_host_part(
    parameters: Callable[..., dict[str, str | int]],
) -> None:
    assert parameters("postgresql:///home?host=/run/postgresql")["host"] == "/run/postgresql"
    assert parameters("postgresql://%2Frun%2Fpostgresql/home")["host"] == "/run/postgresql"


def test_what_is_not_said_is_left_to_the_driver(parameters: Callable[..., dict[str, str | int]]) -> None:
    found = parameters("postgresql:///")
    assert not {"host", "port", "user", "password", "dbname", "sslmode"} & set(found)


def test_a_host_can_be_named_only_once(parameters: Callable[..., dict[str, str | int]]) -> None:
    with pytest.raises(ConfigurationError, match="names its host twice"):
        parameters("postgresql://one/home?host=two")


def test_a_path_with_folders_is_no_database(parameters: Callable[..., dict[str, str | int]]) -> None:
    with pytest.raises(ConfigurationError, match="names no database"):
        parameters("postgresql://one/var/lib/home.db")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool_size", 0),
        ("pool_timeout", -1.0),
        ("lock_timeout", -0.1),
        ("statement_timeout", 3_000_000.0),
        ("connect_timeout", 1),
        ("snapshot_seconds", -1.0),
        ("idle_check_seconds", -1.0),
        ("leak_seconds", -1.0),
        ("prepared_statements", -1),
    ],
)
def test_numbers_out_of_their_range_are_refused_by_name(settings_of: SettingsOf, option: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"option {option}: .* is not a number from"):
        Tuning.of(settings_of("postgresql://one/home", **{option: value}))


@pytest.mark.parametrize("name", ["", "pg_temp", "information_schema", "ä" * 32, "a\0b"])
def test_names_that_are_no_schema_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="option schema"):
        checked_schema(name)


@pytest.mark.parametrize("name", ["public", "Häuser", 'a"b', "with space", "x" * 63])
def test_any_other_name_is_a_schema(name: str) -> None:
    assert checked_schema(name) == name


def test_a_choice_that_is_none_is_refused_also_without_the_core() -> None:
    settings = Settings("postgresql", None, None, (), "/home", "postgresql:///home", {"durability": "some"})
    with pytest.raises(ConfigurationError, match="durability: 'some' is not known"):
        Tuning.of(settings)


def test_times_are_told_to_the_server_in_milliseconds_and_never_as_no_limit(settings_of: SettingsOf) -> None:
    tuning = Tuning.of(settings_of("postgresql:///home", statement_timeout=0.0001, lock_timeout=0.0))
    told = session_options(tuning, {})
    assert "-c statement_timeout=1 " in told
    assert "-c lock_timeout=0 " in told
    assert f"-c idle_in_transaction_session_timeout={(300 + 60) * 1000} " in told


@pytest.mark.parametrize("name", ["simple", "Mixed Case", 'quo"te', "back\\slash", "ünï", "a -c x=y"])
def test_a_session_begins_with_its_settings_and_no_round_trip(settings_of: SettingsOf, url: str, name: str) -> None:
    settings = settings_of(url, schema=name, read_only=True, statement_timeout=7.0, lock_timeout=2.5)
    with connector(settings, Tuning.of(settings), {"synchronous_commit": "off"})() as connection:
        found = connection.execute(
            "SELECT current_setting('search_path'), current_setting('timezone'), current_setting('lock_timeout'),"
            " current_setting('statement_timeout'), current_setting('synchronous_commit'),"
            " current_setting('default_transaction_read_only'), current_setting('default_transaction_isolation')"
        ).fetchone()
    assert found == (quoted(name), "UTC", "2500ms", "7s", "off", "on", "read committed")


def test_names_are_quoted_for_sql() -> None:
    assert quoted('a"b') == '"a""b"'


def test_the_password_is_shown_nowhere(settings_of: SettingsOf) -> None:
    settings = settings_of(f"postgresql://ann:{WRITTEN}@127.0.0.1:1,127.0.0.1:2/home", connect_timeout=2)
    with pytest.raises(StoreError, match="can't be reached") as raised:
        PostgresBackend.connect(settings)
    seen: BaseException | None = raised.value
    while seen is not None:
        assert "hush" not in f"{seen} {seen!r} {seen.__notes__ if hasattr(seen, '__notes__') else ''}"
        seen = seen.__cause__ or seen.__context__
    assert "hush" not in repr(settings)
    assert settings.display == "postgresql://ann:***@127.0.0.1:1,127.0.0.1:2/home"


def test_the_password_of_an_open_store_is_shown_nowhere(
    connect: Callable[..., PostgresBackend], settings: Callable[..., Settings]
) -> None:
    secret = settings().password
    backend = connect()
    shown = [*backend.describe().values(), *(f"{check}" for check in backend.health()), repr(backend)]
    assert secret
    assert not [text for text in shown if secret in text]


def test_of_several_hosts_the_first_one_that_answers_and_takes_writes_is_used(
    settings: Callable[..., Settings],
) -> None:
    chosen = settings(connect_timeout=2)
    backend = PostgresBackend.connect(chosen._replace(hosts=(("127.0.0.1", 1), *chosen.hosts)))
    with backend.write() as session:
        assert session.reserve("n", 1) == 1
        assert session._connection.info.port == chosen.hosts[0][1]
    backend.close()


def test_without_prepared_statements_everything_works_the_same(connect: Callable[..., PostgresBackend]) -> None:
    backend = connect(prepared_statements=0)
    for _ in range(10):
        with backend.write() as session:
            session.reserve("n", 1)
    with backend.read() as session:
        assert session.counters() == {"n": 11}
        assert session.rows("SELECT count(*) FROM pg_prepared_statements", ()) == [(0,)]


def test_full_durability_is_the_default_and_normal_says_what_it_gives_up(
    connect: Callable[..., PostgresBackend],
) -> None:
    full, normal = connect(), connect(durability="normal")
    assert (full.durability, normal.durability) == (Durability.FULL, Durability.NORMAL)
    for backend, expected in ((full, ("on", "remote_write", "remote_apply", "local")), (normal, ("off",))):
        with backend.read() as one, backend.read() as two:
            for session in (one, two):
                assert session.rows("SELECT current_setting('synchronous_commit')", ())[0][0] in expected


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_without_its_driver_the_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] in {"psycopg", "iotstore_postgres"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'iotstore\[postgres\]'"):
        iotstore.open(f"{scheme}://nowhere/home")
