"""Order and paging: every order is total, every page continues where the last one ended."""

from __future__ import annotations

from itertools import product

import pytest

from iotstore import InvalidValue, field
from iotstore_conformance.kinds import CELLS, SAMPLES, Cell, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, later


def _fill(stage: Stage) -> list[Sample]:
    """Records with many ties and missing values in two fields, added in an order of no meaning."""
    rows = [
        Sample(key=f"k{n * 7 % 36:02}", number=None if n % 4 == 0 else n % 3, real=None if n % 5 == 0 else float(n % 2))
        for n in range(36)
    ]
    stage.store.records(SAMPLES).add_many(rows)
    return stage.store.records(SAMPLES).list(order=["key"])


def _sorted(rows: list[Sample], order: list[str]) -> list[Sample]:
    """The rows in the order that the contract promises."""
    carried = "-key" if order[-1].startswith("-") else "key"
    for name in reversed([*order, carried]):
        plain = name.removeprefix("-")

        def rank(row: Sample, plain: str = plain) -> tuple[bool, object]:
            value = getattr(row, plain)
            return (value is not None, value if value is not None else 0)

        rows = sorted(rows, key=rank, reverse=name.startswith("-"))
    return rows


@clause("PAG-001")
def missing_values_sort_smallest(stage: Stage) -> None:
    """A missing value MUST sort smallest: first ascending, last descending."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="b", number=-5), Sample(key="a"), Sample(key="c", number=5)])
    assert [sample.key for sample in samples.list(order=["number"])] == ["a", "b", "c"]
    assert [sample.key for sample in samples.list(order=["-number"])] == ["c", "b", "a"]


@clause("PAG-002")
def ties_end_with_the_key(stage: Stage) -> None:
    """Every order MUST be total: ties are decided by the key, in the direction of the last field named."""
    rows = _fill(stage)
    samples = stage.store.records(SAMPLES)
    for order in (["number"], ["-number"], ["real", "number"]):
        assert samples.list(order=order) == _sorted(rows, order)
    assert samples.list() == rows


@clause("PAG-003")
def pages_cover_every_order(stage: Stage) -> None:
    """Pages MUST give every record once and in order, for every mix of directions and with missing values."""
    rows = _fill(stage)
    samples = stage.store.records(SAMPLES)
    for first, second in product(["number", "-number"], ["real", "-real"]):
        order, seen, after = [first, second], list[Sample](), None
        while True:
            page = samples.page(order=order, limit=5, after=after)
            assert len(page.items) <= 5
            seen += page.items
            after = page.next
            if after is None:
                break
        assert seen == _sorted(rows, order)


@clause("PAG-004")
def pages_survive_inserts(stage: Stage) -> None:
    """A page MUST continue after the last record of the page before, whatever was added or deleted meanwhile."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n:02}", number=n // 4) for n in range(0, 40, 2)])
    seen: list[str] = []
    after, round_ = None, 0
    while True:
        page = samples.page(order=["-number"], limit=3, after=after)
        seen += [sample.key for sample in page.items]
        if page.next is None:
            break
        after = page.next
        samples.add(Sample(key=f"new{round_}", number=100))
        if round_ == 1:
            samples.delete(page.items[-1].key)
        round_ += 1
    assert len(seen) == len(set(seen))
    assert [key for key in seen if key.startswith("k")] == sorted(seen, reverse=True)


@clause("PAG-005")
def the_last_page_says_so(stage: Stage) -> None:
    """A page MUST have a cursor if more records follow, and none on the last page, also when it is exactly full."""
    samples = stage.store.records(SAMPLES)
    assert samples.page().items == samples.list()
    assert samples.page().next is None
    samples.add_many([Sample(key=f"k{n}") for n in range(4)])
    assert samples.page(limit=4).next is None
    page = samples.page(limit=3)
    assert page.next is not None
    assert [sample.key for sample in samples.page(limit=3, after=page.next).items] == ["k3"]


