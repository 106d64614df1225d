"""The stage that a clause plays on: a fresh place, stores opened in it, a clock that stands still."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from iotstore import Device, Kind, Store
from iotstore.backend import Capability
from iotstore_conformance.harness import Harness
from iotstore_conformance.kinds import KINDS

Effort: TypeAlias = Literal["fast", "full"]
NOON: Final = datetime(2026, 3, 4, 12, tzinfo=UTC)


class StillClock:
    """A wall clock that stands at noon of a day until it is moved; its monotonic time runs, so that timeouts end."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        """The instant it stands at."""
        return self.time

    def monotonic(self) -> float:
        """Seconds of the real clock."""
        return time.monotonic()

    def move(self, by: timedelta) -> None:
        """Set the hands forward or back."""
        self.time += by


class Stage:
    """What a clause gets: ``store`` is open and empty; everything opened through the stage is closed after it."""

    def __init__(self, harness: Harness, effort: Effort = "fast") -> None:
        self.harness = harness
        self.effort: Effort = effort
        self.clock = StillClock()
        self._places: list[str] = []
        self._stores: list[Store] = []
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self.place = self.new_place()

    @cached_property
    def store(self) -> Store:
        """The clause's own store."""
        return self.open()

    def open(self, place: str | None = None, *, kinds: Sequence[Kind[Any]] = KINDS, **options: object) -> Store:
        """A store in *place* (the clause's own unless said otherwise): another handle, if one is open already."""
        options.setdefault("clock", self.clock)
        store = self.harness.open(self.url(place), kinds=list(kinds), **options)
        self._stores.append(store)
        return store

    @property
    def persistent(self) -> bool:
        """Whether the backend keeps what was written after the store is closed."""
        return self.store.capabilities.has(Capability.PERSISTENCE)

    def new_place(self) -> str:
        """The name of another place that nobody used."""
        place = self.harness.fresh()
        self._places.append(place)
        return place

    def url(self, place: str | None = None) -> str:
        """The URL of the store in *place*."""
        return self.harness.url(place or self.place)

    def reopen(self) -> Store:
        """Close everything and open the clause's store again."""
        self._close_stores()
        self.__dict__["store"] = store = self.open()
        return store

    def folder(self) -> Path:
        """An empty folder for files."""
        folder = tempfile.TemporaryDirectory(prefix="iotstore-suite-")
        self._folders.append(folder)
        return Path(folder.name)

    def devices(self, *keys: str) -> None:
        """Put devices with these keys."""
        for key in keys:
            self.store.devices.add(Device(key=key))

    def _close_stores(self) -> None:
        while self._stores:
            self._stores.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_stores()
        for folder in self._folders:
            folder.cleanup()
        if self.harness.drop is not None:
            for place in self._places:
                self.harness.drop(place)


def ago(**span: float) -> datetime:
    """The instant that long before noon: ``ago(minutes=5)``."""
    return NOON - timedelta(**span)


def later(**span: float) -> datetime:
    """The instant that long after noon."""
    return NOON + timedelta(**span)
