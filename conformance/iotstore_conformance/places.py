"""Where a run takes place: the harness's own places, or fresh ones beside a URL that the author gives."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from iotstore import ConfigurationError
from iotstore_conformance.harness import Harness
from iotstore_conformance.leaks import Leak

T = TypeVar("T")
NAME: Final = "{name}"
_PREFIX: Final = "iotstore_suite_"


class HarnessBroken(Exception):
    """A function of the harness raised, so that nothing can be said about the backend."""


def guarded(harness: Harness) -> Harness:
    """The harness, with errors of its own functions told apart from those of the backend. What opens isn't guarded."""
    drop, kill, start, address = harness.drop, harness.kill, harness.start, harness.address
    foreign = harness.foreign
    return replace(
        harness,
        fresh=_guard("fresh", harness.fresh),
        url=_guard("url", harness.url),
        drop=_checked_drop(harness) if drop or harness.connections else None,
        kill=_guard("kill", kill) if kill else None,
        start=_guard("start", start) if start else None,
        address=_guard("address", address) if address else None,
        foreign=_guard("foreign", foreign) if foreign else None,
    )


def _guard(name: str, function: Callable[..., T]) -> Callable[..., T]:
    def call(*args: str) -> T:
        try:
            return function(*args)
        except Exception as error:
            raise HarnessBroken(f"{name}() of the harness raised {type(error).__name__}: {error}") from error

    return call


def _checked_drop(harness: Harness) -> Callable[[str], object]:
    """Removes a place, and raises Leak when the engine still saw connections to it."""
    count = _guard("connections", harness.connections) if harness.connections else None
    drop = _guard("drop", harness.drop) if harness.drop else None

    def call(place: str) -> None:
        left = count(place) if count else 0
        if drop:
            drop(place)
        if left:
            raise Leak(f"left behind after every store was closed: {left} connections")

    return call


def aimed(harness: Harness, url: str | None = None, server: str | None = None) -> Harness:
    """The harness at the *url* or on the *server* that a run is asked for; as it is when it is asked for neither.

    Where a harness can use any server, the URL of one is enough: it has its own way of making places there.
    """
    if url and server:
        raise ConfigurationError("a run takes place at a URL or on a server, not at both", hint="leave one of them out")
    if harness.server is None:
        if server:
            raise ConfigurationError(
                f"the harness {harness.name} knows no servers, so not {server!r} either", hint="leave the server out"
            )
        return placed(harness, url) if url else harness
    if url and NAME in url:
        return placed(harness, url)
    if chosen := url or server:
        os.environ[harness.server] = chosen  # for the harness, and for the processes that the suite starts
        if "://" in chosen and harness.kill is not None:  # somebody's own server, which is not the suite's to kill
            return replace(harness, kill=None, start=None)
    return harness


def placed(harness: Harness, url: str) -> Harness:
    """The harness with its stores beside *url*.

    ``{name}`` in the URL is replaced by the name of each place. Otherwise a URL of a file gets a folder for each place
    beside the file, removed afterwards; every other URL gets the name at the end of its path, and what is made there
    stays, because only the author knows how to remove it.
    """
    address = _address(url) if harness.engine == "server" else None
    # Whatever the harness does with a place of its own, it can't do with these. The kind of engine is the same.
    elsewhere = replace(
        harness,
        fresh=_fresh,
        drop=None,
        kill=None,
        start=None,
        connections=None,
        file=None,
        server=None,
        address=(lambda _: address) if address else None,
    )
    if NAME in url:
        return replace(elsewhere, url=lambda place: url.replace(NAME, place))
    head, _, options = url.partition("?")
    options = f"?{options}" if options else ""
    file = re.fullmatch(r"([a-z0-9+-]+:///)(.*/)?([^/]+)", head, re.IGNORECASE)
    if file is None:
        return replace(elsewhere, url=lambda place: f"{head.rstrip('/')}_{place}{options}")
    scheme, folder, name = file[1], file[2] or "", file[3]

    def fresh() -> str:
        place = Path(folder or ".", _fresh())
        place.mkdir(parents=True)
        return place.name

    return replace(
        elsewhere,
        fresh=fresh,
        url=lambda place: f"{scheme}{folder}{place}/{name}{options}",
        file=(lambda place: Path(folder or ".", place, name)) if harness.file else None,
        drop=lambda place: shutil.rmtree(Path(folder or ".", place)),
    )


def _address(url: str) -> tuple[str, int] | None:
    """The host and port in a URL of one server; None where it doesn't name both."""
    match = re.match(r"[^:/?#]+://(?:[^/?#]*@)?(\[[^\]]+\]|[^/?#:,\[\]]+):(\d+)(?=[/?#]|\Z)", url)
    return (match[1].strip("[]"), int(match[2])) if match else None


def _fresh() -> str:
    return f"{_PREFIX}{uuid.uuid4().hex[:12]}"
