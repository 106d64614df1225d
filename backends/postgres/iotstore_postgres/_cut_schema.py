"""Schema operations on a store some of whose tables are cut, and the way there from a table that is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

from iotstore.backend import (
    DropLayout,
    EngineError,
    Layout,
    Operation,
    Reference,
    RenameColumn,
    RenameLayout,
)
from iotstore_postgres import _cuts
from iotstore_postgres._cuts import BLOCK, Ask, Cuts, asking, make_parts, note
from iotstore_postgres._errors import translating
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import FIRST, LAST, WIDTH
from iotstore_postgres._schema import PostgresSchemaChanges, hold_schema
from iotstore_sql.schema import Run

_OLD: Final = "iotstore_uncut"
_OWNER: Final = (
    "SELECT quote_ident(pg_catalog.pg_get_userbyid(relowner)) FROM pg_catalog.pg_class WHERE oid = to_regclass($1)"
)
_GRANTS: Final = (
    "SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, $1::text,"
    " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
    " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
    " FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a"
    " WHERE c.oid = to_regclass($2) AND a.grantee <> c.relowner ORDER BY 1"
)
_POINTING: Final = (
    "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_catalog.pg_constraint"
    " WHERE contype = 'f' AND confrelid = to_regclass($1) AND conparentid = 0"
)
_INDEXES: Final = (
    "SELECT quote_ident(c.relname) FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid"
    " WHERE i.indrelid = to_regclass($1) ORDER BY 1"
)

#: Connections of stores that are open here, but for some.
_OTHERS: Final = (
    "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    " AND (classid::int8 << 32) | objid::int8 = hashtextextended('iotstore ' || current_schema(), 1)"
    " AND pid <> ALL($1)"
)
_PATIENCE: Final = 20


class CutSchemaChanges(PostgresSchemaChanges):
    """Changes one schema; a kind that may be cut by time is cut from its beginning."""

    def __init__(self, dialect: Any, run: Run, ask: Ask, cuts: Cuts) -> None:
        super().__init__(dialect, run)
        self._ask, self._cuts = ask, cuts

    def apply(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            super().apply([operation])
            match operation:
                case RenameLayout(old, new):
                    self._rename(old, new)
                case RenameColumn(layout, old, new):
                    for cut in self._found(layout):
                        if cut.by == old:
                            self._ask("UPDATE iotstore_cuts SET by = $2 WHERE name = $1", (layout, new))
                            self._cuts.put(one._replace(by=new) if one == cut else one for one in list(self._cuts))
                case DropLayout(name):
                    for cut in self._found(name):
                        for table in ("iotstore_cuts", "iotstore_ranges"):
                            self._ask(f"DELETE FROM {table} WHERE name = $1", (name,))  # noqa: S608 - constants
                        self._cuts.put(one for one in list(self._cuts) if one != cut)
                case _:
                    pass

    def _found(self, name: str) -> list[_cuts.Cut]:
        return [cut for cut in self._cuts if cut.name == name]

    def _rename(self, old: str, new: str) -> None:
        for cut in self._found(old):
            for table in ("iotstore_cuts", "iotstore_ranges"):
                self._ask(f"UPDATE {table} SET name = $2 WHERE name = $1", (old, new))  # noqa: S608 - constants
            self._cuts.put(one._replace(name=new) if one == cut else one for one in list(self._cuts))

    def create_layout(self, layout: Layout) -> None:
        possible = replace(layout, references=self._possible(layout.references))
        if layout.parts is None:
            super().create_layout(possible)
            return
        cut = note(self._ask, layout)
        self._cuts.put([*self._cuts, cut])
        super().create_layout(replace(possible, key=(*layout.key, layout.parts)))
        make_parts(self._ask, cut, self.dialect.table_name(layout.name), (-1, cut.grid.beyond))

    def set_references(self, layout: str, references: Sequence[Reference]) -> None:
        super().set_references(layout, self._possible(references))

    def _key(self, layout: str) -> list[str]:
        by = {self.dialect.column_name(cut.by) for cut in self._found(layout)}
        return [column for column in super()._key(layout) if column not in by]

    def _possible(self, references: Sequence[Reference]) -> tuple[Reference, ...]:
        # A constraint needs a unique key of the id alone, which a table that is cut has not. The core checks, as it
        # does where an engine has no references at all.
        return tuple(reference for reference in references if not self._found(reference.target))


def cut_existing(connection: Any, dialect: Any, cuts: Cuts, layouts: Sequence[Layout], own: Sequence[int]) -> None:
    """Cut the tables of layouts that were made whole. In one transaction, and no record is lost.

    *own* are the processes of the server that serve this store. If others have it open nothing is done: they would go
    on as if its tables were whole. Then it is cut when it is opened again, alone.
    """
    with closing(connection), translating():
        ask = asking(connection)
        with connection.transaction():
            hold_schema(ask)
            alone = _alone(ask, own)
            cuts.load(connection)  # another process may have been faster
            for layout in layouts if alone else ():
                table = quoted(dialect.table_name(layout.name))
                if cuts.of(layout) is None and ask("SELECT to_regclass($1) IS NOT NULL", (table,))[0][0]:
                    ask(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", ())
                    _cut(ask, CutSchemaChanges(dialect, lambda text: ask(text, ()), ask, cuts), layout, table)
        cuts.load(connection)


def _grants(ask: Ask, table: str) -> list[str]:
    """The statements that let others do what they may do with the table, with what stands beside it too."""
    targets = (table, "iotstore_cuts", "iotstore_ranges")
    return [row[0] for target in targets for row in ask(_GRANTS, (target, table))]


def _alone(ask: Ask, own: Sequence[int]) -> bool:
    # Whoever opens the store now waits for this transaction before it looks how its tables are. A server notices a
    # moment later that a client is gone.
    for _ in range(_PATIENCE):
        if ask(_OTHERS, (list(own),)) == [(0,)]:
            return True
        ask("SELECT pg_catalog.pg_sleep(0.05)", ())
    return False


def _cut(ask: Ask, changes: CutSchemaChanges, layout: Layout, table: str) -> None:
    ((owner,),), grants = ask(_OWNER, (table,)), _grants(ask, table)
    for pointing, name in ask(_POINTING, (table,)):
        ask(f"ALTER TABLE {pointing} DROP CONSTRAINT {name}", ())
    for place, (index,) in enumerate(ask(_INDEXES, (table,))):
        ask(f"ALTER INDEX {index} RENAME TO {_OLD}_{place}", ())
    ask(f"ALTER TABLE {table} RENAME TO {_OLD}", ())
    changes.create_layout(layout)
    by = quoted(changes.dialect.column_name(layout.parts or ""))
    number = f"CASE WHEN {by} < {FIRST} THEN -1 ELSE (least({by}, {LAST}) - {FIRST}) / {WIDTH} END"
    (cut,) = [one for one in changes._cuts if one.name == layout.name]  # noqa: SLF001 - the same module
    wanted = [row[0] for row in ask(f"SELECT DISTINCT {number} FROM {_OLD}", ())]  # noqa: S608 - quoted
    make_parts(ask, cut, changes.dialect.table_name(layout.name), wanted)
    names = ", ".join(quoted(changes.dialect.column_name(column.name)) for column in layout.columns)
    ask(f"INSERT INTO {table} ({names}) SELECT {names} FROM {_OLD}", ())  # noqa: S608 - quoted
    key = quoted(changes.dialect.column_name(layout.key[0]))
    ask(
        f"INSERT INTO iotstore_ranges SELECT $1, {key} >> {BLOCK}, min({by}), max({by}), max({key}) FROM {table}"  # noqa: S608 - quoted
        " GROUP BY 2",
        (layout.name,),
    )
    ((before, after),) = ask(f"SELECT (SELECT count(*) FROM {_OLD}), (SELECT count(*) FROM {table})", ())  # noqa: S608 - quoted
    if before != after:
        raise EngineError(f"of {before} records of {layout.name} {after} are in partitions; nothing was changed")
    ask(f"DROP TABLE {_OLD}", ())
    for text in (f"ALTER TABLE {table} OWNER TO {owner}", *grants):
        ask(text, ())
