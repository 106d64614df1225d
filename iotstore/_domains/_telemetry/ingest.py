"""Storing a checked batch: one transaction, series first, then one append per type and chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from iotstore._domains._telemetry.batch import Batch, Group, Known
from iotstore._domains._telemetry.catalogue import create, resolve
from iotstore._engine import claims
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_writer
from iotstore._engine.receipts import OnInvalid, Receipt, check_on_invalid, settle
from iotstore._engine.transaction import Transaction
from iotstore._kinds.telemetry import MetricType
from iotstore._waist.capabilities import Capability
from iotstore._waist.layout import Value
from iotstore._waist.queries import Appended, OnConflict, PointType
from iotstore.errors import InvalidValue, Rejected

__all__ = ["Ingest", "OnConflictWord"]

OnConflictWord: TypeAlias = Literal["keep", "replace", "error"]

_MOST_TYPES: Final = 10_000


class Types:
    """The types of metrics as committed transactions saw them: what a batch is checked against before its own.

    Only a hint that saves time under the write lock: what is wrong in it is found and mended in the transaction. So
    nothing has to be told when another process changes the store.
    """

    __slots__ = ("_types",)

    def __init__(self) -> None:
        self._types: dict[str, MetricType] = {}

    def known(self) -> Known:
        """What a batch may be checked against."""
        return Known(self._types)

    def learn(self, types: dict[str, MetricType]) -> None:
        """Keep what a committed transaction saw."""
        if not types.items() <= self._types.items():
            # A new dictionary: batches are being checked against the old one at this moment.
            self._types = {**self._types, **types} if len(self._types) < _MOST_TYPES else types


class Ingest:
    """Stores batches of points of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._types = Types()

    def store(
        self,
        check: Callable[[Known], Batch],
        digest: Callable[[], str],
        *,
        on_invalid: OnInvalid,
        on_conflict: OnConflictWord,
        idempotency_key: str | None,
    ) -> Receipt:
        """Store what *check* makes of a batch. It is called again if the store is not what it was checked against."""
        engine = self._engine
        engine.backend.capabilities.require(Capability.SERIES)
        check_on_invalid(on_invalid)
        if on_conflict not in ("keep", "replace", "error"):
            raise InvalidValue(f'{on_conflict!r} is none of "keep", "replace" and "error"', field="on_conflict")
        known = self._types.known()
        batch = check(known)  # outside of the transaction: nobody waits for it

        def work(transaction: Transaction) -> Receipt:
            settled, rejected = self._settle(transaction, check, batch, known, on_invalid)
            appended = _append(engine, transaction, settled, OnConflict(on_conflict))
            learned: dict[str, MetricType] = {group.metric: group.type for group in settled.groups.values()}
            transaction.on_commit(lambda: self._types.learn(learned))
            return Receipt(appended.stored, appended.duplicates, rejected, appended.replaced)

        return claims.run(engine, idempotency_key, digest, work)

    def _settle(
        self,
        transaction: Transaction,
        check: Callable[[Known], Batch],
        batch: Batch,
        known: Known,
        on_invalid: OnInvalid,
    ) -> tuple[Batch, tuple[Rejected, ...]]:
        """The batch as it is to be stored, all its series there. Raises BatchRejected before anything is written."""
        while True:  # twice at most, but for rivals that create the same metrics at this moment
            found = resolve(self._engine, transaction, batch, known)
            if not isinstance(found, Known):
                rejected = settle(batch.rejected, batch.total, on_invalid)
                corrected = create(self._engine, transaction, batch, known, found)
                if corrected is None:
                    return batch, rejected
                found = corrected
            known = found
            batch = check(known)


def _append(engine: Engine, transaction: Transaction, batch: Batch, conflict: OnConflict) -> Appended:
    writer = series_writer(engine.backend, transaction.session)
    size = engine.backend.limits.append_points
    stored = duplicates = replaced = 0
    of_type: dict[MetricType, list[Group]] = {}
    for group in batch.groups.values():
        of_type.setdefault(group.type, []).append(group)
    # In one order for all writers, as the series of a type are: two that meet wait, and never for each other.
    for of, groups in sorted(of_type.items()):
        if conflict is OnConflict.REPLACE:
            duplicates += sum(_keep_last(group) for group in groups)
        series, times, values = _columns(groups)
        for start in range(0, len(times), size):
            stop = start + size
            done = writer.append(PointType(of), series[start:stop], times[start:stop], values[start:stop], conflict)
            stored += done.stored
            duplicates += done.duplicates
            replaced += done.replaced
    return Appended(stored, duplicates, replaced)


def _columns(groups: list[Group]) -> tuple[Sequence[int], Sequence[int], Sequence[Value]]:
    """Aligned columns of all groups, series by series: neighbours in storage are neighbours here."""
    if len(groups) == 1:
        (group,) = groups
        return [group.series] * len(group.times), group.times, group.values
    series: list[int] = []
    times: list[int] = []
    values: list[Value] = []
    for group in sorted(groups, key=lambda group: group.series):
        series += [group.series] * len(group.times)
        times += group.times
        values += group.values
    return series, times, values


def _keep_last(group: Group) -> int:
    """Leave the last value of every time that repeats; returns how many rows went."""
    times, values = _plain(group.times), _plain(group.values)
    if len(set(times)) == len(times):
        return 0
    last = dict(zip(times, values, strict=True))
    before = len(times)
    group.times, group.values = list(last), list(last.values())
    return before - len(last)


def _plain(column: Sequence[Value]) -> Sequence[Value]:
    """A column of Python objects: an array would make one anew for each look at it."""
    to_list: Callable[[], list[Value]] | None = getattr(column, "tolist", None)
    return column if to_list is None else to_list()
