"""Waiting for a server that was started, and what to say where a tool for it is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from iotstore import ConfigurationError


def missing_tool(error: ImportError, what: str, extras: str) -> ConfigurationError:
    """What to say when a tool that starts servers, or talks to them, is not installed."""
    return ConfigurationError(
        f"{what} for the suite needs {error.name or 'a package'}, which is not installed",
        hint=f"pip install 'iotstore[{extras}]'",
    )


def until_it_answers(
    engine: str,
    ask: Callable[[], Exception | None],
    why_not: Callable[[], str | None],
    *,
    seconds: float,
    pause: float,
) -> None:
    """Return when *ask* meets no error any more; *why_not* tells when waiting is in vain."""
    until = time.monotonic() + seconds
    while (error := ask()) is not None:
        reason = why_not()
        if reason is None and time.monotonic() > until:
            reason = f"it did not answer within {seconds:g} seconds: {error}"
        if reason is not None:
            raise ConfigurationError(f"the {engine} server does not run: {reason}") from error
        time.sleep(pause)
