"""Options of a URL: each with a sentence, checked, and turned into what the driver and the server are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from iotstore.backend import ConfigurationError, Durability, Option, Settings

OPTIONS: Final = {
    "schema": Option(
        str, "iotstore", "Schema that holds the store; several stores share one database, each in a schema of its own.",
    ),
    "durability": Option(
        str, "full",
        "full: an acknowledged write survives a crash of the server and loss of power; normal: it survives the death of"
        " this process, and a crash of the server may undo the last ones, without damage", choices=("full", "normal"),
    ),
    "pool_size": Option(int, 8, "How many connections are open at most."),
    "pool_timeout": Option(float, 30.0, "Seconds that a call waits for a free connection before it raises Busy."),
    "lock_timeout": Option(float, 30.0, "Seconds that a statement waits for a lock before it is Busy; 0: for ever."),
    "statement_timeout": Option(
        float, 300.0, "Seconds that a statement, and with it the wait for the server's answer, may take; 0: for ever."
    ),
    "connect_timeout": Option(int, 10, "Seconds that each host of the URL has to accept a connection, 2 at least."),
    "snapshot_seconds": Option(float, 300.0, "Age at which a snapshot is ended: until then nothing can be vacuumed."),
    "idle_check_seconds": Option(
        float, 30.0, "A connection that was idle for longer is tried before it is used; others cost no round trip."
    ),
    "leak_seconds": Option(float, 60.0, "A connection in use for longer is named by health, with where it is used."),
    "prepared_statements": Option(
        int, 256, "Statements that each connection keeps prepared; 0 behind a pooler that mixes sessions."
    ),
    "application_name": Option(str, "iotstore", "What the server's views and logs call these connections."),
    "host": Option(str, None, "Folder of the server's socket, or its host; stands in for the host part of the URL."),
    "target_session_attrs": Option(
        str, None,
        "Which of several hosts is taken; when it is not given, read-write, or with read_only any",
        choices=("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
    "sslmode": Option(
        str, None, "How much TLS is asked for; verify-full proves who the server is. The driver's default is prefer.",
        choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    ),
    "sslrootcert": Option(str, None, "File with the certificates that the server's is checked against, or system."),
    "sslcert": Option(str, None, "File with the certificate that this client shows."),
    "sslkey": Option(str, None, "File with the private key of that certificate."),
    "read_only": Option(bool, False, "Refuse every write; the store must exist. Works on a standby too."),
}  # fmt: skip

#: Handed to the driver under their own names when they are given.
_DRIVERS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")
_LEAST: Final[Mapping[str, float]] = {
    "pool_size": 1,
    "pool_timeout": 0,
    "lock_timeout": 0,
    "statement_timeout": 0,
    "connect_timeout": 2,
    "snapshot_seconds": 0,
    "idle_check_seconds": 0,
    "leak_seconds": 0,
    "prepared_statements": 0,
}
_MOST_SECONDS: Final = 2_000_000  # the server counts milliseconds in 31 bits
_LONGEST_NAME: Final = 63  # bytes; PostgreSQL cuts names there
# How much longer than the oldest snapshot a transaction may do nothing before the server ends it.
_IDLE_GRACE: Final = 60.0


class Tuning(NamedTuple):
    """The options of one open store, checked."""

    schema: str
    durability: Durability
    pool_size: int
    pool_timeout: float
    lock_timeout: float
    statement_timeout: float
    connect_timeout: int
    snapshot_seconds: float
    idle_check_seconds: float
    leak_seconds: float
    prepared_statements: int
    application_name: str
    read_only: bool

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The options in *settings*, with the defaults of those that are not given."""
        given = {name: settings.options.get(name, option.default) for name, option in OPTIONS.items()}
        for name, option in OPTIONS.items():
            if option.choices and given[name] is not None and given[name] not in option.choices:
                raise ConfigurationError(
                    f"option {name}: {given[name]!r} is not known", hint=f"use one of {', '.join(option.choices)}"
                )
        numbers = {name: _number(name, given[name], lowest) for name, lowest in _LEAST.items()}
        return cls(
            checked_schema(str(given["schema"])),
            Durability(str(given["durability"])),
            int(numbers["pool_size"]),
            numbers["pool_timeout"],
            numbers["lock_timeout"],
            numbers["statement_timeout"],
            int(numbers["connect_timeout"]),
            numbers["snapshot_seconds"],
            numbers["idle_check_seconds"],
            numbers["leak_seconds"],
            int(numbers["prepared_statements"]),
            str(given["application_name"]),
            given["read_only"] is True,
        )

    @property
    def idle_seconds(self) -> float:
        """How long the server lets a transaction wait for its next statement."""
        return self.snapshot_seconds + _IDLE_GRACE


