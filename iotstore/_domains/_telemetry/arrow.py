"""Columns that come as Arrow, or from anything that gives itself as Arrow or numpy (pandas, polars, DuckDB)."""

from __future__ import annotations

import sys
from typing import Any, Final

from iotstore._domains._telemetry.arrays import is_array
from iotstore.errors import ConfigurationError, InvalidValue

__all__ = ["from_arrow", "import_extra", "is_list"]

_ZONE_HINT: Final = 'cast it to timestamp("us", "UTC") if it is UTC'


def import_extra(name: str, what: str) -> Any:
    """The module *name*, or the error that tells how to install it."""
    import importlib  # noqa: PLC0415 - costs a millisecond at import, needed for optional modules only

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"{what} needs {name}, which can't be imported",
            hint="run: pip install 'iotstore[arrow]'" + ("" if name in ("numpy", "pyarrow") else f" {name}"),
        ) from error


def is_list(column: object) -> bool:
    """Whether this is a list, which is taken as it is."""
    return isinstance(column, list)


def from_arrow(given: Any, name: str) -> tuple[Any, list[int]]:
    """The column as an array of numpy, or as a list of texts, and the rows that are null in it.

    What is neither Arrow nor anything that turns itself into arrays is handed back as it is.
    """
    if is_list(given):
        return given, []
    if is_array(given):
        mask = getattr(given, "mask", None)
        if mask is None:
            return given, []
        np = sys.modules["numpy"]  # a masked array: what is masked is null
        return given.data, np.flatnonzero(np.ma.getmaskarray(given)).tolist()
    streams = hasattr(given, "__arrow_c_stream__")
    if streams or hasattr(given, "__arrow_c_array__"):
        pa = import_extra("pyarrow", "an Arrow column")
        array = pa.chunked_array(given).combine_chunks() if streams else pa.array(given)
        if isinstance(array, pa.ChunkedArray):  # older releases give back one of no chunks
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        return _plain(pa, array, name)
    if hasattr(given, "to_numpy"):
        return given.to_numpy(), []
    return given, []


def _plain(pa: Any, array: Any, name: str) -> tuple[Any, list[int]]:
    types, of = pa.types, array.type
    if types.is_dictionary(of):
        array = array.dictionary_decode()
        of = array.type
    nulls: list[int] = []
    if array.null_count:
        nulls = array.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist()
    if types.is_null(of):
        return [None] * len(array), nulls
    if types.is_timestamp(of) and name == "times":
        if of.tz is None:
            raise InvalidValue("an Arrow column of timestamps without time zone", field=name, hint=_ZONE_HINT)
        integers = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        return integers.view(f"datetime64[{of.unit}]"), nulls
    if types.is_integer(of) or types.is_floating(of):
        return array.fill_null(0).to_numpy(zero_copy_only=False), nulls
    if types.is_boolean(of):
        return array.fill_null(False).to_numpy(zero_copy_only=False), nulls
    if types.is_string(of) or types.is_large_string(of) or types.is_string_view(of):
        return array.to_pylist(), nulls
    raise InvalidValue(f"an Arrow column of {of}", field=name, hint="cast it to a type that a metric has")
