"""What every command shares: opening the store it was given, times it was asked for, and JSON for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TypeAlias, cast

import msgspec

import iotstore
from iotstore import Store
from iotstore.cli._terminal import Terminal

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Moment:
    """A clock whose wall time stands at one moment; durations still pass."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self._real = iotstore.SystemClock()

    def now(self) -> datetime:
        """The moment that was asked for."""
        return self._moment

    def monotonic(self) -> float:
        """Seconds that really pass."""
        return self._real.monotonic()


def opened(args: argparse.Namespace, *, migrate: bool = False) -> Store:
    """The store that the command line, the environment or the configuration file names. It must exist.

    A command that only wants to look never migrates a store by the way: that is for ``iotstore migrate``.
    """
    moment: datetime | None = getattr(args, "at", None)
    clock = Moment(moment) if moment else None
    relationships: str | None = getattr(args, "relationships", None)
    return iotstore.open(
        args.url,
        config=args.config,
        create=False,
        migrate=migrate,
        clock=clock,
        relationships=relationships,
        projector=False,  # a command ends soon; who feeds a projection is the application, or `iotstore graph sync`
    )


def since(args: argparse.Namespace, now: datetime) -> datetime | None:
    """Where the time that was asked for begins."""
    asked: timedelta | datetime | None = args.since
    try:
        return now - asked if isinstance(asked, timedelta) else asked
    except OverflowError:
        return None  # longer ago than time goes back: everything


def emit(terminal: Terminal, data: object) -> None:
    """Print *data* as JSON, readable and with stable keys."""
    text = json.dumps(plain(data), ensure_ascii=not terminal.unicode, indent=2)
    terminal.line(text)


def plain(value: object) -> Json:
    """The value in the types of JSON: times as ISO text in UTC, durations in seconds, records as objects."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case Mapping():
            pairs = cast("Mapping[object, object]", value)
            return {str(name): plain(item) for name, item in pairs.items()}
        case frozenset():
            return sorted((plain(item) for item in cast("frozenset[object]", value)), key=str)
        case _:
            names = _names(value)
            if names is not None:
                return {name: plain(getattr(value, name)) for name in names}
            if isinstance(value, list | tuple):
                return [plain(item) for item in cast("Sequence[object]", value)]
            return str(value)


def _names(value: object) -> Sequence[str] | None:
    """The field names of a record, a dataclass or a named tuple; None for everything else."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    found: object = getattr(value, "_fields", None)
    return cast("tuple[str, ...]", found) if isinstance(found, tuple) else None