@clause("PAG-006")
def limits_are_checked(stage: Stage) -> None:
    """A limit MUST be positive where it sizes a page; -1 never means all, and a limit is never exceeded."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}") for n in range(5)])
    assert len(samples.list(limit=2)) == 2
    for limit in (-1, 0):
        with pytest.raises(InvalidValue, match="limit"):
            samples.page(limit=limit)
    with pytest.raises(InvalidValue, match="limit"):
        samples.list(limit=-1)


@clause("PAG-007")
def cursors_belong_to_their_question(stage: Stage) -> None:
    """A cursor that is damaged, or that belongs to another order, MUST be refused."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", number=n) for n in range(5)])
    cursor = samples.page(order=["number"], limit=2).next
    assert cursor is not None
    for order, after in ((["number"], "nonsense"), (["number"], cursor[:-3]), (["-number", "real"], cursor)):
        with pytest.raises(InvalidValue, match=r"cursor|after|page"):
            samples.page(order=order, after=after, limit=2)


@clause("PAG-008")
def pages_are_filtered(stage: Stage) -> None:
    """Pages of a filtered selection MUST hold only what passes the filter, in full pages."""
    rows = _fill(stage)
    samples = stage.store.records(SAMPLES)
    where = (field("number") == 1) | field("real").is_null()
    expected = [row.key for row in rows if row.number == 1 or row.real is None]
    seen: list[str] = []
    after = None
    while True:
        page = samples.page(where, limit=4, after=after)
        seen += [sample.key for sample in page.items]
        if page.next is None:
            break
        assert len(page.items) == 4
        after = page.next
    assert seen == expected


@clause("PAG-009")
def streams_are_complete(stage: Stage) -> None:
    """A stream MUST give what a list gives, in the same order, in pieces of any size."""
    rows = _fill(stage)
    samples = stage.store.records(SAMPLES)
    for size in (1, 7, 1000):
        assert list(samples.stream(order=["-number"], rows=size)) == _sorted(rows, ["-number"])
    assert [row.key for row in samples.stream(field("number") == 2)] == [row.key for row in rows if row.number == 2]
    assert list(samples.stream(field("number") == 99)) == []


@clause("PAG-010")
def streams_can_be_left(stage: Stage) -> None:
    """A stream that is left early MUST hold no lock: the store can be written to at once."""
    _fill(stage)
    samples = stage.store.records(SAMPLES)
    stream = samples.stream(rows=2)
    assert next(iter(stream)).key == "k00"
    del stream
    samples.add(Sample(key="later"))
    assert samples.count() == 37


@clause("PAG-011")
def composed_keys_page(stage: Stage) -> None:
    """Records with a key of several fields MUST be ordered and paged by all of them."""
    cells = stage.store.records(CELLS)
    rows = [Cell(room=room, number=number) for room in ("b", "a") for number in (10, 9, -1)]
    cells.add_many(rows)
    expected = sorted((row.room, row.number) for row in rows)
    seen: list[tuple[str, int]] = []
    after = None
    while True:
        page = cells.page(limit=2, after=after)
        seen += [(cell.room, cell.number) for cell in page.items]
        if page.next is None:
            break
        after = page.next
    assert seen == expected
    assert cells.get(("a", 9)) == Cell(room="a", number=9)


@clause("PAG-012")
def the_first_is_the_first(stage: Stage) -> None:
    """`first` MUST give the first record of the order, or None where nothing passes."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", when=later(seconds=n % 3)) for n in range(5)])
    found = samples.first(order=["-when"])
    assert found is not None
    assert found.key == "k2"
    assert samples.first(field("when") > later(days=1)) is None
    assert samples.first(field("when") == NOON, order=["-key"]) == samples.get("k3")


@clause("PAG-013")
def many_keys_are_read_at_once(stage: Stage) -> None:
    """`get_many` MUST answer in the order asked, None for what is missing, for repeated and for many thousands of
    keys."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", number=n) for n in range(50)])
    found = samples.get_many(["k3", "missing", "k1", "k3"])
    assert [sample and sample.number for sample in found] == [3, None, 1, 3]
    many = samples.get_many([f"k{n}" for n in range(40_000)])
    assert [sample.number for sample in many if sample is not None] == list(range(50))
    assert len(many) == 40_000
    assert samples.get_many([]) == []
