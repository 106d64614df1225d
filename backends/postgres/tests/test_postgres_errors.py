"""The border: no error of the driver comes through, and each says whether retrying helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors

from iotstore.backend import (
    Busy,
    ConfigurationError,
    Conflict,
    Corrupt,
    EngineError,
    InvalidValue,
    NotAllowed,
    Overflow,
    ReadOnly,
    StorageFull,
    StoreError,
    UnknownReference,
    Unreachable,
)
from iotstore_postgres._errors import DRIVER_ERRORS, translated, translating, unconnected

EXPECTED: list[tuple[str, type[StoreError], bool]] = [
    ("08006", Unreachable, True),
    ("22003", Overflow, False),
    ("22P02", InvalidValue, False),
    ("25006", ReadOnly, False),
    ("25P02", EngineError, False),
    ("25P03", Busy, True),
    ("28P01", ConfigurationError, False),
    ("3D000", Unreachable, True),
    ("40001", Busy, True),
    ("40P01", Busy, True),
    ("42501", ReadOnly, False),
    ("42P01", EngineError, False),
    ("53100", StorageFull, True),
    ("53200", EngineError, False),
    ("53300", Busy, True),
    ("54000", InvalidValue, False),
    ("55P03", Busy, True),
    ("57014", Busy, True),
    ("57P01", Unreachable, True),
    ("57P02", Unreachable, True),
    ("57P03", Unreachable, True),
    ("58030", EngineError, False),
    ("XX000", EngineError, False),
    ("XX001", Corrupt, False),
    ("XX002", Corrupt, False),
]


@pytest.mark.parametrize(("state", "expected", "retryable"), EXPECTED)
def test_each_state_has_its_error(state: str, expected: type[StoreError], retryable: bool) -> None:
    made = translated(errors.lookup(state)("the server's words"))
    assert type(made) is expected
    assert made.retryable is retryable


def test_every_state_that_the_driver_knows_is_translated() -> None:
    known: list[type[Exception]] = [
        found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, psycopg.Error)
    ]
    assert len(known) > 200
    for error in known:
        made = translated(error("words"))
        assert isinstance(made, StoreError)
        assert not isinstance(made, psycopg.Error)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('FATAL:  password authentication failed for user "ann"', ConfigurationError),
        ('FATAL:  role "ann" does not exist', ConfigurationError),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "ann"', ConfigurationError),
        ('FATAL:  database "home" does not exist', Unreachable),
        ("FATAL:  sorry, too many clients already", Busy),
        ("FATAL:  remaining connection slots are reserved", Busy),
        ("FATAL:  the database system is starting up", Unreachable),
        ("Connection refused", Unreachable),
        ("session is read-only", Unreachable),
        ("server does not support SSL, but SSL was required", ConfigurationError),
        ("FATAL:  unsupported startup parameter in options: search_path", ConfigurationError),
    ],
)
def test_a_refused_connection_is_told_by_its_words(words: str, expected: type[StoreError]) -> None:
    made = unconnected(psycopg.OperationalError(f"connection failed: {words}"))
    assert type(made) is expected
    assert made.hint


def test_errors_of_the_driver_itself_are_translated_too() -> None:
    assert type(translated(psycopg.OperationalError("server closed the connection unexpectedly"))) is Unreachable
    assert type(translated(psycopg.InterfaceError("the cursor is closed"))) is NotAllowed
    assert type(translated(psycopg.DataError("integer too large: 99999"))) is InvalidValue
    assert type(translated(psycopg.ProgrammingError("odd"))) is EngineError


def test_a_block_is_translated_and_chained() -> None:
    with pytest.raises(Busy, match=r"deadlock|waited for each other") as raised, translating():
        raise errors.DeadlockDetected("deadlock detected")
    assert isinstance(raised.value.__cause__, DRIVER_ERRORS)


@pytest.fixture
def table(admin: psycopg.Connection[Any], schema: str) -> str:
    """A table with every rule that can be violated."""
    name = f'"{schema}"."t"'
    for text in (
        f'CREATE SCHEMA "{schema}"',
        (
            f"CREATE TABLE {name} (id int8 PRIMARY KEY, mac text CONSTRAINT ux_t_mac_pkey UNIQUE,"
            f" other int8 NOT NULL DEFAULT 1 CHECK (other > 0), parent int8 CONSTRAINT fk_t_parent REFERENCES {name})"
        ),
        f"INSERT INTO {name} VALUES (1, 'secret-mac', 1, 1)",
    ):
        admin.execute(text.encode())
    return name


@pytest.mark.parametrize(
    ("values", "expected", "told"),
    [
        ("(1, 'new', 1, 1)", Conflict, "a record of things with this key exists already"),
        ("(2, 'secret-mac', 1, 1)", InvalidValue, "mac: another record of things has this value already"),
        ("(2, 'new', NULL, 1)", InvalidValue, "other: may not be None"),
        ("(2, 'new', 1, 987654)", UnknownReference, "parent: a record points to one that does not exist"),
        ("(2, 'new', -5, 1)", InvalidValue, "the engine refused a value"),
        ("(2::float8 * 1e300, 'new', 1, 1)", Overflow, "a sum or number does not fit its type"),
        ("('secret-value'::text::int8, 'new', 1, 1)", InvalidValue, "the engine refused a value"),
    ],
)
def test_a_violated_rule_names_its_columns_and_no_value(
    admin: psycopg.Connection[Any], table: str, values: str, expected: type[StoreError], told: str
) -> None:
    with pytest.raises(psycopg.Error) as raised:
        admin.execute(f"INSERT INTO {table} VALUES {values}".encode())
    made = translated(raised.value, "things")
    assert type(made) is expected
    assert str(made).startswith(told)
    assert "secret" not in str(made)
    assert "987654" not in str(made)


def test_the_words_of_a_refused_login_lead_to_the_url(url: str, settings_of: Callable[..., Any]) -> None:
    from iotstore_postgres.store import PostgresBackend

    settings = settings_of(url)._replace(password="wrong-one")
    with pytest.raises(ConfigurationError, match="check user and password") as raised:
        PostgresBackend.connect(settings)
    assert "wrong-one" not in str(raised.value)
    missing = settings_of(url)._replace(path="/no_such_database")
    with pytest.raises(Unreachable, match="the database does not exist"):
        PostgresBackend.connect(missing)
