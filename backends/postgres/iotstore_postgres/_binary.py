"""Columns of points in the server's binary forms: rows for COPY, arrays for parameters, and packed answers."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final, Literal, TypeAlias

from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from iotstore.backend import Value

#: A column of a row as COPY and arrays know it: a 64-bit integer, a double, or text.
Code: TypeAlias = Literal["q", "d", "t"]

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # without flags, and no extension of the header
_END: Final = b"\xff\xff"
# Three columns, each with its length before it: 38 bytes of a row whose values have 8 each.
_ROW: Final = {"q": Struct(">hiqiqiq").pack, "d": Struct(">hiqiqid").pack}
_TEXT_ROW: Final = Struct(">hiqiqi").pack
_LENGTH: Final = Struct(">i").pack
# Of an array: dimensions, whether there are NULLs, the type of the elements, how many, the number of the first.
_HEAD: Final = Struct(">iiIii").pack
_ELEMENT: Final[dict[Code, int]] = {"q": 20, "d": 701, "t": 25}


@lru_cache(maxsize=1)
def numpy() -> Any | None:
    """The numpy module if it is installed: columns are packed five times as fast with it."""
    try:
        import numpy as np  # optional, and a tenth of a second
    except ImportError:
        return None
    return np


def rows_in(series: Sequence[int], times: Sequence[int], values: Sequence[Value], code: Code) -> bytes:
    """What ``COPY ... FROM STDIN (FORMAT BINARY)`` reads of rows of series, time and value.

    Columns are lists, or all of them arrays of numpy.
    """
    if not isinstance(times, list):
        return b"".join((_SIGNATURE, _numpy_rows(series, times, values, code), _END))
    parts = [_SIGNATURE]
    add = parts.append
    if code == "t":
        pack = _TEXT_ROW
        for one, moment, value in zip(series, times, values, strict=True):
            text = value.encode()
            add(pack(3, 8, one, 8, moment, len(text)))
            add(text)
    else:
        row = _ROW[code]
        parts += [row(3, 8, one, 8, moment, 8, value) for one, moment, value in zip(series, times, values, strict=True)]
    add(_END)
    return b"".join(parts)


@lru_cache(maxsize=2)
def _row_type(code: Code) -> Any:
    np: Any = numpy()
    value = ">f8" if code == "d" else ">i8"
    return np.dtype(
        [("n", ">i2"), ("a", ">i4"), ("series", ">i8"), ("b", ">i4"), ("time", ">i8"), ("c", ">i4"), ("value", value)]
    )


def _numpy_rows(series: Any, times: Any, values: Any, code: Code) -> bytes:
    np: Any = numpy()
    rows = np.empty(len(times), _row_type(code))
    rows["n"] = 3
    rows["a"] = rows["b"] = rows["c"] = 8
    rows["series"], rows["time"], rows["value"] = series, times, values
    return bytes(rows.tobytes())


class PackedIntegers(bytes):
    """The elements of an ``int8[]``, packed."""

    __slots__ = ()


class PackedDoubles(bytes):
    """The elements of a ``float8[]``, packed."""

    __slots__ = ()


class PackedTexts(bytes):
    """The elements of a ``text[]``, packed."""

    __slots__ = ()


_PACKED: Final[dict[Code, type[bytes]]] = {"q": PackedIntegers, "d": PackedDoubles, "t": PackedTexts}
_ELEMENTS: Final[dict[Code, Callable[..., bytes]]] = {"q": Struct(">iq").pack, "d": Struct(">id").pack}


def array_in(column: Sequence[Value], code: Code) -> bytes:
    """A column, which is not empty, as the parameter of one array."""
    head = _HEAD(1, 0, _ELEMENT[code], len(column), 1)
    if not isinstance(column, list):
        np: Any = numpy()
        elements = np.empty(len(column), np.dtype([("length", ">i4"), ("value", ">f8" if code == "d" else ">i8")]))
        elements["length"] = 8
        elements["value"] = column
        return _PACKED[code](head + elements.tobytes())
    if code == "t":
        parts = [head]
        for value in column:
            text = value.encode()
            parts.append(_LENGTH(len(text)))
            parts.append(text)
        return PackedTexts(b"".join(parts))
    pack = _ELEMENTS[code]
    return _PACKED[code](head + b"".join([pack(8, value) for value in column]))


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        return obj


class _IntegersDumper(_PackedDumper):
    oid = 1016


class _DoublesDumper(_PackedDumper):
    oid = 1022


class _TextsDumper(_PackedDumper):
    oid = 1009


#: How packed columns travel: to be registered on every connection.
PACKED_DUMPERS: Final[tuple[tuple[type, type[Dumper]], ...]] = (
    (PackedIntegers, _IntegersDumper),
    (PackedDoubles, _DoublesDumper),
    (PackedTexts, _TextsDumper),
)


def unpacked(data: bytes, code: Literal["q", "d"]) -> tuple[array[int], array[Any]]:
    """Times and values that the server has packed in turns: 8 bytes for each, the most significant first."""
    pairs = array("q", data)
    if sys.byteorder == "little":
        pairs.byteswap()
    times, values = pairs[::2], pairs[1::2]
    return times, array(code, values.tobytes()) if code == "d" else values
