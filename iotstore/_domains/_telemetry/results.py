"""What telemetry answers with: buckets, and points as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from iotstore._domains._telemetry.arrow import import_extra
from iotstore._kinds.telemetry import MetricType, PointValue
from iotstore._waist.queries import Columns

__all__ = ["Bucket", "PointColumns", "gather"]

# numpy.ndarray, pyarrow.Table, DataFrame: none of them is there for everybody, and two bring no types.
NumpyArray: TypeAlias = Any
ArrowTable: TypeAlias = Any
DataFrame: TypeAlias = Any


class Bucket(msgspec.Struct, frozen=True):
    """One time interval of an aggregate of one series: half-open, with a value per function.

    ``bucket["mean"]`` is the value of one function. *start* and *end* are the whole interval, also where the asked
    range begins or ends inside it.
    """

    device: str
    metric: str
    start: datetime
    end: datetime
    values: Mapping[str, PointValue | None]

    def __getitem__(self, function: str) -> PointValue | None:
        return self.values[function]


class PointColumns(msgspec.Struct, frozen=True, eq=False):
    """The points of one series as two aligned columns, in time order.

    *times* are integer microseconds since 1970 in UTC; *values* have the metric's *type*. Columns of numbers are
    arrays of 8 bytes per value, which numpy and Arrow take as they are.
    """

    device: str
    metric: str
    type: MetricType
    times: Sequence[int]
    values: Sequence[PointValue]

    def __len__(self) -> int:
        return len(self.times)

    def to_numpy(self) -> tuple[NumpyArray, NumpyArray]:
        """Times as ``datetime64[us]`` and values as ``float64``, ``int64``, ``bool`` or objects (text)."""
        np = import_extra("numpy", "to_numpy()")
        times = np.frombuffer(self.times, dtype=np.int64) if self.times else np.empty(0, dtype=np.int64)
        dtype = {"float": np.float64, "int64": np.int64, "bool": bool, "text": object}[self.type]
        if self.type in ("float", "int64"):
            values = np.frombuffer(self.values, dtype=dtype) if self.values else np.empty(0, dtype=dtype)
        else:
            values = np.array(self.values, dtype=dtype)
        return times.view("datetime64[us]"), values

    def to_arrow(self) -> ArrowTable:
        """A table of the columns ``time`` (``timestamp[us, UTC]``) and ``value``."""
        pa = import_extra("pyarrow", "to_arrow()")
        times = _arrow(pa, self.times, pa.timestamp("us", "UTC"))
        of = {"float": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(), "text": pa.string()}[self.type]
        return pa.table({"time": times, "value": _arrow(pa, self.values, of)})

    def to_pandas(self) -> DataFrame:
        """A frame of the columns ``time`` (UTC) and ``value``."""
        import_extra("pandas", "to_pandas()")
        return self.to_arrow().to_pandas()


def _arrow(pa: Any, column: Sequence[Any], of: Any) -> Any:
    if not isinstance(column, array):
        return pa.array(column, type=of)
    return pa.Array.from_buffers(of, len(column), [None, pa.py_buffer(column)])


def gather(device: str, metric: str, of: MetricType, chunks: Iterable[Columns]) -> PointColumns:
    """All chunks of a scan as one pair of columns."""
    times = array("q")
    values: Any = array("d") if of == "float" else array("q") if of == "int64" else []
    for chunk_times, chunk_values in chunks:
        times.extend(chunk_times)
        values.extend(chunk_values)
    return PointColumns(device, metric, of, times, values)
