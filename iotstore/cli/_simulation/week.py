"""The simulated home written to a store, through the public API and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from iotstore import Alert, Receipt, Store
from iotstore.cli._simulation import home
from iotstore.cli._simulation.alerts import alerts
from iotstore.cli._simulation.network import flows
from iotstore.cli._simulation.telemetry import Columns, cut, deliver

STEPS_A_DAY = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Tally:
    """What happened to the rows of one sort."""

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.stored + self.duplicates + self.rejected

    def add(self, receipt: Receipt) -> None:
        """Count one batch. A batch whose idempotency key was known stored nothing this time."""
        if receipt.replayed:
            self.duplicates += receipt.total
            return
        self.stored += receipt.stored
        self.duplicates += receipt.duplicates
        self.rejected += len(receipt.rejected)


@dataclass
class Week:
    """One stretch of the home's life: the days [start, end) of the home that *seed* makes."""

    seed: int
    start: datetime
    end: datetime
    devices: Tally = field(default_factory=Tally)
    points: Tally = field(default_factory=Tally)
    flows: Tally = field(default_factory=Tally)
    alerts: Tally = field(default_factory=Tally)

    @property
    def days(self) -> list[date]:
        """The dates it touches, in UTC."""
        last = (self.end - _MICROSECOND).date()
        count = (last - self.start.date()).days + 1
        return [self.start.date() + timedelta(days=at) for at in range(count)]

    @property
    def tallies(self) -> dict[str, Tally]:
        """What happened, by the name that people know it under."""
        return {
            "devices": self.devices,
            "telemetry points": self.points,
            "network flows": self.flows,
            "alerts": self.alerts,
        }

    @property
    def added(self) -> bool:
        """Whether anything was stored that was not there before."""
        return any(tally.stored for tally in self.tallies.values())

    def write(self, store: Store, step: Callable[[int, str], None]) -> None:
        """Write everything; *step* is told how far it is. A second time finds every row there already."""
        self._estate(store)
        late: list[Columns] = []
        for at, day in enumerate(self.days):
            delivery = deliver(self.seed, day)
            # One transaction a day: whoever looks meanwhile sees whole days.
            with store.transaction():
                for done, columns in enumerate([*late, *delivery.prompt]):
                    self._points(store, columns)
                    step(at * STEPS_A_DAY + done % STEPS_A_DAY, self._note(day))
                self._flows(store, day)
                self._alerts(store, day)
            late = delivery.late
            step((at + 1) * STEPS_A_DAY, self._note(day))
        with store.transaction():
            for columns in late:
                self._points(store, columns)

    def _note(self, day: date) -> str:
        points = self.points.stored + self.points.duplicates
        return f"{day:%a} {day.day} {day:%b}  {points:,} points"

    def _estate(self, store: Store) -> None:
        with store.transaction():
            # Kept, not put: a second run finds every record as it was left, even if somebody has renamed it.
            store.owners.add_many(home.OWNERS, on_conflict="keep")
            store.groups.add_many(home.GROUPS, on_conflict="keep")
            for location in home.LOCATIONS:  # one by one: a place must be there before what lies in it
                store.locations.add_many([location], on_conflict="keep")
            self.devices.add(store.devices.add_many(home.devices(self.start, self.end), on_conflict="keep"))
            for thing in home.THINGS:
                store.groups.add_device(thing.group, thing.key)
            for metric in home.METRICS:
                store.telemetry.define(metric)

    def _points(self, store: Store, columns: Columns) -> None:
        kept = cut(columns, (self.start - _EPOCH) // _MICROSECOND, (self.end - _EPOCH) // _MICROSECOND)
        if kept.times:
            self.points.add(store.telemetry.write_columns(kept.device, kept.metric, kept.times, kept.values))

    def _flows(self, store: Store, day: date) -> None:
        # Flows have generated ids, so the same flow twice would be two: the batch's key makes it one.
        for hour, batch in enumerate(flows(self.seed, day)):
            began = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
            if self.start <= began < self.end and batch:
                key = f"demo/{self.seed}/flows/{began:%Y-%m-%dT%H}"
                self.flows.add(store.connections.add_many(batch, idempotency_key=key))

    def _alerts(self, store: Store, day: date) -> None:
        for began, batch in _by_hour(alerts(self.seed, day)):
            if self.start <= began < self.end:
                key = f"demo/{self.seed}/alerts/{began:%Y-%m-%dT%H}"
                self.alerts.add(store.alerts.add_many(batch, idempotency_key=key))


def _by_hour(found: list[Alert]) -> Iterator[tuple[datetime, list[Alert]]]:
    """Alerts by the hour they were raised in; the hours are what a week is cut by."""
    for began, batch in groupby(
        found, key=lambda alert: (alert.time or _EPOCH).replace(minute=0, second=0, microsecond=0)
    ):
        yield began, list(batch)
