"""Aggregates over records: exact integers, tolerant doubles, groups in a total order."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from iotstore import InvalidValue, Overflow, count, count_distinct, every, field, max_, mean, min_, part, sum_
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.samples import HARD_SUMS
from iotstore_conformance.stage import NOON, Stage, later


def _add(stage: Stage, **columns: list[Any]) -> None:
    length = len(next(iter(columns.values())))
    rows = [Sample(key=f"k{n:05}", **{name: values[n] for name, values in columns.items()}) for n in range(length)]
    stage.store.records(SAMPLES).add_many(rows)


def _one(stage: Stage, **measures: Any) -> dict[str, object]:
    (row,) = stage.store.records(SAMPLES).aggregate(measures)
    return dict(row)


@clause("AGG-001")
def sums_of_nothing(stage: Stage) -> None:
    """Without a value a count MUST be 0, and sum, mean, min and max be missing."""
    expected = {"n": 0, "v": 0, "s": None, "m": None, "lo": None, "hi": None}
    measures = {"n": count(), "v": count("number"), "s": sum_("number"), "m": mean("number")}
    assert _one(stage, **measures, lo=min_("number"), hi=max_("number")) == expected
    _add(stage, number=[None, None])
    assert _one(stage, **measures, lo=min_("number"), hi=max_("number")) == {**expected, "n": 2}


@clause("AGG-002")
def counts_count(stage: Stage) -> None:
    """`count` MUST count records, count of a field its values, and count_distinct its different values by
    code point."""
    _add(stage, text=["a", "A", "a", None, "e\u0301", "\u00e9", ""])
    measures = {"n": count(), "v": count("text"), "d": count_distinct("text")}
    assert _one(stage, **measures) == {"n": 7, "v": 6, "d": 5}


@clause("AGG-003")
def integer_sums_are_exact(stage: Stage) -> None:
    """A sum of integers MUST be exact, also where parts of it leave 64 bits on the way."""
    big = 2**63 - 1
    _add(stage, number=[big, big, -big, -big, 2**53 + 1, 5, None])
    assert _one(stage, s=sum_("number")) == {"s": 2**53 + 6}
    small = field("number").in_([2**53 + 1, 5])
    assert stage.store.records(SAMPLES).aggregate({"s": sum_("number")}, where=small) == [{"s": 2**53 + 6}]
    odd = field("number") == 2**53 + 1
    assert stage.store.records(SAMPLES).aggregate({"s": sum_("number")}, where=odd) == [{"s": 2**53 + 1}]


@clause("AGG-004")
def integer_sums_overflow_loudly(stage: Stage) -> None:
    """A sum of integers that doesn't fit 64 bits MUST raise Overflow, never turn into a double."""
    _add(stage, number=[2**63 - 1, 1])
    with pytest.raises(Overflow, match=r"number|sum"):
        _one(stage, s=sum_("number"))


@clause("AGG-005")
def integer_means_are_quotients(stage: Stage) -> None:
    """The mean of integers MUST be the exact sum divided by the count, also where the sum leaves 64 bits."""
    numbers = [2**53 + 1, 2**53 + 3, 2**62, -7]
    _add(stage, number=numbers)
    assert _one(stage, m=mean("number")) == {"m": sum(numbers) / 4}


@clause("AGG-006")
def double_sums_are_close(stage: Stage) -> None:
    """Sums and means of doubles MUST lie within 1e-12 of the sum of absolute values."""
    values = [(-1) ** n * (0.1 + n * 1e7 / 3) for n in range(2000)]
    _add(stage, real=values)
    found = _one(stage, s=sum_("real"), m=mean("real"))
    tolerance = 1e-12 * math.fsum(map(abs, values))
    assert isinstance(found["s"], float)
    assert abs(found["s"] - math.fsum(values)) <= tolerance
    assert isinstance(found["m"], float)
    assert abs(found["m"] - math.fsum(values) / 2000) <= tolerance / 2000


@clause("AGG-007")
def exact_sums_are_exact(stage: Stage) -> None:
    """With exact=True a sum of doubles MUST be the correctly rounded one, whatever cancels."""
    samples = stage.store.records(SAMPLES)
    for n, values in enumerate(HARD_SUMS):
        samples.add_many([Sample(key=f"{n}-{at:05}", number=n, real=value) for at, value in enumerate(values)])
        measures = {"s": sum_("real"), "m": mean("real")}
        (row,) = samples.aggregate(measures, where=field("number") == n, exact=True)
        assert row["s"] == math.fsum(values)
        assert row["m"] == math.fsum(values) / len(values)


