"""Once more: what to do when an engine ended a transaction so that another one could go on.

Only a call that is one transaction of its own is repeated, and only as long as nobody else's code took part in it:
inside an application's transaction the application alone knows what to do again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from iotstore._engine.engine import Engine
from iotstore.errors import Busy

__all__ = ["repeated", "repeating"]

T = TypeVar("T")
P = ParamSpec("P")
#: How often a call is done at most. Who loses against two others in turn meets a crowd, and had better come later.
_TIMES: Final = 3


class _Works(Protocol):
    _engine: Engine


W = TypeVar("W", bound=_Works)


def repeating(engine: Engine, call: Callable[[], T]) -> T:
    """Do *call*, which is one transaction, and do it again when the engine made it the victim of a deadlock."""
    if engine.in_transaction:
        return call()
    for _ in range(_TIMES - 1):
        try:
            return call()
        except Busy as error:
            if not error.victim:
                raise
    return call()


def repeated(method: Callable[Concatenate[W, P], T]) -> Callable[Concatenate[W, P], T]:
    """A method that is one transaction, done again when the engine made it the victim of a deadlock."""

    @wraps(method)
    def run(self: W, /, *args: P.args, **named: P.kwargs) -> T:
        engine = self._engine  # pyright: ignore[reportPrivateUsage]  # it belongs to the class that is decorated
        return repeating(engine, lambda: method(self, *args, **named))

    return run
