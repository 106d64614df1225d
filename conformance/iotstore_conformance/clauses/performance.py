"""A floor under the speed of records: what a cost may grow with, the same on every machine and engine."""

from __future__ import annotations

from collections.abc import Callable

from iotstore import Alert, Device, Group, Membership, Store, field
from iotstore.backend import Capability
from iotstore_conformance.kinds import CELLS, SAMPLES, Cell, Sample
from iotstore_conformance.measuring import Work, at_most, held_by_list, held_by_stream
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Effort, Stage

_SMALL: dict[Effort, int] = {"fast": 60, "full": 600}
_TIMES = 50
_GROWTH = 5.0  # what a cost that doesn't grow may grow by: a search tree is a little deeper, a cache a little colder


def _samples(store: Store, count: int) -> Store:
    """The store, filled with so many samples; every number is there once."""
    store.records(SAMPLES).add_many([Sample(key=f"k{n:06}", number=n) for n in range(count)])
    return store


def _few_and_many(stage: Stage, fill: Callable[[Store, int], Store] = _samples) -> tuple[Store, Store]:
    """A store with few records, and one with fifty times as many."""
    few = _SMALL[stage.effort]
    return fill(stage.store, few), fill(stage.open(stage.new_place()), few * _TIMES)


@clause("PRF-001", profile="performance", deep=True)
def getting_does_not_scan(stage: Stage) -> None:
    """Getting a record by its key MUST take at most five times as long among fifty times as many records."""
    few, many = (store.records(SAMPLES) for store in _few_and_many(stage))
    at_most(
        _GROWTH,
        Work("a record of many", lambda _: [many.get(key) for key in ("k000001", "k000030", "k000055")]),
        Work("a record of few", lambda _: [few.get(key) for key in ("k000001", "k000030", "k000055")]),
    )


@clause("PRF-002", profile="performance", deep=True)
def changing_does_not_scan(stage: Stage) -> None:
    """Changing a record by its key MUST take at most five times as long among fifty times as many records."""
    few, many = (store.records(SAMPLES) for store in _few_and_many(stage))
    at_most(
        _GROWTH,
        Work("a change among many", lambda _: many.update("k000030", text="changed")),
        Work("a change among few", lambda _: few.update("k000030", text="changed")),
    )


@clause("PRF-003", profile="performance", deep=True)
def deleting_does_not_scan(stage: Stage) -> None:
    """Deleting a device MUST take at most five times as long among fifty times as many devices, members and alerts."""

    def fill(store: Store, count: int) -> Store:
        keys = [f"d{n:06}" for n in range(count)]
        store.devices.add_many([Device(key=key) for key in keys])
        store.groups.add(Group(key="g"))
        store.records("membership").add_many([Membership(group="g", device=key) for key in keys])
        store.alerts.add_many([Alert(kind="test", title="t", device=key, time=NOON) for key in keys])
        return store

    def free(store: Store) -> str:
        return store.devices.add(Device(key="free")).key

    few, many = _few_and_many(stage, fill)
    at_most(
        _GROWTH,
        Work("a deletion among many", many.devices.delete, lambda: free(many)),
        Work("a deletion among few", few.devices.delete, lambda: free(few)),
    )


@clause("PRF-004", profile="performance", deep=True)
def pages_start_where_they_start(stage: Stage) -> None:
    """A page from the end of a long list MUST take at most five times as long as the second one of a short list."""
    few, many = (store.records(SAMPLES) for store in _few_and_many(stage))
    order, limit = ["number"], 10
    near = few.page(order=order, limit=limit).next
    far, left = None, _SMALL[stage.effort] * _TIMES - 30
    while left:
        passed = many.page(order=order, limit=min(left, 10_000), after=far)
        far, left = passed.next, left - len(passed.items)
    at_most(
        _GROWTH,
        Work("a page after many records", lambda _: many.page(order=order, limit=limit, after=far)),
        Work("a page after ten records", lambda _: few.page(order=order, limit=limit, after=near)),
    )


@clause("PRF-005", profile="performance", deep=True)
def counting_uses_the_index(stage: Stage) -> None:
    """Counting the records that a filter on an indexed field passes MUST take at most five times as long among
    fifty times as many that it doesn't pass."""
    few, many = (store.records(SAMPLES) for store in _few_and_many(stage))
    where = field("number").in_([3, 17, 41])
    at_most(
        _GROWTH,
        Work("a count among many", lambda _: many.count(where)),
        Work("a count among few", lambda _: few.count(where)),
    )


@clause("PRF-006", profile="performance", deep=True)
def batches_are_cheaper_than_single_records(stage: Stage) -> None:
    """Storing fifty times as many records in a batch MUST take at most twenty-five times as long as storing some
    one by one."""
    cells, turn = stage.store.records(CELLS), iter(range(10**9))

    def new(count: int) -> list[Cell]:
        room = f"r{next(turn)}"
        return [Cell(room=room, number=n, value=n) for n in range(count)]

    few = _SMALL[stage.effort] // 6
    at_most(
        _TIMES / 2,
        Work("a batch", cells.add_many, lambda: new(few * _TIMES)),
        Work("a fiftieth of it one by one", lambda rows: [cells.add(row) for row in rows], lambda: new(few)),
    )


@clause("PRF-007", profile="performance", deep=True)
def batches_grow_in_line(stage: Stage) -> None:
    """A batch with duplicates and bad rows MUST take at most five times as long for each of its records when it is
    fifty times as large."""
    cells, turn = stage.store.records(CELLS), iter(range(10**9))

    def new(count: int) -> list[Cell]:
        room = f"r{next(turn)}"
        # Of ten rows nine are new, one of those is wrong, and one is a duplicate.
        return [Cell(room=room, number=n - n % 10 // 9, value=2**63 if n % 10 == 4 else n) for n in range(count)]

    def store(rows: list[Cell]) -> None:
        receipt = cells.add_many(rows, on_invalid="reject", on_conflict="keep")
        assert (receipt.duplicates, len(receipt.rejected)) == (len(rows) // 10, len(rows) // 10)

    few = _SMALL[stage.effort]
    at_most(
        _GROWTH * _TIMES,
        Work("a large batch", store, lambda: new(few * _TIMES)),
        Work("a fiftieth of it", store, lambda: new(few)),
    )


@clause("PRF-008", profile="performance", deep=True, needs=[Capability.STREAMING])
def streams_stay_small(stage: Stage) -> None:
    """A stream of records MUST hold at most a quarter of what a list of them holds in the client's memory."""
    samples = _samples(stage.store, _SMALL[stage.effort] * _TIMES).records(SAMPLES)
    listed = held_by_list(samples.list)
    streamed = held_by_stream(lambda: samples.stream(rows=50), every=10)
    assert 0 < streamed <= listed / 4


@clause("PRF-009", profile="performance", deep=True, needs=[Capability.PERSISTENCE])
def opening_reads_no_records(stage: Stage) -> None:
    """Opening a store MUST take at most three times as long when it holds fifty times as many records."""
    few = 4_000 if stage.effort == "full" else 200
    places = {count: stage.new_place() for count in (few, few * _TIMES)}
    for count, place in places.items():
        with stage.open(place) as store:
            store.records(CELLS).add_many([Cell(room="r", number=n) for n in range(count)])

    def opened(count: int) -> None:
        with stage.open(places[count]) as store:
            store.records(CELLS).get(("r", 0))

    at_most(
        3.0,
        Work("opening a large store", lambda _: opened(few * _TIMES)),
        Work("opening a small one", lambda _: opened(few)),
    )
