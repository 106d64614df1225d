"""A store for the tests of applications: it does what is allowed and unexpected, and raises where no promise is."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import iotstore
from iotstore import Store
from iotstore.backend import Aggregate, And, Busy, Columns, Compare, Filter, Function, Op, Or, Partials, Select, Type
from iotstore_conformance.hostile import Shuffled, behave

_COLLECTIONS: Final = ("devices", "groups", "locations", "owners", "connections", "alerts")
_QUESTIONS: Final = ("list", "first", "count", "page", "aggregate", "update_where", "delete_where")
_BIGGEST_GAP: Final = 50
_MOST_ROWS: Final = 7


class NotPromised(AssertionError):
    """The application relied on something that no store promises. The text says on what, and what to do instead."""


def strict_store(url: str, *, seed: int = 0, snapshot_seconds: float = 1.0, **options: Any) -> Store:
    """Open the store at *url* for an application's tests; *options* are those of ``iotstore.open``.

    Everything promised holds. Ids have wide gaps, streams come in pieces of any size, changes are told in any order,
    sums of doubles are off by their last bit unless ``exact=True``, and a snapshot ends after *snapshot_seconds*.
    Taking an id for a cursor, and ordering by a sum of doubles, raise NotPromised. One *seed* gives one behaviour.
    """
    store = iotstore.open(url, **options)
    generated = {kind.name: kind.generated for kind in store.kinds.values() if kind.generated}
    manner = _Strict(seed, generated)
    behave(store.backend, manner)
    # A method of this one store is exchanged, as its sessions are.
    setattr(store.backend, "snapshot", _aged(store.backend.snapshot, manner, snapshot_seconds))  # noqa: B010
    for name in _COLLECTIONS:
        _watch(getattr(store, name), manner)
    records: Callable[[Any], Any] = store.records

    def watched(kind: Any) -> Any:
        collection = records(kind)
        _watch(collection, manner)
        return collection

    setattr(store, "records", watched)  # noqa: B010 - as above
    return store


class _Thread(threading.local):
    asked = False


class _Strict(Shuffled):
    """Shuffled, with gaps, small pieces, last bits, and a look at what is asked."""

    def __init__(self, seed: int, generated: dict[str, str]) -> None:
        super().__init__(seed)
        self._chance = random.Random(seed + 1)  # noqa: S311 - seeded on purpose
        self._generated = generated
        self._thread = _Thread()
        self.ages: dict[int, float] = {}

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Inside the block filters are the application's. Outside the store pages by ids for itself, rightly."""
        self._thread.asked = True
        try:
            yield
        finally:
            self._thread.asked = False

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Refuse what is asked of a snapshot that is too old; then do it."""
        until = self.ages.get(id(inner))
        if name == "close":
            self.ages.pop(id(inner), None)
        elif until is not None and time.monotonic() > until:
            raise Busy("the snapshot has reached its age", hint="take another one, or read less from one")
        return super().call(inner, name, args, options)

    def reserve(self, inner: Any, counter: str, count: int) -> int:
        """Numbers after a gap."""
        gap = self._chance.randint(1, _BIGGEST_GAP)
        first: int = inner.reserve(counter, count + gap)
        return first + gap

    def select(self, inner: Any, layout: Any, query: Select) -> Any:
        """Rows, unless their ids are taken for a cursor."""
        self._look(layout, query.where)
        return super().select(inner, layout, query)

    def stream(self, inner: Any, layout: Any, query: Select, rows: int) -> Iterator[Any]:
        """Rows in lists of any size, unless their ids are taken for a cursor."""
        self._look(layout, query.where)
        for chunk in super().stream(inner, layout, query, rows):
            yield from self._pieces(chunk)

    def scan(self, inner: Any, *args: Any, **options: Any) -> Iterator[Columns]:
        """Points in columns of any size."""
        for times, values in inner.scan(*args, **options):
            at = 0
            while at < len(times):
                size = self._chance.randint(1, _MOST_ROWS)
                yield Columns(times[at : at + size], values[at : at + size])
                at += size

    def aggregate(self, inner: Any, layout: Any, query: Aggregate) -> Any:
        """Groups, with sums of doubles off by their last bit."""
        self._look(layout, query.where)
        width = len(query.groups)
        sums = {
            width + at
            for at, measure in enumerate(query.measures)
            if measure.function is Function.SUM and layout.column(str(measure.column)).type is Type.REAL
        }
        if any(at in sums for at, _ in query.order):
            raise NotPromised(
                f"groups of {layout.name} are ordered by a sum of doubles, whose last bits differ between backends: "
                "order the results yourself, after rounding"
            )
        rows = super().aggregate(inner, layout, query)
        return [tuple(self._off(value) if at in sums else value for at, value in enumerate(row)) for row in rows]

    def fold(self, inner: Any, *args: Any, **options: Any) -> Any:
        """Buckets, with sums of doubles off by their last bit."""
        return self._all_off(inner.fold(*args, **options))

    def fold_materialized(self, inner: Any, *args: Any, **options: Any) -> Any:
        """The same of buckets that may be from before."""
        return self._all_off(inner.fold_materialized(*args, **options))

    def _all_off(self, found: list[Partials]) -> list[Partials]:
        return [[partial._replace(sum=self._off(partial.sum)) for partial in partials] for partials in found]

    def _off(self, value: Any) -> Any:
        # Whole numbers add up to the same double in any order: an engine that gets them wrong breaks its promise.
        if not isinstance(value, float) or not math.isfinite(value) or value.is_integer():
            return value
        other = math.nextafter(value, self._chance.choice((-math.inf, math.inf)))
        return other if math.isfinite(other) else value

    def _pieces(self, rows: list[Any]) -> Iterator[list[Any]]:
        at = 0
        while at < len(rows):
            size = self._chance.randint(1, _MOST_ROWS)
            yield rows[at : at + size]
            at += size

    def _look(self, layout: Any, where: Filter) -> None:
        column = self._generated.get(layout.name)
        if column is not None and self._thread.asked and _is_cursor(where, column):
            raise NotPromised(
                f"the ids of {layout.name} are asked for what is new, but a lower id may become visible later: "
                "keep the cursor of a page, or ask for a time"
            )


def _is_cursor(where: Filter, column: str) -> bool:
    match where:
        case And(parts) | Or(parts):
            return any(_is_cursor(part, column) for part in parts)
        case Compare(name, op, _):
            return name == column and op in (Op.GT, Op.GE)
        case _:
            return False


def _watch(collection: Any, manner: _Strict) -> None:
    """Look at the filters that the application hands to this collection; a page's cursor is what is promised."""
    for name in _QUESTIONS:
        setattr(collection, name, _watched(getattr(collection, name), manner))
    stream = collection.stream

    def watched(*args: Any, **options: Any) -> Iterator[Any]:
        found = stream(*args, **options)  # what is refused at once is refused at once
        return _streamed(found, manner)

    collection.stream = watched


def _watched(right: Callable[..., Any], manner: _Strict) -> Callable[..., Any]:
    def watched(*args: Any, **options: Any) -> Any:
        if options.get("after") is not None:
            return right(*args, **options)
        with manner.asked():
            return right(*args, **options)

    return watched


def _streamed(found: Iterator[Any], manner: _Strict) -> Iterator[Any]:
    """The records of a stream; its question is asked with the first one."""
    with manner.asked():
        first = list(islice(found, 1))
    yield from first
    yield from found


def _aged(snapshot: Callable[[], Any], manner: _Strict, seconds: float) -> Callable[[], Any]:
    """Snapshots that end after some seconds."""

    def aged() -> Any:
        session = snapshot()
        manner.ages[id(session.inner)] = time.monotonic() + seconds
        return session

    return aged
