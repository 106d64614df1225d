"""The options of a store, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from iotstore.backend import ConfigurationError, Option, Settings

OPTIONS: Final[Mapping[str, Option]] = {
    "prefix": Option(str, "iotstore", "What the labels of this store begin with: several stores share a database."),
    "pool_size": Option(int, 20, "Connections at most; who finds none free waits."),
    "pool_timeout": Option(float, 30.0, "Seconds that a call waits for a free connection before it raises Busy."),
    "connect_timeout": Option(float, 10.0, "Seconds to connect."),
    "lock_timeout": Option(
        float, 30.0, "Seconds that a transaction waits for its turn to write before it raises Busy."
    ),
    "read_timeout": Option(
        float, 150.0, "Seconds without a word from the server after which a connection is given up; it says one a"
        " minute while it works. 0: never."
    ),
    "transaction_timeout": Option(
        float, 3600.0, "Seconds after which the server ends a transaction, whatever became of its client. 0: never."
    ),
    "idle_check_seconds": Option(float, 30.0, "A connection that rested for longer is tried before it is used."),
    "retry_seconds": Option(float, 5.0, "How long a read is asked again while the server says that it may work soon."),
    "trust": Option(str, None, "File with the certificates to trust, for neo4j+s and bolt+s; without it the system's."),
}  # fmt: skip
_LEAST: Final[Mapping[str, float]] = {
    "pool_size": 1,
    "pool_timeout": 0.001,
    "connect_timeout": 0.001,
    "lock_timeout": 0.001,
    "read_timeout": 0,
    "transaction_timeout": 0,
    "idle_check_seconds": 0,
    "retry_seconds": 0,
}
_MOST: Final = 2_000_000
#: What the server is asked for where the URL names no database: Community edition has this one.
DATABASE: Final = "neo4j"


class Tuning(NamedTuple):
    """The options of one open store, checked."""

    prefix: str
    database: str
    pool_size: int
    pool_timeout: float
    connect_timeout: float
    lock_timeout: float
    read_timeout: float | None
    transaction_timeout: float | None
    idle_check_seconds: float
    retry_seconds: float
    trust: str | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The options in *settings*, with the defaults of those that are not given."""
        given = {name: settings.options.get(name, option.default) for name, option in OPTIONS.items()}
        numbers = {name: _number(name, given[name], least) for name, least in _LEAST.items()}
        database = settings.path.strip("/")
        if "/" in database:
            raise ConfigurationError(f"{settings.display} names no database", hint="write neo4j://host/database")
        return cls(
            str(given["prefix"]),
            database or DATABASE,
            int(numbers["pool_size"]),
            numbers["pool_timeout"],
            numbers["connect_timeout"],
            numbers["lock_timeout"],
            numbers["read_timeout"] or None,
            numbers["transaction_timeout"] or None,
            numbers["idle_check_seconds"],
            numbers["retry_seconds"],
            str(given["trust"]) if given["trust"] else None,
        )


def _number(name: str, value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ConfigurationError(f"option {name}: {value!r} is not a number from {least:g} to {_MOST}")
    return float(value)
