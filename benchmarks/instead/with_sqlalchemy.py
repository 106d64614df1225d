"""SQLAlchemy's ORM, in the style of its 2.x tutorial: bulk inserts by ``session.execute(insert(...), rows)``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from sqlalchemy import JSON, DateTime, ForeignKey, Index, String, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from instead.contender import ALERT, AlertRead, Contender, Hour, Reading
from iotstore import Alert, Device, Point


class Base(DeclarativeBase):
    """What tables are mapped from."""


class DeviceRow(Base):
    """A device."""

    __tablename__ = "devices"
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    name: Mapped[str | None]
    kind: Mapped[str | None]
    ip: Mapped[str | None]
    mac: Mapped[str | None]
    vendor: Mapped[str | None]
    model: Mapped[str | None]
    firmware: Mapped[str | None]
    last_seen: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AlertRow(Base):
    """An alert."""

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.key"))
    kind: Mapped[str]
    title: Mapped[str]
    severity: Mapped[str]
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    status: Mapped[str]
    score: Mapped[float | None]
    explanation: Mapped[str | None]
    # "metadata" is a name that declarative classes keep for themselves
    details: Mapped[Any] = mapped_column("metadata", JSON)
    acknowledged_by: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ReadingRow(Base):
    """A point."""

    __tablename__ = "readings"
    device: Mapped[str] = mapped_column(ForeignKey("devices.key"), primary_key=True)
    metric: Mapped[str] = mapped_column(String(120), primary_key=True)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    value: Mapped[float]


Index("readings_newest", ReadingRow.metric, ReadingRow.device, ReadingRow.time)


def _utc(time: datetime) -> datetime:
    """SQLite gives back naive times."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class WithSqlalchemy(Contender):
    """Mapped classes, sessions, and the dialect's ``insert`` with ``on_conflict_do_nothing``."""

    name: ClassVar[str] = "SQLAlchemy ORM"
    needs: ClassVar[tuple[str, ...]] = ("sqlalchemy",)

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self._sqlite = self._engine.dialect.name == "sqlite"
        if self._sqlite:
            event.listen(self._engine, "connect", _pragmas)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Objects, added to a session."""
        Base.metadata.create_all(self._engine)
        names = [column.name for column in DeviceRow.__table__.columns]
        with Session(self._engine) as session, session.begin():
            session.add_all(DeviceRow(**{name: getattr(device, name) for name in names}) for device in devices)
            session.flush()
            kept = {name: "details" if name == "metadata" else name for name in ALERT}
            session.add_all(
                AlertRow(**{mapped: getattr(alert, name) for name, mapped in kept.items()}) for alert in alerts
            )

    def ingest(self, points: Sequence[Point]) -> None:
        """A bulk insert with a list of dictionaries."""
        insert: Any = (sqlite if self._sqlite else postgresql).insert
        statement = insert(ReadingRow).on_conflict_do_nothing()
        with Session(self._engine) as session, session.begin():
            session.execute(statement, [msgspec.structs.asdict(point) for point in points])

    def device(self, key: str) -> str | None:
        """An object by its primary key, in a session of its own as a request has one."""
        with Session(self._engine) as session:
            found = session.get(DeviceRow, key)
            return found.name if found else None

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Objects in order of time."""
        with Session(self._engine) as session:
            query = select(ReadingRow).filter_by(device=device, metric=metric).order_by(ReadingRow.time.desc())
            return [(_utc(row.time), row.value) for row in session.scalars(query.limit(count))]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest time of each device, joined with its row."""
        newest = (
            select(ReadingRow.device, func.max(ReadingRow.time).label("time"))
            .where(ReadingRow.metric == metric)
            .group_by(ReadingRow.device)
            .subquery()
        )
        on = (ReadingRow.device == newest.c.device) & (ReadingRow.time == newest.c.time)
        query = select(ReadingRow).join(newest, on).where(ReadingRow.metric == metric).order_by(ReadingRow.device)
        with Session(self._engine) as session:
            return [(row.device, row.value) for row in session.scalars(query)]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by the hour that the engine makes of the time."""
        time = ReadingRow.time
        hour: Any = func.strftime("%Y-%m-%d %H:00:00", time) if self._sqlite else func.date_trunc("hour", time, "UTC")
        value = ReadingRow.value
        query = select(ReadingRow.device, hour.label("hour"), func.avg(value), func.min(value), func.max(value))
        query = query.where(ReadingRow.metric == metric, time >= start, time < end)
        if device is not None:
            query = query.where(ReadingRow.device == device)
        with Session(self._engine) as session:
            rows = session.execute(query.group_by(ReadingRow.device, "hour").order_by(ReadingRow.device, "hour")).all()
        return [Hour(row[0], _hour(row[1]), row[2], row[3], row[4]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Objects in order of time."""
        with Session(self._engine) as session:
            query = select(AlertRow).where(AlertRow.time < before).order_by(AlertRow.time.desc()).limit(count)
            return [
                AlertRead(row.title, _utc(row.time), row.acknowledged_at and _utc(row.acknowledged_at), row.details)
                for row in session.scalars(query)
            ]

    def count(self) -> int:
        """All rows."""
        with Session(self._engine) as session:
            return session.scalar(select(func.count()).select_from(ReadingRow)) or 0

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()


def _pragmas(connection: Any, _: object) -> None:
    """As its documentation of the SQLite dialect sets pragmas."""
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _hour(given: str | datetime) -> datetime:
    return _utc(datetime.fromisoformat(given) if isinstance(given, str) else given).astimezone(UTC)
