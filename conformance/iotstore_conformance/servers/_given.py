"""A server that somebody else runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from iotstore import ConfigurationError
from iotstore_conformance.servers._asking import version


@dataclass(frozen=True, slots=True)
class GivenServer:
    """A server that is known by its URL only: it is used, and left as it is."""

    url: str
    ours = False

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def kill(self) -> NoReturn:
        """Refused."""
        _refuse("killed")

    def stop(self) -> NoReturn:
        """Refused."""
        _refuse("stopped")

    def start(self) -> NoReturn:
        """Refused."""
        _refuse("started")

    def end(self) -> None:
        """Nothing: it goes on."""


def _refuse(what: str) -> NoReturn:
    raise ConfigurationError(
        f"a server that was given by its URL is not {what} by the suite", hint="let the suite start one: embedded"
    )
