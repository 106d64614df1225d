"""A batch of points in the order of its keys, each key once: so every writer takes its locks in one order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from iotstore.backend import PointType, Value
from iotstore_postgres._binary import Code, numpy
from iotstore_postgres._latest import COLUMN
from iotstore_postgres._partitions import Grid

#: From so many points on, arrays are made of lists: making them costs less than what they save.
_MANY = 200


class Batch(NamedTuple):
    """Aligned columns, sorted by series and time, without a repeated key: three lists, or three arrays of numpy."""

    series: Sequence[int]
    times: Sequence[int]
    values: Sequence[Value]
    code: Code

    def newest(self) -> Batch:
        """The newest point of each series."""
        series, times, values, code = self
        last = len(series) - 1
        if isinstance(series, list):
            ends = [at for at, (one, following) in enumerate(pairwise(series)) if one != following]
            ends.append(last)
            return Batch([series[at] for at in ends], [times[at] for at in ends], [values[at] for at in ends], code)
        np: Any = numpy()
        columns: tuple[Any, Any, Any] = (series, times, values)
        after, before = columns[0][1:], columns[0][:-1]
        positions = np.append(np.flatnonzero(after != before), last)
        return Batch(columns[0][positions], columns[1][positions], columns[2][positions], code)

    def span(self) -> tuple[int, int]:
        """The first and the last time."""
        if isinstance(self.times, list):
            return min(self.times), max(self.times)
        times: Any = self.times
        return int(times.min()), int(times.max())

    def partitions(self, grid: Grid) -> list[int]:
        """The numbers of the partitions that the points lie in, ascending."""
        first, last = map(grid.number, self.span())
        if last - first <= 1:
            return [first] if first == last else [first, last]
        if isinstance(self.times, list):
            return sorted(set(map(grid.number, self.times)))
        np: Any = numpy()
        found = np.unique((np.clip(self.times, grid.first - 1, grid.last) - grid.first) // grid.width)
        numbers: list[int] = found.tolist()
        return numbers


def prepare(
    of: PointType, series: Sequence[int], times: Sequence[int], values: Sequence[Value], *, last_wins: bool
) -> Batch:
    """A batch of columns as they come. Of a key that repeats the first value stays, or the last one."""
    code = COLUMN[of][1]
    if code != "t" and (len(times) >= _MANY or hasattr(times, "dtype")) and (np := numpy()) is not None:
        columns = (
            np.asarray(series, np.int64),
            np.asarray(times, np.int64),
            np.asarray(values, np.float64 if code == "d" else np.int64),
        )
        return Batch(*_sorted_arrays(np, *columns, last_wins), code)
    return Batch(*_sorted_lists(_listed(series), _listed(times), _listed(values), last_wins), code)


def _listed(column: Sequence[Value]) -> list[Value]:
    if type(column) is list:
        return column
    to_list = getattr(column, "tolist", None)  # arrays of numpy, and of the standard library
    return list(column) if to_list is None else to_list()


def _sorted_arrays(np: Any, series: Any, times: Any, values: Any, last_wins: bool) -> tuple[Any, Any, Any]:
    same = series[1:] == series[:-1]
    if ((series[1:] > series[:-1]) | (same & (times[1:] > times[:-1]))).all():
        return series, times, values
    order = np.lexsort((times, series))  # stable: the first of equal keys stays the first
    series, times, values = series[order], times[order], values[order]
    differs = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
    if differs.all():
        return series, times, values
    keep = np.append(differs, True) if last_wins else np.insert(differs, 0, True)
    return series[keep], times[keep], values[keep]


def _sorted_lists(
    series: list[int], times: list[int], values: list[Value], last_wins: bool
) -> tuple[list[int], list[int], list[Value]]:
    keys = list(zip(series, times, strict=True))
    if all(one < following for one, following in pairwise(keys)):
        return series, times, values
    if last_wins:
        unique = dict(zip(keys, values, strict=True))
    else:
        unique = dict(zip(reversed(keys), reversed(values), strict=True))
    order = sorted(unique)
    return [key[0] for key in order], [key[1] for key in order], [unique[key] for key in order]
