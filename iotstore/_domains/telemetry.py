"""store.telemetry: metrics, series and points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from iotstore import _values as values
from iotstore._domains._telemetry.aggregating import Consistency, Question, aggregate
from iotstore._domains._telemetry.batch import sort_points
from iotstore._domains._telemetry.catalogue import delete_series
from iotstore._domains._telemetry.incoming import Incoming
from iotstore._domains._telemetry.ingest import Ingest, OnConflictWord
from iotstore._domains._telemetry.reading import TelemetryReads, check_span
from iotstore._domains._telemetry.results import Bucket, PointColumns
from iotstore._domains._telemetry.values import check_metric, metric_key
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_writer
from iotstore._engine.receipts import OnInvalid, Receipt
from iotstore._kinds.telemetry import METRICS, Metric, Point
from iotstore.errors import Conflict, InvalidValue

__all__ = ["Bucket", "PointColumns", "Telemetry"]

_encoder: Final = msgspec.msgpack.Encoder(enc_hook=repr)


class Telemetry(TelemetryReads):
    """The telemetry of a store. A point is unique by its series (device and metric) and time.

    A metric that nobody defined is created with its first point and typed by its value: a number makes it ``float``,
    whole or not, a boolean ``bool``, a text ``text``. Only ``define`` makes an ``int64`` metric. Values are converted
    exactly (21 to 21.0 for a float metric, 21.0 to 21 for an int64 one) or rejected; a boolean is never a number.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._ingest = Ingest(engine)
        self._metrics = Collection(engine, METRICS)

    def write(
        self,
        points: Iterable[Point],
        *,
        on_invalid: OnInvalid = "raise",
        on_conflict: OnConflictWord = "keep",
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Store points of any devices and metrics in one transaction, and say exactly what became of them.

        Rows that are wrong (unknown device, naive time, value of another type) stop the batch, or with
        ``on_invalid="reject"`` are left out and listed. *on_conflict* says what happens to a point whose series has
        one at this time: it is left out as a duplicate (``"keep"``; the first in a batch wins), it takes its place
        (``"replace"``; the last wins), or it is a Conflict and nothing is stored (``"error"``). Under an
        *idempotency_key* a repeated call stores nothing and returns the first receipt.
        """
        if isinstance(points, Point) or not hasattr(points, "__iter__"):
            raise values.wrong_type("points (a list, or anything to iterate over)", points, "points")
        batch = points if isinstance(points, list) else list(points)
        return self._ingest.store(
            lambda known: sort_points(batch, known),
            lambda: _digest(batch),
            on_invalid=on_invalid,
            on_conflict=on_conflict,
            idempotency_key=idempotency_key,
        )

    def write_columns(
        self,
        device: str,
        metric: str,
        times: object,
        values: object,
        *,
        on_invalid: OnInvalid = "raise",
        on_conflict: OnConflictWord = "keep",
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Store points of one series that come as aligned columns; otherwise as ``write``.

        *times* are datetimes or integer microseconds since 1970, *values* what the metric takes: lists, arrays of
        numpy (``datetime64`` has no time zone and is taken as UTC), Arrow (timestamps with a time zone), or anything
        that gives itself as Arrow or numpy, such as columns of pandas and polars. Times finer than a microsecond
        are cut. Nulls are rejected rows. Arrays are checked as a whole, without an object per point.
        """
        incoming = Incoming(device, metric, times, values)
        return self._ingest.store(
            incoming.check,
            incoming.digest,
            on_invalid=on_invalid,
            on_conflict=on_conflict,
            idempotency_key=idempotency_key,
        )

    def aggregate(
        self,
        device: str | Sequence[str] | None,
        metric: str,
        *,
        every: timedelta | str,
        start: datetime,
        end: datetime | None = None,
        functions: Sequence[str] = ("mean",),
        fill: str | float = "none",
        zone: str | None = None,
        exact: bool = False,
        consistency: Consistency = "current",
    ) -> list[Bucket]:
        """A value per function and bucket of time, for one device, several, or all that have the metric (None).

        *every* is a fixed width (a timedelta, ``"15m"``) aligned to 1970, or ``"hour"``, ``"day"``, ``"week"`` or
        ``"month"`` of local time in *zone*. The range is half-open and ends now if nothing else is said; a bucket that
        reaches beyond it has the points inside it only. *functions* are count, sum, mean, min, max, first, last,
        stddev, median and other percentiles (``"p95"``), time_weighted_mean, rate and increase. *fill* says what
        stands in buckets without points: "none" (they are left out), "null", "previous", "linear", or a number. With
        *exact* sums and means of doubles are rounded once. Ordered by device key, then time; all of it is one state
        of the store.

        ``consistency="materialized"`` accepts what a database has summarised before: changes of points that are old
        enough to be summarised may be missing for a while. No summaries, the same answer as ``"current"``.
        """
        devices = [device] if isinstance(device, str) else device
        if devices is not None and not hasattr(devices, "__iter__"):
            raise values.wrong_type("the key of a device, several, or None", device, "device")
        question = Question(metric, every, start, end, functions, fill, zone, exact, consistency)
        return aggregate(self._engine, self._finder, devices, question)

    def define(self, metric: Metric) -> Metric:
        """Create a metric, or set unit, description and counter of the one with this name; returns what is stored.

        A metric's type never changes: another one is a Conflict.
        """
        if not isinstance(metric, Metric):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody has a checker
            raise values.wrong_type("a Metric", metric, "metric")
        key = metric_key(check_metric(metric.name))
        if metric.key not in ("", key):
            raise InvalidValue(f"{metric.key!r} is not the key of this name", field="key", hint="leave it out")
        with self._engine.writing():
            there = self._metrics.find(key)
            if there is None or there.type == metric.type:
                there = self._metrics.put(msgspec.structs.replace(metric, key=key))
            if there.type != metric.type:
                raise Conflict(
                    f"metric {there.name!r} is {there.type}, and its type never changes to {metric.type}",
                    hint="define a metric of another name",
                )
        return there

    def delete(self, device: str, metric: str, start: datetime | None = None, end: datetime | None = None) -> int:
        """Delete the points of a range of one series; returns how many there were. The series itself stays."""
        low, high = check_span(start, end)
        engine = self._engine
        with engine.writing() as transaction:
            writer = series_writer(engine.backend, transaction.session)
            found = self._finder.find(transaction.session, device, metric)
            return 0 if found is None else writer.erase([found.id], low, high)

    def forget(self, device: str) -> int:
        """Delete all telemetry of a device, its series too; returns how many points there were."""
        engine = self._engine
        with engine.writing() as transaction:
            writer = series_writer(engine.backend, transaction.session)
            series = self._finder.of_device(transaction.session, device)
            gone = writer.erase([found.id for found in series], None, None) if series else 0
            delete_series(engine, transaction, device)
            return gone


def _digest(points: Sequence[object]) -> str:
    """A digest of points as they were handed in; equal instants of different time zones are the same."""
    try:
        packed = _encoder.encode(["telemetry points", points])
    except (OverflowError, UnicodeEncodeError):  # rows that will be rejected; their text tells them apart
        packed = repr(points).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(packed, digest_size=16).hexdigest()