def _number(name: str, value: object, lowest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= _MOST_SECONDS:
        raise ConfigurationError(f"option {name}: {value!r} is not a number from {lowest:g} to {_MOST_SECONDS}")
    return float(value)


def checked_schema(name: str) -> str:
    """A name that PostgreSQL takes for a schema as it is; else ConfigurationError."""
    if not name or "\0" in name or len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
        raise ConfigurationError(f"option schema: {name!r} is no name of a schema", hint="use 1 to 63 bytes")
    if name.startswith("pg_") or name == "information_schema":
        raise ConfigurationError(f"option schema: {name!r} belongs to PostgreSQL", hint="use another name")
    return name


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def connection_parameters(settings: Settings, tuning: Tuning) -> dict[str, str | int]:
    """What libpq needs to reach the database, by its own names; the password too, so never for messages."""
    database = settings.path.removeprefix("/")
    if "/" in database:
        raise ConfigurationError(
            f"{settings.display} names no database", hint="write postgresql://user@host/name?schema=..."
        )
    if settings.hosts and settings.options.get("host"):
        raise ConfigurationError(f"{settings.display} names its host twice", hint="leave out the option host")
    parameters: dict[str, str | int] = {
        "dbname": database,
        "host": ",".join(host.strip("[]") for host, _ in settings.hosts) or str(settings.options.get("host") or ""),
        "port": ",".join("" if port is None else str(port) for _, port in settings.hosts),
        "user": settings.user or "",
        "password": settings.password or "",
        "connect_timeout": tuning.connect_timeout,
        "application_name": tuning.application_name,
        "client_encoding": "UTF8",
        "target_session_attrs": _target(settings, tuning),
        # A server that is gone without a word (power, cable, firewall) is noticed within a minute.
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 50_000,
        **{name: str(settings.options[name]) for name in _DRIVERS if settings.options.get(name)},
    }
    # What is empty is left to libpq: PGUSER, PGPASSWORD, the password file, ...
    return {name: value for name, value in parameters.items() if value != ""}


def _target(settings: Settings, tuning: Tuning) -> str:
    said = settings.options.get("target_session_attrs")
    if said:
        return str(said)
    # After a failover the list of hosts is tried again: only one that takes writes will do.
    return "read-write" if len(settings.hosts) > 1 and not tuning.read_only else "any"


def session_options(tuning: Tuning, found: Mapping[str, str]) -> str:
    """What each session sets while it connects, without a round trip; *found* is what only the server could tell."""
    values = {
        "search_path": quoted(tuning.schema),
        # Times are integers; this is for people who look with psql functions, and for literals of partitions.
        "timezone": "UTC",
        # A statement then sees what was committed before it began, and waits for rivals instead of failing.
        "default_transaction_isolation": "read committed",
        "statement_timeout": milliseconds(tuning.statement_timeout),
        "lock_timeout": milliseconds(tuning.lock_timeout),
        # The backstop for a process that hangs or vanishes in the midst of a transaction.
        "idle_in_transaction_session_timeout": milliseconds(tuning.idle_seconds),
        "standard_conforming_strings": "on",
        # TimescaleDB ends a transaction that unpacks more of compressed chunks. Elsewhere nobody knows the name.
        "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",
        **({"default_transaction_read_only": "on"} if tuning.read_only else {}),
        **found,
    }
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in values.items())


def milliseconds(seconds: float) -> str:
    """A time as the server takes it; 0 stays 0, which is for ever."""
    return str(max(1, round(seconds * 1000)) if seconds else 0)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
