"""The settings of every server that the suite starts itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SETTINGS: Final = {
    # A killed server loses nothing by it, only a machine without power does; it halves the time of a run.
    "fsync": "off",
    "max_connections": "200",
    # Nobody's own: a store that forgets to set its session's zone is found out.
    "timezone": "Asia/Kathmandu",
}


def as_arguments(settings: Mapping[str, str]) -> list[str]:
    """The settings as arguments of `postgres`."""
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
