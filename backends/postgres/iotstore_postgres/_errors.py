"""The border: every error of the driver becomes one of the core's, by SQLSTATE, chained by whoever raises it.

Texts name the state, the constraint and the columns, never a value: a value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg

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

RESTORE_HINT: Final = (
    "look at the server's log and disk, list the backups with `iotstore backup list` and restore the last good one"
    " with `iotstore backup restore`"
)

#: What the driver raises.
DRIVER_ERRORS: Final[tuple[type[Exception], ...]] = (psycopg.Error,)


def closed_error() -> NotAllowed:
    """The store was closed."""
    return NotAllowed("the store is closed", hint="open it again")


def ended_error() -> NotAllowed:
    """The session is over."""
    return NotAllowed("this session has ended", hint="begin another one")


def busy_error(what: str, seconds: float) -> Busy:
    """*what* could not be had within the declared time."""
    return Busy(
        f"{what} was not free within {seconds:g} seconds",
        hint="retry, keep transactions short, or raise the options pool_size or pool_timeout",
    )


def _told(make: Callable[..., StoreError], text: str, hint: str | None) -> Callable[[str], StoreError]:
    return lambda detail: make(f"{text} ({detail})", hint=hint)


_engine = _told(EngineError, "PostgreSQL failed", None)
_lost = _told(Unreachable, "the connection to the server was lost", "retry: the next call connects again")
_down = _told(Unreachable, "the server is shutting down or starting", "retry when it is up again")
_refused = _told(InvalidValue, "the engine refused a value", "the core should have: please report it")
_corrupt = _told(Corrupt, "the server found damaged data", RESTORE_HINT)
_login = _told(ConfigurationError, "the server refused the login", "check user and password in the URL")
_disk = _told(EngineError, "the server could not read or write its disk", "look at the server's log and disk")
_too_many = _told(
    Busy, "the server has no connection left", "retry, lower the option pool_size, or raise max_connections there"
)
_schema = _told(Busy, "another process changed the schema meanwhile", "retry")

# By SQLSTATE; what is not listed is decided by its first two characters.
_STATES: Final[Mapping[str, Callable[[str], StoreError]]] = {
    "22003": lambda _: Overflow("a sum or number does not fit its type"),
    "25006": _told(ReadOnly, "the server takes no writes", "connect to the primary, or open with read_only to read"),
    "25P02": _told(EngineError, "the transaction failed before", "end it and begin another one"),
    "25P03": _told(Busy, "the server ended a transaction that did nothing for too long", "keep transactions short"),
    "26000": _told(EngineError, "a prepared statement is gone", "behind a pooler set prepared_statements=0"),
    "28000": _login,
    "28P01": _login,
    "3D000": _told(Unreachable, "the database does not exist", "create it there, or check the name in the URL"),
    "3F000": _told(Unreachable, "the schema does not exist", "check the option schema"),
    "40001": _told(Busy, "another transaction changed the same rows", "retry the transaction"),
    "40003": _lost,
    "40P01": _told(Busy, "two transactions waited for each other and this one was ended", "retry the transaction"),
    "42501": _told(ReadOnly, "the user may not do this", "GRANT it the rights on the schema and its tables"),
    "53100": _told(StorageFull, "no room is left on the server's disk", "free space there, then retry"),
    "53200": _told(EngineError, "the server ran out of memory", "lower its work_mem or the load"),
    "53300": _too_many,
    "54000": _told(InvalidValue, "a value is too long for PostgreSQL", "store it in parts"),
    "55006": _told(Busy, "somebody else uses it", "retry"),
    "55P03": _told(Busy, "a lock was not free in time", "retry, or raise the option lock_timeout"),
    "57014": _told(
        Busy, "the server stopped the statement", "retry, ask for less, or raise the option statement_timeout"
    ),
    "58P01": _corrupt,
    "XX001": _corrupt,
    "XX002": _corrupt,
}
_CLASSES: Final[Mapping[str, Callable[[str], StoreError]]] = {
    "08": _lost,
    "22": _refused,
    "23": _refused,
    "28": _login,
    "40": _told(Busy, "the server rolled the transaction back", "retry the transaction"),
    "53": _told(Busy, "the server lacks resources", "retry later"),
    "54": _refused,
    "57": _down,
    "58": _disk,
}
#: What tells that the transaction was ended so that others can go on.
_VICTIMS: Final = frozenset({"40001", "40P01"})
# A server that refuses a connection says so in words only: the driver has no SQLSTATE then.
_WORDS: Final[tuple[tuple[str, Callable[[str], StoreError]], ...]] = (
    (r"password authentication failed|no password supplied|authentication failed|role \S+ does not exist", _login),
    (r"no pg_hba\.conf entry|permission denied for database|is not permitted to log in", _login),
    (r"database \S+ does not exist", _STATES["3D000"]),
    (r"too many (clients|connections)|remaining connection slots", _too_many),
    (r"database system is|terminating connection due to administrator", _down),
    (
        r"session is (not )?read-only|server is (not )?in hot standby",
        _told(Unreachable, "no host of the URL has the wanted role", "retry after the failover, or check the hosts"),
    ),
    (
        r"unsupported startup parameter",
        _told(
            ConfigurationError,
            "a pooler before the server refuses the settings of a session",
            "connect to PostgreSQL itself: a store has a pool of its own",
        ),
    ),
    (
        r"certificate|\bSSL\b|sslmode|\bTLS\b",
        _told(ConfigurationError, "no TLS connection could be made", "check sslmode, sslrootcert, sslcert and sslkey"),
    ),
)
_CANT_CONNECT: Final = _told(
    Unreachable, "the server can't be reached", "check that it runs, and host and port in the URL"
)
_COLUMNS: Final = re.compile(r"\(([^()]*)\)=\(")


def translated(error: Exception, name: str | None = None) -> StoreError:
    """The core's error for one of the driver's. Raise it ``from`` the driver's. *name* is the layout concerned."""
    state = getattr(error, "sqlstate", None)
    if not isinstance(error, psycopg.Error) or state is None:
        return _without_state(error)
    if state.startswith("23"):
        return _constraint(error, state, name)
    if state == "0A000" and error.diag.source_function == "RevalidateCachedQuery":
        return _schema(type(error).__name__)
    make = _STATES.get(state) or _CLASSES.get(state[:2], _engine)
    # Messages about values (class 22) quote them.
    text = f"{type(error).__name__}, {state}" if state[:2] in {"22", "54"} else f"{error.diag.message_primary}, {state}"
    found = make(text)
    if isinstance(found, Busy):
        found.victim = state in _VICTIMS
    return found


