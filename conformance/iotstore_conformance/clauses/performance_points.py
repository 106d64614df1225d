"""A floor under the speed of telemetry: what the cost of a question about points may grow with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from iotstore import Point
from iotstore.backend import Capability
from iotstore_conformance.measuring import Work, at_most, held_by_list, held_by_stream
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Effort, Stage, ago, later

_SERIES = [Capability.SERIES]
_SHORT: dict[Effort, int] = {"fast": 120, "full": 1200}
_TIMES = 50
_GROWTH = 5.0


def _points(device: str, count: int) -> list[Point]:
    """One a minute until noon."""
    return [Point(device, "m", ago(minutes=n), float(n)) for n in range(count, 0, -1)]


def _short_and_long(stage: Stage) -> None:
    """Points of the devices ``short`` and ``long``, which has fifty times as many."""
    stage.devices("short", "long")
    few = _SHORT[stage.effort]
    stage.store.telemetry.write(_points("short", few))
    stage.store.telemetry.write(_points("long", few * _TIMES))


def _as_quick(stage: Stage, what: str, ask: Callable[[str], object]) -> None:
    """Raise TooDear unless a question takes at most five times as long of the long series as of the short one."""
    _short_and_long(stage)
    at_most(
        _GROWTH,
        Work(f"{what} of a long series", lambda _: ask("long")),
        Work(f"{what} of a short one", lambda _: ask("short")),
    )


@clause("PRF-020", profile="performance", deep=True, needs=_SERIES)
def latest_is_a_seek(stage: Stage) -> None:
    """The latest value MUST take at most five times as long of a series with fifty times as many points."""
    _as_quick(stage, "the latest value", lambda device: stage.store.telemetry.latest(device, "m"))


@clause("PRF-021", profile="performance", deep=True, needs=_SERIES)
def last_points_are_a_seek(stage: Stage) -> None:
    """The last ten points MUST take at most five times as long of a series with fifty times as many."""
    _as_quick(stage, "the last ten points", lambda device: stage.store.telemetry.last(device, "m", 10))


@clause("PRF-022", profile="performance", deep=True, needs=_SERIES)
def an_hour_costs_an_hour(stage: Stage) -> None:
    """Aggregating one hour MUST take at most five times as long in a series with fifty times as many points before
    it."""

    def hour(device: str) -> None:
        (bucket,) = stage.store.telemetry.aggregate(
            device, "m", every="1h", start=ago(hours=1), end=NOON, functions=["count", "mean"]
        )
        assert bucket["count"] == 60

    _as_quick(stage, "an hour", hour)


@clause("PRF-023", profile="performance", deep=True, needs=_SERIES)
def deleting_a_range_costs_the_range(stage: Stage) -> None:
    """Deleting a range of points MUST take at most five times as long in a series with fifty times as many others."""
    _short_and_long(stage)
    telemetry = stage.store.telemetry

    def more(device: str) -> str:
        assert telemetry.write([Point(device, "m", later(seconds=n), 1.0) for n in range(20)]).stored == 20
        return device

    def delete(device: str) -> None:
        assert telemetry.delete(device, "m", NOON, later(minutes=1)) == 20

    at_most(
        _GROWTH,
        Work("deleting points of a long series", delete, lambda: more("long")),
        Work("deleting points of a short one", delete, lambda: more("short")),
    )


@clause("PRF-024", profile="performance", deep=True, needs=_SERIES)
def batches_are_cheaper_than_single_points(stage: Stage) -> None:
    """Writing fifty times as many points in a batch MUST take at most ten times as long as writing some one by one."""
    stage.devices("a")
    telemetry, turn = stage.store.telemetry, iter(range(10**9))

    def new(count: int) -> list[Point]:
        start = later(days=next(turn))
        return [Point("a", "m", start + timedelta(milliseconds=n), 1.0) for n in range(count)]

    few = _SHORT[stage.effort] // 6
    at_most(
        _TIMES / 5,
        Work("a batch of points", telemetry.write, lambda: new(few * _TIMES)),
        Work("a fiftieth of it one by one", lambda rows: [telemetry.write([row]) for row in rows], lambda: new(few)),
    )


@clause("PRF-025", profile="performance", deep=True, needs=_SERIES)
def batches_of_points_grow_in_line(stage: Stage) -> None:
    """A batch of points with duplicates and bad rows MUST take at most five times as long for each of them when it
    is fifty times as large."""
    stage.devices("a")
    telemetry, turn = stage.store.telemetry, iter(range(10**9))

    def new(count: int) -> list[Point]:
        start = later(days=next(turn))
        # Of ten rows nine are new, one of those is wrong, and one is a duplicate.
        return [
            Point("a", "m", start + timedelta(milliseconds=n - n % 10 // 9), float("nan" if n % 10 == 4 else n))
            for n in range(count)
        ]

    def store(rows: list[Point]) -> None:
        receipt = telemetry.write(rows, on_invalid="reject")
        assert (receipt.duplicates, len(receipt.rejected)) == (len(rows) // 10, len(rows) // 10)

    few = _SHORT[stage.effort] // 2
    at_most(
        _GROWTH * _TIMES,
        Work("a large batch", store, lambda: new(few * _TIMES)),
        Work("a fiftieth of it", store, lambda: new(few)),
    )


@clause("PRF-026", profile="performance", deep=True, needs=_SERIES)
def streams_of_points_stay_small(stage: Stage) -> None:
    """A stream of many points MUST hold at most two thirds of what a list of them holds in the client's memory."""
    stage.devices("a")
    # A backend may give ten thousand points at once.
    telemetry, count = stage.store.telemetry, 200_000 if stage.effort == "full" else 40_000
    start = int(NOON.timestamp()) * 1_000_000
    telemetry.write_columns("a", "m", [start + n * 1000 for n in range(count)], [1.0] * count)
    listed = held_by_list(lambda: telemetry.range("a", "m"))
    streamed = held_by_stream(lambda: telemetry.stream("a", "m"), every=100)
    assert 0 < streamed <= listed * 2 / 3
