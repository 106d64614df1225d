"""Statements about records that lie in partitions: found by their id in one partition or two, not in all."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as sql

from iotstore.backend import Layout, Type
from iotstore_postgres._cuts import BLOCK, Cut, Cuts
from iotstore_postgres._dialect import PostgresDialect
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import HOLD_PARTITIONS
from iotstore_postgres._statements import PostgresStatements
from iotstore_sql import Parameters
from iotstore_sql.dialect import Expression
from iotstore_sql.statements import Prepared

_RANGES: Final = sa.table(
    "iotstore_ranges", *(sa.column(name, sa.BigInteger()) for name in ("block", "low", "high")), sa.column("name")
)


class CutStatements(PostgresStatements):
    """Statements of a store some of whose tables are cut."""

    def __init__(self, dialect: PostgresDialect, cuts: Cuts) -> None:
        super().__init__(dialect)
        self.cuts = cuts

    def unique(self, layout: Layout) -> tuple[str, ...]:
        cut = self.cuts.of(layout)
        return layout.key if cut is None else (*layout.key, cut.by)

    def hold_partitions(self) -> str:
        # All of them by one statement, in their order.
        tables = "".join(f", ONLY {quoted(self.dialect.table_name(cut.name))}" for cut in self.cuts)
        before, _, after = HOLD_PARTITIONS.partition(" IN ")
        return f"{before}{tables} IN {after}"

    def _compile_get(self, layout: Layout) -> str:
        cut = self.cuts.of(layout)
        if cut is None:
            return super()._compile_get(layout)
        table, parameters = self.table(layout), Parameters()
        wanted = parameters.take(sa.BigInteger())
        where = [table.c[layout.key[0]] == wanted, *self._between(table, cut, _block(wanted))]
        return self._finish(sa.select(table).where(*where), parameters).text

    def _compile_many(self, layout: Layout, hold: bool, keys_only: bool = False) -> Prepared:
        cut = self.cuts.of(layout)
        if cut is None:
            return super()._compile_many(layout, hold, keys_only)
        table, parameters = self.table(layout), Parameters()
        key, wanted = table.c[layout.key[0]], parameters.take(sql.ARRAY(sa.BigInteger()))
        blocks = sa.select(_block(sa.func.unnest(wanted).column_valued("wanted")))
        statement = sa.select(key) if keys_only else sa.select(table)
        statement = statement.where(key == sa.any_(wanted), *self._between(table, cut, blocks))
        return self._finish(self.dialect.hold(statement) if hold else statement, parameters)

    def _between(self, table: sa.Table, cut: Cut, blocks: Expression | sa.Select[tuple[int]]) -> list[Expression]:
        """Between the times of these blocks. They are known before the first partition is looked at."""
        named = _RANGES.c.name == sa.literal_column(self.dialect.literal(cut.name, Type.TEXT))
        of = _RANGES.c.block.in_(blocks) if isinstance(blocks, sa.Select) else _RANGES.c.block == blocks
        low = sa.select(sa.func.min(_RANGES.c.low)).where(named, of).scalar_subquery()
        high = sa.select(sa.func.max(_RANGES.c.high)).where(named, of).scalar_subquery()
        return [table.c[cut.by] >= low, table.c[cut.by] <= high]


def _block(number: Expression) -> Expression:
    return number.op(">>")(sa.literal_column(str(BLOCK)))
