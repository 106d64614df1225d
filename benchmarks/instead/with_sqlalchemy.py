"""SQLAlchemy's ORM, in the style of its 2.x tutorial: bulk inserts by ``session.execute(insert(...), rows)``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import sqlalchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    String,
    cast,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from instead.contender import (
    ALERT,
    ALERTS_BY,
    FLOW,
    GROUPS,
    AlertRead,
    Contender,
    Hour,
    Listed,
    Read,
    Reading,
    flow_values,
)
from iotstore import Alert, Connection, Device, Point


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


class FlowRow(Base):
    """A flow."""

    __tablename__ = "flows"
    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.key"))
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    destination: Mapped[str | None]
    port: Mapped[int | None]
    protocol: Mapped[str | None]
    service: Mapped[str | None]
    state: Mapped[str | None]
    bytes_sent: Mapped[int] = mapped_column(BigInteger)
    bytes_received: Mapped[int] = mapped_column(BigInteger)
    packets_sent: Mapped[int] = mapped_column(BigInteger)
    packets_received: Mapped[int] = mapped_column(BigInteger)
    duration: Mapped[float | None]
    processed: Mapped[bool]


Index("flows_device_time", FlowRow.device, FlowRow.time)


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
        super().__init__(url)
        self._engine = engine_of(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        #: The session of a transaction that sees one state.
        self._session: Session | None = None

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
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
            session.add_all(FlowRow(**dict(zip(FLOW, flow_values(flow), strict=True))) for flow in flows)

    def ingest(self, points: Sequence[Point]) -> None:
        """A bulk insert with a list of dictionaries."""
        self._keep([msgspec.structs.asdict(point) for point in points])

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        self._keep(
            [
                {"device": device, "metric": metric, "time": time, "value": value}
                for time, value in zip(times, values, strict=True)
            ]
        )

    def _keep(self, rows: list[dict[str, Any]]) -> None:
        with Session(self._engine) as session, session.begin():
            session.execute(insert_of(self._engine, ReadingRow), rows)

    def device(self, key: str) -> str | None:
        """An object by its primary key, in a session of its own as a request has one."""
        with Session(self._engine) as session:
            found = session.get(DeviceRow, key)
            return found.name if found else None

    def devices(self, after: str, count: int) -> list[str]:
        """Objects in order of key."""
        query = select(DeviceRow).where(DeviceRow.key > after).order_by(DeviceRow.key).limit(count)
        with Session(self._engine) as session:
            return [row.key for row in session.scalars(query)]

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
        time, value = ReadingRow.time, ReadingRow.value
        hour = self._cut("hour", ReadingRow)
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

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """A session that keeps its transaction."""
        with Session(self._engine) as session, one_state(session.connection()):
            self._session = session
            try:
                yield
            finally:
                self._session = None

    def _of_state(self) -> Session:
        if self._session is None:
            raise RuntimeError("questions of the home page are asked inside one_state()")
        return self._session

    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """Objects in order of time."""
        table: Any = {"devices": DeviceRow, "alerts": AlertRow, "flows": FlowRow}[of]
        time = table.last_seen if of == "devices" else table.time
        query = select(table).order_by(time.desc(), *([table.key.desc()] if of == "devices" else [])).limit(count)
        if since is not None:
            query = query.where(time >= since)
        if only_open:
            query = query.where(table.status == "open")
        rows = self._of_state().scalars(query)
        if of == "devices":
            return [Read(row.key, _utc(row.last_seen)) for row in rows]
        return [Read(row.title if of == "alerts" else row.destination, _utc(row.time), row.device) for row in rows]

    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """A select of keys, counts and sums."""
        table: Any = AlertRow if by in ALERTS_BY else FlowRow
        keys = [self._cut(key, table).label(f"k{at}") for at, key in enumerate(GROUPS[by])]
        sums = [] if by in ALERTS_BY else [func.sum(table.bytes_sent), func.sum(table.bytes_received)]
        query = select(*keys, func.count(), *sums).where(table.time >= start, table.time < end)
        query = query.group_by(*(key.name for key in keys))
        if self._session is not None:
            rows: Any = self._session.execute(query)
        else:
            with Session(self._engine) as session:
                rows = session.execute(query).all()
        times = GROUPS[by][0] in ("hour", "day")
        return [(_hour(row[0]) if times else row[0], *row[1 : len(keys)], *map(int, row[len(keys) :])) for row in rows]

    def _cut(self, key: str, table: Any) -> Any:
        """A column, or what is cut off one."""
        if key == "tenth":
            return cast(table.score * 10, Integer) if self._sqlite else cast(func.floor(table.score * 10), Integer)
        if key not in ("hour", "day", "hour of day"):
            return getattr(table, key)
        if self._sqlite:
            formats = {"hour": "%Y-%m-%d %H:00:00", "day": "%Y-%m-%d 00:00:00", "hour of day": "%H"}
            found = func.strftime(formats[key], table.time)
            return cast(found, Integer) if key == "hour of day" else found
        if key == "hour of day":
            return cast(func.extract("hour", func.timezone("UTC", table.time)), Integer)
        return func.date_trunc(key, table.time, "UTC")

    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Two columns."""
        rows = self._of_state().execute(select(DeviceRow.key, DeviceRow.name).where(DeviceRow.key.in_(keys)))
        return {row.key: row.name for row in rows}

    def total(self, of: Listed) -> int:
        """All rows of a table."""
        table: Any = {"devices": DeviceRow, "alerts": AlertRow, "flows": FlowRow}[of]
        return self._of_state().scalar(select(func.count()).select_from(table)) or 0

    def count(self) -> int:
        """All rows."""
        with Session(self._engine) as session:
            return session.scalar(select(func.count()).select_from(ReadingRow)) or 0

    def room(self) -> int:
        """As the engine says."""
        return room_of(self._engine)

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()


def engine_of(url: str) -> Engine:
    """An engine whose connections have the guarantees of all contenders; psycopg is the driver for PostgreSQL."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _pragmas)
    return engine


def insert_of(engine: Engine, table: Any) -> Any:
    """An insert that leaves out what is there."""
    insert: Any = (sqlite if engine.dialect.name == "sqlite" else postgresql).insert
    return insert(table).on_conflict_do_nothing()


@contextmanager
def one_state(connection: sqlalchemy.Connection) -> Iterator[None]:
    """The rest of a connection's transaction sees one state."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")  # the driver itself would begin at the first write
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    yield


def room_of(engine: Engine) -> int:
    """How many bytes the database takes."""
    sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    if engine.dialect.name != "sqlite":
        sql = "SELECT pg_database_size(current_database())"
    with engine.connect() as connection:
        return int(connection.execute(text(sql)).scalar_one())


def _pragmas(connection: Any, _: object) -> None:
    """As its documentation of the SQLite dialect sets pragmas."""
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _hour(given: str | datetime) -> datetime:
    return _utc(datetime.fromisoformat(given) if isinstance(given, str) else given).astimezone(UTC)
