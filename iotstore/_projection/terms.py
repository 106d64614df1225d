"""Filters and changes of the projection's own kinds, in a backend's terms."""

from __future__ import annotations

from typing import Any

from iotstore._engine.engine import Engine
from iotstore._kinds.kind import Kind
from iotstore._projection.keys import Name
from iotstore._waist.filters import Compare, Filter, Op
from iotstore._waist.layout import Value
from iotstore.errors import (
    Busy,
    ConfigurationError,
    Corrupt,
    Damaged,
    EngineError,
    NotAllowed,
    ReadOnly,
    StoreError,
    Unsupported,
)


class Fenced(Busy):
    """Somebody else is the projector now, or the store is no longer what this projector has seen. The next try finds
    out where both stores are."""


class Broken(EngineError):
    """The projector met an error of the program's own. No record is to blame, so none is given up for it."""


def broken(error: Exception, name: Name | None = None) -> Broken:
    """What to raise for an error that is none of a store's, met at this record where it is known."""
    where = "" if name is None else f" at {name.kind} {name.key}"
    return Broken(
        f"the projector met an error of its own{where} ({type(error).__name__}: {error})",
        hint="this is a fault of the program: report it; nothing was given up, changes wait until it is mended",
    )


def is_trouble(error: Exception) -> bool:
    """Whether an error is about a whole store and not about the records that were written."""
    if not isinstance(error, StoreError) or isinstance(error, Corrupt):  # one record may be damaged
        return False
    whole = NotAllowed | ReadOnly | Damaged | ConfigurationError | Unsupported | Broken
    return error.retryable or isinstance(error, whole)


def value(engine: Engine, kind: Kind[Any], field: str, plain: object) -> Value:
    """A value of a field as the backend holds it."""
    return engine.codec(kind).filter_value(kind.fields[field], plain)


def compare(engine: Engine, kind: Kind[Any], field: str, op: Op, plain: object) -> Filter:
    """A comparison of a field with a value."""
    return Compare(field, op, value(engine, kind, field, plain))


def equals(engine: Engine, kind: Kind[Any], field: str, plain: object) -> Filter:
    """That a field has a value."""
    return compare(engine, kind, field, Op.EQ, plain)


def columns(engine: Engine, kind: Kind[Any], **changes: object) -> dict[str, Value]:
    """The columns that setting these fields writes."""
    found: dict[str, Value] = {}
    for name, plain in changes.items():
        found.update(engine.codec(kind).columns_of(name, plain))
    return found
