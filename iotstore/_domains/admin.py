"""Admin: how the store is, how much it holds, and what keeps it well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from iotstore._catalogue.retention import PruneLine, prune_plan, prune_run
from iotstore._engine import migrations
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._kinds.alerts import ALERTS
from iotstore._kinds.estate import DEVICES
from iotstore._kinds.kind import Kind
from iotstore._kinds.network import CONNECTIONS
from iotstore._kinds.system import KINDS
from iotstore._projection.projection import Projection
from iotstore._query.expressions import field
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Check, Place
from iotstore._waist.layout import Layout
from iotstore.errors import StoreError

SLOW_SECONDS: Final = 1.0
_ACTIVITY: tuple[tuple[str, Kind[Any], str], ...] = (
    ("devices seen", DEVICES, "last_seen"),
    ("flows", CONNECTIONS, "time"),
    ("alerts", ALERTS, "time"),
)


@dataclass(frozen=True, slots=True)
class Health:
    """How the store is: "ok", "warning" or "failed", with every check. One that can't run is "failed", never "ok"."""

    status: str
    checks: tuple[Check, ...]
    at: datetime

    def __bool__(self) -> bool:
        return self.status != "failed"


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much the store holds: rows and bytes of every collection, points under the name ``points``; and what
    happened in the day before *at*: devices seen, flows, alerts."""

    places: tuple[Place, ...]
    at: datetime
    activity: Mapping[str, int]

    @property
    def rows(self) -> dict[str, int]:
        """Rows by collection."""
        return {place.name: place.rows for place in self.places}

    @property
    def bytes(self) -> int | None:
        """Bytes of all collections together; None where the engine can't tell."""
        sizes = [place.bytes for place in self.places]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


class Admin:
    """Health, metrics, statistics, retention, optimisation, migrations."""

    def __init__(self, engine: Engine, projection: Projection | None = None) -> None:
        self._engine = engine
        self._projection = projection

    def health(self) -> Health:
        """A quick look that reads little, good for a monitoring endpoint. It never raises for a store in trouble:
        the trouble is a failed check."""
        clock, backend = self._engine.clock, self._engine.backend
        begun = clock.monotonic()
        checks: list[Check] = []
        try:
            with self._engine.reading() as session:
                session.layouts()
            seconds = clock.monotonic() - begun
            status = "ok" if seconds < SLOW_SECONDS else "warning"
            checks.append(Check("answers", status, f"in {seconds * 1000:.1f} ms"))
            checks += backend.health()
            checks.append(self._schema_check())
            if self._projection is not None:
                checks += self._projection.health()
        except StoreError as error:
            checks.append(Check("answers", "failed", str(error)))
        statuses = {check.status for check in checks}
        worst = next(word for word in ("failed", "warning", "ok") if word in statuses or word == "ok")
        return Health(worst, tuple(checks), clock.now())

    def metrics(self) -> dict[str, float]:
        """Numbers for a monitoring system, by name: what health found, what the backend counts (connections that are
        open, lent and waited for, for instance), and how far a projection is behind. Reads no more than health does.

        Names that end in ``_total`` only grow while the store is open.
        """
        found = self.health()
        states = [check.status for check in found.checks]
        numbers = {
            "healthy": float(bool(found)),
            "checks_failed": float(states.count("failed")),
            "checks_warning": float(states.count("warning")),
        }
        if found:  # of one that can't be asked the trouble is all there is to tell
            numbers |= self._engine.backend.metrics()
            if self._projection is not None:
                numbers |= self._projection.metrics()
        return numbers

    def _schema_check(self) -> Check:
        waiting = self.migrations()
        if waiting:
            return Check("schema", "warning", f"{len(waiting)} migration steps are waiting: {waiting[0]}")
        return Check("schema", "ok", f"{len(self._engine.kinds)} kinds, as declared")

    def describe(self) -> Mapping[str, str]:
        """Engine, versions, place and the settings in force, without secrets."""
        return self._engine.backend.describe()

    def statistics(self) -> Statistics:
        """Rows and bytes of every collection, and the activity of the last day."""
        now = self._engine.clock.now()
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            activity = {
                name: Collection(twin, kind).count(field(time).between(now - timedelta(days=1), now))
                for name, kind, time in _ACTIVITY
            }
        return Statistics(tuple(self._engine.backend.places(self._layouts())), now, activity)

    def verify(self) -> Health:
        """A full check of the stored data's integrity; reads everything."""
        self._engine.backend.capabilities.require(Capability.INTEGRITY_CHECK)
        checks = self._engine.backend.verify()
        worst = next((word for word in ("failed", "warning") if any(c.status == word for c in checks)), "ok")
        return Health(worst, tuple(checks), self._engine.clock.now())

    def optimise(self, *, compact: bool = False) -> Mapping[str, str]:
        """Refresh the engine's statistics, tidy its logs, with *compact* give free space back. Says what was done."""
        self._engine.backend.capabilities.require(Capability.OPTIMISATION)
        if compact:
            self._engine.backend.capabilities.require(Capability.COMPACTION)
        return self._engine.backend.optimise(compact=compact)

    def retention(self, *, dry_run: bool = True, keep: Mapping[str, timedelta] | None = None) -> list[PruneLine]:
        """Prune what is older than its kind's retention; a dry run (the default) only says what would go.

        *keep* sets another window by kind name, and by ``points`` for telemetry, which is kept for ever otherwise.
        What a kind protects (alerts that nobody resolved) stays whatever the window.
        """
        now = self._engine.clock.now()
        return (prune_plan if dry_run else prune_run)(self._engine, now, keep or {})

    def migrations(self) -> list[str]:
        """What a migration would do, a line each; empty when the store is as declared."""
        with self._engine.reading() as session:
            plans = migrations.plan(self._engine, migrations.read_stored(self._engine, session))
        return [line for plan in plans for line in plan.lines()]

    def _layouts(self) -> list[Layout]:
        return [KINDS.layout, *(kind.layout for kind in self._engine.kinds.values())]
