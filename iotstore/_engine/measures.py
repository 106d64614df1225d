"""Measures of an aggregate: what an engine is asked for each, and how its answer is finished here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

from iotstore import _values as values
from iotstore._kinds import fields as f
from iotstore._kinds.codec import Codec, application_value
from iotstore._kinds.fields import Field
from iotstore._query.grouping import MeasureOf
from iotstore._query.lower import comparable, known_field
from iotstore._waist.layout import Type
from iotstore._waist.queries import Function, Measure
from iotstore.errors import InvalidValue, Overflow

Finish: TypeAlias = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class Output:
    """One measure: the waist's measures it needs, by position in the result row, and how they are finished.

    *direct* says that its first measure orders groups as the finished value does.
    """

    name: str
    positions: tuple[int, ...]
    finish: Finish
    direct: bool


def lower_measures(
    codec: Codec[Any], measures: Mapping[str, MeasureOf], *, split: bool
) -> tuple[list[Measure], list[Output]]:
    """What to ask for, and the outputs made of it. With *split* integer sums are asked for in two halves."""
    asked: list[Measure] = []
    outputs: list[Output] = []
    for name, of in measures.items():
        wanted, finish = _lowered(codec, of, split=split)
        positions = tuple(range(len(asked), len(asked) + len(wanted)))
        outputs.append(Output(name, positions, finish, direct=of.function != "mean" and len(wanted) < 3))
        asked += wanted
    return asked, outputs


def is_real_sum(codec: Codec[Any], of: MeasureOf) -> bool:
    """Whether the measure adds up doubles, so that engines agree on it only nearly."""
    if of.field is None or of.function not in ("sum", "mean"):
        return False
    return known_field(codec, of.field).declared.type is Type.REAL


def _lowered(codec: Codec[Any], of: MeasureOf, *, split: bool) -> tuple[list[Measure], Finish]:
    if of.field is None:
        return [Measure(Function.COUNT)], lambda got: got[0]
    field = known_field(codec, of.field)
    if of.function == "count":
        return [Measure(Function.COUNT, field.name)], lambda got: got[0]
    field = comparable(codec, of.field)
    if of.function == "count_distinct":
        return [Measure(Function.COUNT_DISTINCT, field.name)], lambda got: got[0]
    if of.function in ("min", "max"):
        function = Function.MIN if of.function == "min" else Function.MAX
        if isinstance(field.declared, f.Address):
            return [Measure(function, field.order)], lambda got: got[0] and values.address_of_order(got[0])
        return [Measure(function, field.name)], lambda got: codec.free(field, got[0])
    if field.declared.type not in (Type.INT, Type.REAL, Type.BOOL):
        raise InvalidValue(f"has no {of.function}: it is no number", field=field.name)
    sums = [Measure(Function.SUM, field.name)]
    if split and field.declared.type is not Type.REAL:
        sums = [Measure(Function.SUM_HIGH, field.name), Measure(Function.SUM_LOW, field.name)]
    counted = [Measure(Function.COUNT, field.name)]
    finish = _sum if of.function == "sum" else _mean
    return sums + counted, lambda got: finish(field, got[:-1], got[-1])


def _joined(field: Field, halves: Sequence[Any]) -> int | float:
    if len(halves) == 2:
        return int(halves[0]) * 2**32 + int(halves[1])
    if field.declared.type is not Type.REAL:
        return int(halves[0])
    total = float(halves[0])
    if not math.isfinite(total):
        raise beyond_double(field.name)
    return total


def _sum(field: Field, halves: Sequence[Any], count: int) -> Any:
    # A sum of nothing is 0 or NULL depending on the engine; the count beside it decides.
    if not count:
        return None
    total = _joined(field, halves)
    if isinstance(total, int) and not values.MIN_INT <= total <= values.MAX_INT:
        raise Overflow(f"the sum of {field.name} is beyond 64 bits")
    return total if isinstance(field.declared, f.Flag) else application_value(field, total)


def _mean(field: Field, halves: Sequence[Any], count: int) -> Any:
    if not count:
        return None
    total = _joined(field, halves)
    if isinstance(field.declared, f.Duration):
        return application_value(field, round(Fraction(total) / count))
    return total / count


def beyond_double(name: str) -> Overflow:
    """The error for a sum that no double holds."""
    return Overflow(f"the sum of {name} is beyond a double")


_COMPACT: Final = 10_000


class ExactSum:
    """A sum of doubles, rounded once at the end, whatever their order and number, in bounded memory."""

    __slots__ = ("_parts", "_pending", "count")

    def __init__(self) -> None:
        #: How many values were added.
        self.count = 0
        self._parts: list[float] = []
        self._pending = _COMPACT

    def add(self, value: float) -> None:
        """Add one value."""
        self.count += 1
        self._parts.append(value)
        if len(self._parts) >= self._pending:
            self._parts = _compacted(self._parts)
            self._pending = len(self._parts) + _COMPACT

    def total(self) -> float:
        """The sum; OverflowError when no double holds it."""
        try:
            return math.fsum(self._parts)
        except OverflowError:
            # It left the range on the way; whether the whole does is told exactly.
            return float(sum(map(Fraction, self._parts), Fraction(0)))


def _compacted(parts: list[float]) -> list[float]:
    """A few doubles with exactly the same sum: the rounded sum, then what it misses, and so on."""
    found: list[float] = []
    try:
        while rest := math.fsum([*parts, *(-part for part in found)]):
            found.append(rest)
    except OverflowError:
        return parts
    return found
