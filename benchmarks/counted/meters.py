"""What counts: everything that goes over the connections which the store makes while it is watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path


class Meter(ABC):
    """Counts the work of one engine."""

    #: The engine with its version: what another version does may be counted otherwise.
    engine: str

    @abstractmethod
    def place(self, folder: Path) -> AbstractContextManager[str]:
        """An empty place for a store that is watched, as its URL."""

    @abstractmethod
    def reset(self) -> None:
        """Begin to count."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """What was counted since."""