def unconnected(error: Exception) -> StoreError:
    """The core's error for a connection that could not be made."""
    if getattr(error, "sqlstate", None) is not None:
        return translated(error)
    text = _first_line(error)
    return next((make(text) for words, make in _WORDS if re.search(words, str(error))), _CANT_CONNECT(text))


def _without_state(error: Exception) -> StoreError:
    """An error that the driver made itself: it lost the server, or was asked for something impossible."""
    if isinstance(error, psycopg.OperationalError):
        return _lost(_first_line(error))
    if isinstance(error, psycopg.DataError):
        return _refused(type(error).__name__)
    if isinstance(error, psycopg.InterfaceError) and "closed" in str(error):
        return ended_error()
    return _engine(_first_line(error))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _constraint(error: psycopg.Error, state: str, name: str | None) -> StoreError:
    diag = error.diag
    table = name or diag.table_name or "the layout"
    # The detail says (in the server's language) that "(mac)=(...)" is there already: the columns are data, the values
    # are not repeated.
    found = _COLUMNS.search(diag.message_detail or "")
    columns = diag.column_name or (found[1].replace('"', "") if found else None)
    match state:
        case "23505" if _is_primary(diag.constraint_name or ""):
            return Conflict(f"a record of {table} with this key exists already")
        case "23505":
            return InvalidValue(
                f"another record of {table} has this value already", field=columns, hint="it must be unique"
            )
        case "23502":
            return InvalidValue("may not be None", field=columns)
        case "23503":
            return UnknownReference(
                f"a record points to one that does not exist ({diag.constraint_name})", field=columns or "reference"
            )
        case _:
            return _refused(f"{diag.constraint_name}, {state}")


def _is_primary(constraint: str) -> bool:
    # PostgreSQL names primary keys so; our unique indexes begin with ux_, whatever their columns are called.
    return constraint.endswith("_pkey") and not constraint.startswith("ux_")


@contextmanager
def translating() -> Iterator[None]:
    """Translate the driver's errors of a block: for paths that are not hot."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error) from error
