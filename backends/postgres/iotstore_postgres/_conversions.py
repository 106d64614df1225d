"""How Python's values travel: every integer as int8, in binary both ways, so that a text has one prepared statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from struct import Struct
from typing import Any, ClassVar, Final

from psycopg import BaseConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format
from psycopg.types.bool import BoolBinaryDumper
from psycopg.types.numeric import FloatBinaryDumper, Int8BinaryDumper, NumericBinaryLoader
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper

from iotstore.backend import Type, Value
from iotstore_postgres._binary import PACKED_DUMPERS

_NULL: Final = b"\xff\xff\xff\xff"  # a length of -1
_LENGTH: Final = Struct(">i")
# Number of dimensions, whether there are NULLs, the type of the elements, how many, and the number of the first.
_HEAD: Final = Struct(">iiIii")
_EMPTY: Final = Struct(">iiI")
_INT8: Final = Struct(">iq").pack
_FLOAT8: Final = Struct(">id").pack


class Array(list[Value]):
    """The values of one column, or of an ``In``: one parameter whatever their number, typed even when it is empty."""

    __slots__ = ()


class Int8Array(Array):
    """``int8[]``."""

    __slots__ = ()


class Float8Array(Array):
    """``float8[]``."""

    __slots__ = ()


class BoolArray(Array):
    """``bool[]``."""

    __slots__ = ()


class TextArray(Array):
    """``text[]``."""

    __slots__ = ()


class BytesArray(Array):
    """``bytea[]``."""

    __slots__ = ()


class TextSetArray(Array):
    """``text[]`` of the texts of arrays: an array of arrays would have to be a rectangle."""

    __slots__ = ()


#: How many values of each column type travel together.
ARRAYS: Final[dict[Type, type[Array]]] = {
    Type.INT: Int8Array,
    Type.TIME: Int8Array,
    Type.REAL: Float8Array,
    Type.BOOL: BoolArray,
    Type.TEXT: TextArray,
    Type.BYTES: BytesArray,
    Type.TEXTSET: TextSetArray,
}


class _ArrayDumper(Dumper, ABC):
    format = Format.BINARY
    element: ClassVar[int]

    @staticmethod
    @abstractmethod
    def pack(value: Any) -> bytes:
        """One element with its length."""

    def dump(self, obj: Array) -> Buffer:
        count = len(obj)
        if not count:
            return _EMPTY.pack(0, 0, self.element)
        pack = self.pack
        parts = [_NULL if value is None else pack(value) for value in obj]
        return _HEAD.pack(1, 1, self.element, count, 1) + b"".join(parts)


class _Int8ArrayDumper(_ArrayDumper):
    oid, element = 1016, 20

    @staticmethod
    def pack(value: int) -> bytes:
        return _INT8(8, value)


class _Float8ArrayDumper(_ArrayDumper):
    oid, element = 1022, 701

    @staticmethod
    def pack(value: float) -> bytes:
        return _FLOAT8(8, value)


class _BoolArrayDumper(_ArrayDumper):
    oid, element = 1000, 16

    @staticmethod
    def pack(value: bool) -> bytes:
        return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


class _TextArrayDumper(_ArrayDumper):
    oid, element = 1009, 25

    @staticmethod
    def pack(value: str) -> bytes:
        data = value.encode()
        return _LENGTH.pack(len(data)) + data


class _BytesArrayDumper(_ArrayDumper):
    oid, element = 1001, 17

    @staticmethod
    def pack(value: bytes) -> bytes:
        return _LENGTH.pack(len(value)) + value


class _TextSetArrayDumper(_ArrayDumper):
    oid, element = 1009, 25

    @staticmethod
    def pack(value: Sequence[str]) -> bytes:
        members = ",".join('"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"' for tag in value)
        return _TextArrayDumper.pack("{" + members + "}")


class _SumLoader(NumericBinaryLoader):
    """A numeric as an integer: only sums of integers are one here, and those are exact whatever their size."""

    def load(self, data: Buffer) -> Any:
        return int(super().load(data))


_DUMPERS: Final[tuple[tuple[type, type[Dumper]], ...]] = (
    (int, Int8BinaryDumper),
    (float, FloatBinaryDumper),
    (bool, BoolBinaryDumper),
    (str, StrBinaryDumper),
    (bytes, BytesBinaryDumper),
    (Int8Array, _Int8ArrayDumper),
    (Float8Array, _Float8ArrayDumper),
    (BoolArray, _BoolArrayDumper),
    (TextArray, _TextArrayDumper),
    (BytesArray, _BytesArrayDumper),
    (TextSetArray, _TextSetArrayDumper),
)


def register(connection: BaseConnection[Any]) -> None:
    """Teach a new connection how values travel. Its cursors are made with ``binary=True``."""
    adapters = connection.adapters
    for of, dumper in (*_DUMPERS, *PACKED_DUMPERS):
        adapters.register_dumper(of, dumper)
    adapters.register_loader("numeric", _SumLoader)
