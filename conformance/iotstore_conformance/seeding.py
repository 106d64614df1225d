"""The seed of a run: the same seed gives the same histories; 0 are those that the suite always runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SEED: Final[ContextVar[int]] = ContextVar("iotstore_conformance_seed", default=0)


def current_seed() -> int:
    """The seed of the run that this code is part of."""
    return _SEED.get()


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Everything inside the block runs under the seed *number*."""
    before = _SEED.set(number)
    try:
        yield
    finally:
        _SEED.reset(before)
