"""Everything in which one SQL database differs from the next, as one small object to override."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect as Compiler

from iotstore.backend import Column, Function, Layout, Type, Value

Expression: TypeAlias = sa.ColumnElement[Any]
Convert: TypeAlias = Callable[[Any], Value]

_LOW_32 = sa.literal_column(str(2**32 - 1), sa.BigInteger())
_32 = sa.literal_column("32", sa.Integer())


class Parameters:
    """Hands out the parameters of one statement, in the order in which their values will be given."""

    def __init__(self) -> None:
        self.count = 0
        self.conversions: list[tuple[int, Convert]] = []

    def take(self, of: sa.types.TypeEngine[Any] | None = None, convert: Convert | None = None) -> sa.BindParameter[Any]:
        """The next parameter. Its value goes through *convert* whenever the statement is run."""
        index = self.count
        self.count += 1
        if convert is not None:
            self.conversions.append((index, convert))
        return sa.bindparam(f"v{index}", type_=of)


class Dialect(ABC):
    """How one database writes what all databases can do. The defaults suit SQL as PostgreSQL speaks it."""

    #: What stands for a parameter in the driver's texts.
    placeholder: ClassVar[str] = "?"
    #: The operator that divides an integer that is not negative by another one and gives an integer.
    integer_division: ClassVar[str] = "/"
    #: How many parameters one statement may have.
    max_parameters: int = 32_000
    #: SQLAlchemy's dialect, with a positional parameter style.
    compiler: Compiler

    def table_name(self, name: str) -> str:
        """What the table of the layout of this name is called, where the engine can't take every name."""
        return name

    def column_name(self, name: str) -> str:
        """What the column of this name is called, where the engine can't take every name."""
        return name

    @abstractmethod
    def column_type(self, column: Column) -> sa.types.TypeEngine[Any]:
        """The SQL type of a column."""

    @abstractmethod
    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""

    @abstractmethod
    def in_array(self, column: Expression, of: Type, parameters: Parameters) -> Expression:
        """*column* is one of the values of a single array parameter."""

    @abstractmethod
    def in_keys(self, columns: Sequence[Expression], types: Sequence[Type], parameters: Parameters) -> Expression:
        """The row's key is one of many. The values are what ``key_arrays`` makes of the keys."""

    @abstractmethod
    def key_arrays(self, keys: Sequence[tuple[Value, ...]], types: Sequence[Type]) -> list[Value]:
        """The parameters of ``in_keys``."""

    @abstractmethod
    def contains(self, column: Expression, text: sa.BindParameter[Any]) -> Expression:
        """The 1-based position of *text* in *column*, literally, and 0 where it is not."""

    @abstractmethod
    def has_tag(self, column: Expression, parameters: Parameters) -> Expression:
        """The text set *column* has the member that the next parameter names. May be NULL or false without it."""

    @abstractmethod
    def has_not_tag(self, column: Expression, parameters: Parameters) -> Expression:
        """The text set *column* is not NULL and has no such member."""

    def literal(self, value: Value, of: Type) -> str:
        """The SQL text of a constant: the default of a column that is added."""
        if of is Type.TEXTSET and isinstance(value, tuple):
            value = self.hold_textset(value)
        if isinstance(value, bool):
            return self.literal_bool(value)
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, bytes):
            return self.literal_bytes(value)
        return "'" + str(value).replace("'", "''") + "'"

    @abstractmethod
    def hold_textset(self, value: tuple[str, ...]) -> Value:
        """A text set the way the backend holds it."""

    def literal_bool(self, value: bool) -> str:
        """The SQL text of a boolean."""
        return "true" if value else "false"

    def literal_bytes(self, value: bytes) -> str:
        """The SQL text of bytes."""
        return f"x'{value.hex()}'"

    def table_options(self, layout: Layout) -> Mapping[str, Any]:  # noqa: ARG002 - most databases have none
        """Dialect options of ``sqlalchemy.Table``."""
        return {}

    def order(self, expression: Expression, *, descending: bool, nullable: bool) -> Expression:
        """One term of ORDER BY, NULL smaller than every value."""
        term = expression.desc() if descending else expression.asc()
        if not nullable:
            return term
        return term.nulls_last() if descending else term.nulls_first()

    def sorts_nulls(self, layout: Layout, name: str) -> bool:
        """Whether an order by this column has to say where NULL stands. Indexes must be made alike."""
        return layout.column(name).nullable

    def hold(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """The same selection such that nobody deletes its rows before the transaction ends."""
        return select

    def measure(self, function: Function, column: Expression | None, of: Type | None) -> Expression:  # noqa: ARG002 - the type is for dialects that must cast
        """One measure of an aggregate."""
        if column is None:
            return sa.func.count()
        match function:
            case Function.COUNT:
                return sa.func.count(column)
            case Function.COUNT_DISTINCT:
                return sa.func.count(column.distinct())
            case Function.SUM:
                return sa.func.sum(column)
            case Function.SUM_HIGH:  # an arithmetic shift is the floor, also below zero
                return sa.func.sum(column.bitwise_rshift(_32))
            case Function.SUM_LOW:  # two's complement: the low bits are the modulo, also below zero
                return sa.func.sum(column.bitwise_and(_LOW_32))
            case Function.MIN:
                return sa.func.min(column)
            case Function.MAX:
                return sa.func.max(column)
