"""Running work in other threads, with their errors brought back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
_PATIENCE = 60.0


def in_threads(works: Sequence[Callable[[], T]]) -> list[T]:
    """The results of all works, started together at a barrier; the first error is raised again."""
    barrier = threading.Barrier(len(works))
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(number: int, work: Callable[[], T]) -> None:
        try:
            barrier.wait(_PATIENCE)
            results[number] = work()
        except BaseException as error:  # noqa: BLE001 - told to the caller below
            errors.append(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)
    assert not any(thread.is_alive() for thread in threads), (
        "a thread still waits after a minute: somebody holds a lock"
    )
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(works))]


def in_thread(work: Callable[[], T]) -> T:
    """The result of *work* in another thread."""
    return in_threads([work])[0]
