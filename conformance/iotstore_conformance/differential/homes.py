"""Where the stores of a comparison live: fresh places beside a URL, gone afterwards, where the suite knows how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import iotstore
from iotstore import Kind, Store, Text, Tracked
from iotstore.backend import Capability
from iotstore_conformance.harness import Harness
from iotstore_conformance.kinds import KINDS
from iotstore_conformance.places import placed
from iotstore_conformance.stage import StillClock

#: Where a place dies with its store, every open store is a fresh place.
_PRIVATE: Final = ":memory:"


class Plant(Tracked, frozen=True, kw_only=True):
    """A record of the kind that grows, as it is at first."""

    key: Annotated[str, Text(40, min=1)]
    height: int | None = None


class GrownPlant(Tracked, frozen=True, kw_only=True):
    """The same after the migration: with another field, which older records get by its default, and a longer key."""

    key: Annotated[str, Text(60, min=1)]
    height: int | None = None
    leaves: int = 2


YOUNG: Final[tuple[Kind[Any], ...]] = (*KINDS, Kind(Plant, "suite_plant", "key"))
GROWN: Final[tuple[Kind[Any], ...]] = (*KINDS, Kind(GrownPlant, "suite_plant", "key", indexes=[["leaves"]]))


class Home:
    """An open store in a place of its own. It can be closed and opened again, where a place outlives its store."""

    def __init__(self, there: Harness, place: str, clock: StillClock) -> None:
        self.clock = clock
        self.grown = False
        self._there = there
        self._url = there.url(place)
        self.store = self._open()

    @property
    def persistent(self) -> bool:
        """Whether the place outlives its store."""
        return self.store.capabilities.has(Capability.PERSISTENCE)

    @property
    def kinds(self) -> Sequence[Kind[Any]]:
        """The kinds that the store is opened with."""
        return GROWN if self.grown else YOUNG

    def grow(self) -> None:
        """Open the store again with the kind that has grown."""
        self.store.close()
        self.grown = True
        self.store = self._open()

    def _open(self) -> Store:
        return self._there.open(self._url, kinds=list(self.kinds), clock=self.clock)

    @contextmanager
    def restored(self, backup: Path, url: str) -> Iterator[Store]:
        """What *backup* holds, restored to a fresh place beside *url* and opened as this store is."""
        with _place(url) as (there, place):
            iotstore.restore(backup, there.url(place))
            with there.open(there.url(place), kinds=list(self.kinds), clock=self.clock) as store:
                yield store


@contextmanager
def home(url: str) -> Iterator[Home]:
    """An empty store beside *url*, with a clock of its own."""
    with _place(url) as (there, place):
        made = Home(there, place, StillClock())
        try:
            yield made
        finally:
            made.store.close()


@contextmanager
def _place(url: str) -> Iterator[tuple[Harness, str]]:
    there = Harness("either", fresh=lambda: "", url=lambda _: url)
    if not url.partition("?")[0].endswith(_PRIVATE):
        there = placed(there, url)
    place = there.fresh()
    try:
        yield there, place
    finally:
        if there.drop is not None:
            there.drop(place)