@clause("AGG-008")
def double_sums_overflow_loudly(stage: Stage) -> None:
    """A sum of doubles that leaves the range MUST raise Overflow, never answer infinity."""
    _add(stage, real=[1.7e308, 1.7e308])
    with pytest.raises(Overflow, match=r"real|sum"):
        _one(stage, s=sum_("real"))


@clause("AGG-009")
def extremes_of_every_type(stage: Stage) -> None:
    """Min and max MUST work by the order of every ordered type and return values of that type."""
    _add(
        stage,
        text=["b", "\U0001f600", None, "\uffff"],
        when=[later(days=1), None, NOON, NOON],
        real=[0.5, -0.0, None, 2.0],
    )
    measures = {"lt": min_("text"), "ht": max_("text"), "lw": min_("when"), "hw": max_("when"), "lr": min_("real")}
    assert _one(stage, **measures) == {"lt": "b", "ht": "\U0001f600", "lw": NOON, "hw": later(days=1), "lr": 0.0}


@clause("AGG-010")
def groups_are_told_apart(stage: Stage) -> None:
    """Groups MUST be made by value, missing being a group of its own, and come ordered by the group."""
    _add(stage, text=["b", None, "B", "b", "a"], number=[1, 2, 3, 4, 5])
    rows = stage.store.records(SAMPLES).aggregate({"n": count(), "s": sum_("number")}, by=["text"])
    found = [(row["text"], row["n"], row["s"]) for row in rows]
    assert found == [(None, 1, 2), ("B", 1, 3), ("a", 1, 5), ("b", 2, 5)]


@clause("AGG-011")
def groups_are_ordered_and_limited(stage: Stage) -> None:
    """Groups MUST be ordered by measures where asked, ties by the group, and limited after ordering."""
    _add(stage, text=list("aabbccd"), number=[1, 1, 5, 5, 3, 7, 1])
    samples = stage.store.records(SAMPLES)
    rows = samples.aggregate({"s": sum_("number")}, by=["text"], order=["-s"], limit=3)
    assert [(row["text"], row["s"]) for row in rows] == [("b", 10), ("c", 10), ("a", 2)]
    rows = samples.aggregate({"n": count()}, by=["text"], where=field("number") == 1, order=["n"])
    assert [(row["text"], row["n"]) for row in rows] == [("d", 1), ("a", 2)]


@clause("AGG-012")
def groups_by_time(stage: Stage) -> None:
    """Groups by a time bucket MUST start on its edges, also before 1970, with no group for an empty bucket."""
    epoch = NOON - (NOON - NOON.replace(year=1970, month=1, day=1, hour=0))
    times = [epoch - timedelta(microseconds=1), epoch, epoch + timedelta(minutes=59), epoch + timedelta(hours=2), None]
    _add(stage, when=times)
    rows = stage.store.records(SAMPLES).aggregate({"n": count()}, by=[every("when", "1h")])
    hour = timedelta(hours=1)
    assert [(row["when"], row["n"]) for row in rows] == [(epoch - hour, 1), (epoch, 2), (epoch + 2 * hour, 1)]


@clause("AGG-013")
def groups_by_part_of_time(stage: Stage) -> None:
    """Groups by a part of a time MUST follow the clocks of the zone; weekdays count from Monday, which is 1."""
    _add(stage, when=[NOON, later(hours=12), later(days=4, hours=11), later(days=7)])
    samples = stage.store.records(SAMPLES)
    rows = samples.aggregate({"n": count()}, by=[part("when", "weekday", zone="Europe/Kyiv")])
    assert [tuple(row.values()) for row in rows] == [(1, 1), (3, 2), (4, 1)]
    rows = samples.aggregate({"n": count()}, by=[part("when", "hour", zone="Europe/Kyiv")])
    assert [tuple(row.values()) for row in rows] == [(1, 1), (2, 1), (14, 2)]


@clause("AGG-014")
def measures_are_checked(stage: Stage) -> None:
    """A measure that its field's type can't answer MUST be refused by name."""
    _add(stage, text=["a"], json=[{}])
    for measure in (sum_("text"), mean("when"), sum_("json"), sum_("nothing")):
        with pytest.raises(InvalidValue, match=r"text|when|json|nothing"):
            _one(stage, x=measure)
