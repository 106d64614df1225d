"""The one object that a backend author writes, and how it is found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Protocol

import iotstore
from iotstore import Store

GROUP: Final = "iotstore.harnesses"


class OpenStore(Protocol):
    """Opens the store at *url*; the suite passes options of ``iotstore.open`` (kinds, clock, plugins, ...)."""

    def __call__(self, url: str, **options: object) -> Store:
        """An open store, created when there is none yet."""
        ...


def _open(url: str, **options: object) -> Store:
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


@dataclass(frozen=True, slots=True)
class Harness:
    """Where the stores of one backend live.

    *fresh* makes the name of a place that nobody used; *url* turns it into the URL of the store there; *drop* removes
    the place with all that is in it. *open* opens a URL, and *kill* ends whatever serves it as abruptly as possible;
    both are for backends whose store isn't simply opened and dies with its process. *connections* tells how many
    connections to a place the engine still sees: where it is given, a clause that leaves one open fails. *file* is
    the file that holds the store of a place, for embedded engines: it will be cut, damaged and locked.
    """

    name: str
    fresh: Callable[[], str]
    url: Callable[[str], str]
    drop: Callable[[str], object] | None = None
    open: OpenStore = _open
    kill: Callable[[str], object] | None = None
    connections: Callable[[str], int] | None = None
    file: Callable[[str], Path] | None = None


class UnknownHarness(LookupError):
    """No installed package offers a harness of this name."""


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def harness_names() -> list[str]:
    """The names of all harnesses that installed packages offer."""
    return sorted(_offered())


def find_harness(name: str) -> Harness:
    """The harness that an installed package offers under *name*; it is imported only now."""
    point = _offered().get(name)
    if point is None:
        known = ", ".join(harness_names()) or "none"
        raise UnknownHarness(
            f"no harness {name!r} is installed (installed: {known}); name it in the entry point group {GROUP!r}"
        )
    found = point.load()
    if not isinstance(found, Harness):
        raise TypeError(f"the entry point {name!r} of {GROUP!r} gives a {type(found).__name__}, not a Harness")
    return found
