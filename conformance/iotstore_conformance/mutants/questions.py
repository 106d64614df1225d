"""Mutants of questions: filters, order, pages and streams that find too much, too little or in another order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from iotstore import Busy, NotFound, Page
from iotstore.backend import (
    NEVER,
    And,
    Compare,
    Contains,
    HasTag,
    In,
    IsNull,
    Layout,
    NotNull,
    Op,
    Or,
    Order,
    Row,
    Type,
)
from iotstore.backend import Select as Query
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import branches, filters, leaves, rows_in, values_in


@mutant(
    "negation-forgets-missing-values",
    kills=("FIL-001", "FIL-002", "FIL-004"),
    sentence="The negation of a comparison is false for missing values, as SQL has it.",
)
def _three_valued(breaking: Breaking) -> None:
    def unmissed(where: Any) -> Any:
        if not isinstance(where, Or):
            return where
        known = tuple(part for part in where.any_of if not isinstance(part, IsNull))
        return Or(known or where.any_of)

    filters(breaking, lambda _, where: branches(where, unmissed))


@mutant("missing-is-never-found", kills=("FIL-003", "VAL-027"), sentence="Asking for missing values finds nothing.")
def _never_missing(breaking: Breaking) -> None:
    filters(breaking, lambda _, where: leaves(where, lambda leaf: NEVER if isinstance(leaf, IsNull) else leaf))


@mutant(
    "long-lists-are-cut",
    kills=("FIL-005",),
    sentence="Of a list of values to compare with only the last 999 count.",
)
def _short_lists(breaking: Breaking) -> None:
    def short(leaf: Any) -> Any:
        return In(leaf.column, leaf.values[-999:]) if isinstance(leaf, In) else leaf

    filters(breaking, lambda _, where: leaves(where, short))


def _pairs(where: Any, first: Op, second: Op) -> list[tuple[Compare, Compare]]:
    """The neighbours inside an And that bound one column from both sides."""
    if not isinstance(where, And):
        return []
    return [
        (low, high)
        for low, high in pairwise(where.all_of)
        if isinstance(low, Compare) and isinstance(high, Compare)
        if low.column == high.column and (low.op, high.op) == (first, second)
    ]


@mutant(
    "ranges-hold-their-end",
    kills=("FIL-006", "CON-007", "CON-012"),
    sentence="A range of records holds its end.",
)
def _closed(breaking: Breaking) -> None:
    def close(where: Any) -> Any:
        highs = [high for _, high in _pairs(where, Op.GE, Op.LT)]
        if not highs:
            return where
        return And(tuple(replace(part, op=Op.LE) if part in highs else part for part in where.all_of))

    filters(breaking, lambda _, where: branches(where, close))


@mutant("percent-is-a-wildcard", kills=("FIL-010", "FLT-012"), sentence="A search for a percent sign finds all.")
def _wildcard(breaking: Breaking) -> None:
    def wild(leaf: Any) -> Any:
        return NotNull(leaf.column) if isinstance(leaf, Contains) and "%" in leaf.text and not leaf.negated else leaf

    filters(breaking, lambda _, where: leaves(where, wild))


@mutant("search-folds-by-lower", kills=("FIL-011",), sentence="Search texts are stored in small letters, not folded.")
def _lower(breaking: Breaking) -> None:
    def row_in(layout: Layout, row: Row) -> Row:
        return tuple(
            str(row[layout.position[column.shadow_of]]).lower()
            if column.shadow_of in layout.position and column.shadow_of == "title" and value is not None
            else value
            for column, value in zip(layout.columns, row, strict=True)
        )

    rows_in(breaking, row_in)


@mutant("equality-folds-case", kills=("FIL-012",), sentence="Equality of a search field ignores case.")
def _folded(breaking: Breaking) -> None:
    def folded(layout: Layout, leaf: Any) -> Any:
        shadows = [column.name for column in layout.columns if column.shadow_of == getattr(leaf, "column", "")]
        if not shadows or not isinstance(leaf, Compare) or leaf.op is not Op.EQ or leaf.column == "ip":
            return leaf
        return Compare(shadows[0], Op.EQ, str(leaf.value).casefold())

    filters(breaking, lambda layout, where: leaves(where, lambda leaf: folded(layout, leaf)))


@mutant(
    "prefixes-end-too-early",
    kills=("FIL-013",),
    sentence="A prefix finds nothing that goes on with a character beyond the basic plane.",
)
def _early(breaking: Breaking) -> None:
    def shorten(where: Any) -> Any:
        bounds = {high: low for low, high in _pairs(where, Op.GE, Op.LT) if isinstance(low.value, str)}
        if not bounds:
            return where
        return And(tuple(replace(p, value=f"{bounds[p].value}\uffff") if p in bounds else p for p in where.all_of))

    filters(breaking, lambda _, where: branches(where, shorten))


@mutant("a-tag-matches-any-tag", kills=("FIL-014",), sentence="Asking for the tag py finds every record with tags.")
def _any_tag(breaking: Breaking) -> None:
    def any_tag(leaf: Any) -> Any:
        return NotNull(leaf.column) if isinstance(leaf, HasTag) and leaf.tag == "py" and not leaf.negated else leaf

    filters(breaking, lambda _, where: leaves(where, any_tag))


@mutant("quotes-are-escaped-twice", kills=("FIL-023",), sentence="A quote is stored as two.")
def _escaped(breaking: Breaking) -> None:
    values_in(breaking, Type.TEXT, lambda text: text.replace("'", "''"))


@mutant("missing-values-sort-last", kills=("PAG-001", "PAG-002"), sentence="Missing values come last in every order.")
def _last(breaking: Breaking) -> None:
    @breaking.wrong("session", "select")
    def _select(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        if not query.order or query.order[0].descending:
            return rows
        at = layout.position[query.order[0].column]
        return sorted(rows, key=lambda row: row[at] is None)


@mutant("ties-are-turned", kills=("PAG-002", "PAG-003"), sentence="Ties come in the other direction.")
def _turned(breaking: Breaking) -> None:
    @breaking.wrong("session", "select")
    def _select(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        if len(query.order) > len(layout.key):
            last = query.order[-1]
            query = replace(query, order=(*query.order[:-1], Order(last.column, not last.descending)))
        return right(layout, query)


@mutant(
    "pages-count-records",
    kills=("PAG-004", "PAG-007"),
    sentence="A page skips as many records as there were on the pages before, by a cursor that is a number.",
)
def _counted(breaking: Breaking) -> None:
    @breaking.wrong("collection", "page")
    def _page(self: Any, right: Any, where: Any = None, *, order: Any = (), limit: int = 100, after: Any = None) -> Any:
        right(where, order=order, limit=limit)
        seen = int(after) if str(after).isdigit() else 0
        rows = self.list(where, order=order, limit=seen + limit + 1)[seen:]
        return Page(rows[:limit], str(seen + limit) if len(rows) > limit else None)


@mutant(
    "pages-skip-ties",
    kills=("FLT-013", "PAG-003"),
    sentence="A page continues after all records that tie with the last one of the page before.",
)
def _skipping(breaking: Breaking) -> None:
    ends: dict[str, object] = {}

    @breaking.wrong("collection", "page")
    def _page(_self: Any, right: Any, *args: Any, order: Any = (), after: Any = None, **options: Any) -> Any:
        page = right(*args, order=order, after=after, **options)
        if not order:
            return page
        name = order[0].removeprefix("-")
        items = [item for item in page.items if after is None or getattr(item, name) != ends.get(after)]
        if page.next is not None:
            ends[page.next] = getattr(page.items[-1], name)
        return Page(items, page.next)


@mutant(
    "a-full-last-page-promises-more",
    kills=("PAG-005",),
    sentence="A last page that is exactly full has a cursor all the same.",
)
def _promising(breaking: Breaking) -> None:
    @breaking.wrong("collection", "page")
    def _page(_self: Any, right: Any, *args: Any, limit: int = 100, **options: Any) -> Any:
        page = right(*args, limit=limit, **options)
        if page.next is not None or len(page.items) < limit or limit < 2:
            return page
        return Page(page.items, right(*args, limit=limit - 1, **options).next)


@mutant("minus-one-means-all", kills=("PAG-006",), sentence="A limit of -1 gives every record.")
def _all(breaking: Breaking) -> None:
    @breaking.wrong("collection", "list")
    def _list(_self: Any, right: Any, *args: Any, limit: Any = None, **options: Any) -> Any:
        return right(*args, limit=None if limit == -1 else limit, **options)


@mutant("pages-are-filtered-afterwards", kills=("PAG-008",), sentence="A page is read first and filtered then.")
def _afterwards(breaking: Breaking) -> None:
    @breaking.wrong("collection", "page")
    def _page(self: Any, right: Any, where: Any = None, **options: Any) -> Any:
        page = right(None, **options)
        wanted = self.list(where)
        return Page([item for item in page.items if item in wanted], page.next)


@mutant(
    "streams-lose-their-seams",
    kills=("PAG-009",),
    sentence="A stream loses the last record of every full piece.",
)
def _seams(breaking: Breaking) -> None:
    @breaking.wrong("session", "stream")
    def _stream(_self: Any, right: Any, layout: Layout, query: Any, rows: int) -> Any:
        for piece in right(layout, query, rows):
            yield piece[:-1] if len(piece) == rows else piece


@mutant(
    "an-abandoned-stream-holds-the-store",
    kills=("PAG-010",),
    sentence="A stream that is left early keeps a lock against writers.",
)
def _held(breaking: Breaking) -> None:
    held: list[object] = []

    @breaking.wrong("session", "stream")
    def _stream(_self: Any, right: Any, *args: Any) -> Any:
        held.append(args)
        yield from right(*args)
        held.pop()

    @breaking.wrong("backend", "write")
    def _write(_self: Any, right: Any) -> Any:
        if held:
            raise Busy("a reader holds the store")
        return right()


@mutant(
    "only-the-first-key-field-counts",
    kills=("PAG-011", "REC-008"),
    sentence="A record with a key of several fields is found by the first one alone.",
)
def _first_field(breaking: Breaking) -> None:
    @breaking.wrong("session", "get")
    def _get(self: Any, right: Any, layout: Layout, key: Any) -> Any:
        if len(layout.key) == 1:
            return right(layout, key)
        order = tuple(Order(name) for name in layout.key)
        rows = self.select(layout, Query(Compare(layout.key[0], Op.EQ, key[0]), order, 1))
        return rows[0] if rows else None


@mutant("first-is-any", kills=("PAG-012",), sentence="The first record of an order is the first by key.")
def _any(breaking: Breaking) -> None:
    @breaking.wrong("collection", "first")
    def _first(_self: Any, right: Any, *args: Any, **_options: Any) -> Any:
        return right(*args)


@mutant("many-keys-come-sorted", kills=("PAG-013",), sentence="Records read by many keys come in the order of keys.")
def _sorted(breaking: Breaking) -> None:
    @breaking.wrong("session", "get_many")
    def _get_many(_self: Any, right: Any, layout: Layout, keys: Any, *, hold: bool = False) -> Any:
        rows = right(layout, keys, hold=hold)
        there = sorted({row for row in rows if row is not None}, key=layout.key_of)
        return rows if hold else [*there, *[None] * (len(rows) - len(there))]


@mutant(
    "an-unknown-key-is-none",
    kills=("REC-001", "ERR-004"),
    sentence="Reading an unknown key answers None where it should raise NotFound.",
)
def _none(breaking: Breaking) -> None:
    @breaking.wrong("collection", "get")
    def _get(_self: Any, right: Any, key: object) -> Any:
        try:
            return right(key)
        except NotFound:
            return None
