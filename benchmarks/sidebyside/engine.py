"""What one engine's work by hand has to offer, so that every benchmark is written once and runs on each of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from iotstore import Bucket, Point
from sidebyside.byhand_records import RecordsByHand
from sidebyside.workload import EPOCH

Row: TypeAlias = tuple[object, ...]


class Places(NamedTuple):
    """The URLs of the library's store, and of the copy of it that the work by hand has."""

    library: str
    by_hand: str


class PointsByHand(ABC):
    """Points of known series in the store's own tables, written and read with one connection."""

    connection: Any

    @abstractmethod
    def number(self, device: str, metric: str) -> int:
        """The number of a series."""

    @abstractmethod
    def write(self, points: Sequence[Point]) -> tuple[int, int]:
        """Check and store points in one transaction; returns how many were stored, and how many were there."""

    @abstractmethod
    def write_numbers(self, series: int, micros: Sequence[int], values: Sequence[float]) -> int:
        """Store columns of one series that are plain numbers already, in one transaction."""

    @abstractmethod
    def latest(self, device: str, metric: str) -> Point:
        """The newest point of a series."""

    @abstractmethod
    def last(self, device: str, metric: str, count: int) -> list[Point]:
        """The newest points of a series, the newest first."""

    @abstractmethod
    def rows(self, device: str, metric: str) -> list[Row]:
        """Time and value of every point of a series, in time order, as the driver gives them."""

    @abstractmethod
    def hourly(self, device: str, metric: str, start: datetime, end: datetime) -> list[Bucket]:
        """Count, mean, least and largest value by hour of UTC."""

    @abstractmethod
    def size_note(self, rows: int) -> str:
        """How much room so many points take."""

    def write_columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> int:
        """Check and store columns of one series in one transaction; returns how many were stored."""
        if any(time.tzinfo is None for time in times):
            raise ValueError("a time has no time zone")
        if any(value.__class__ is not float or value - value != 0.0 for value in values):
            raise ValueError("a value is not a finite float")
        sinces = [time - EPOCH for time in times]
        micros = [(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds for since in sinces]
        return self.write_numbers(self.number(device, metric), micros, values)


class Engine(ABC):
    """Where stores of one backend lie, and how they are worked on by hand."""

    name: str
    #: a program that reads one device by hand; its arguments are the URL or file, and the key
    first_read: str

    @abstractmethod
    def places(self, folder: Path) -> AbstractContextManager[Places]:
        """Two places where nothing is yet; they are removed afterwards."""

    @abstractmethod
    def copy(self, places: Places) -> None:
        """Make the library's store, which nobody has open, the store of the work by hand too: page for page."""

    @abstractmethod
    def connect(self, url: str) -> Any:
        """A connection with the guarantees that the library gives."""

    def settled(self, places: Places) -> AbstractContextManager[object]:  # noqa: ARG002
        """While single calls are timed: what makes the way to the engine equally long for both sides."""
        return nullcontext()

    @abstractmethod
    def points(self, connection: Any) -> PointsByHand:
        """Points by hand."""

    @abstractmethod
    def records(self, connection: Any) -> RecordsByHand:
        """Devices, flows and alerts by hand."""

    @abstractmethod
    def rows(self, url: str, table: str, leave_out: Sequence[str]) -> Iterator[object]:
        """Every row of a table but for some columns, in the order of all columns."""

    @abstractmethod
    def back_up(self, connection: Any, folder: Path, turn: int) -> object:
        """Make a backup by hand in a folder, and prove it."""

    @abstractmethod
    def argument(self, url: str) -> str:
        """A place, as `first_read` takes it."""

    @abstractmethod
    def versions(self) -> dict[str, str | None]:
        """The engine and its driver."""

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What of the engine's settings, which are the same for both sides, has a part in the figures."""


def same_rows(engine: Engine, places: Places, table: str, leave_out: Sequence[str] = ()) -> int:
    """Raise unless two places hold the same rows in a table, but for some columns; returns how many rows."""
    count = 0
    sides = (engine.rows(url, table, leave_out) for url in places)
    for one, other in zip_longest(*sides):
        if one != other:
            raise RuntimeError(f"{table}: the library holds {one}, the work by hand left {other}")
        count += 1
    return count
