"""The matrix as one HTML page: light and dark, readable without colour, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

from iotstore_conformance.matrix import LEGEND, SIGNS, VERDICTS, Cell, Mark, Matrix, Row, coming_lines, origin
from iotstore_conformance.report import Report

_CLASSES: Final = {
    Mark.YES: "yes",
    Mark.NO: "no",
    Mark.DEFECT: "defect",
    Mark.UNKNOWN: "unknown",
    Mark.STALE: "stale",
    Mark.NOT_APPLICABLE: "apart",
}


def page(matrix: Matrix) -> str:
    """The whole page."""
    style = files("iotstore_conformance").joinpath("schema", "matrix.css").read_text("utf-8").strip()
    suite = matrix.suite
    about = f"Suite {suite.suite}, contract {suite.contract}, {len(suite.clauses)} clauses. Each profile stands alone."
    body = [
        "<header>",
        "<h1>iotstore conformance</h1>",
        f"<p>{escape(about)}</p>",
        _contents(matrix),
        "</header>",
        "<main>",
        _glance(matrix),
        *(_table(matrix, id_) + (_legend() if id_ == "profiles" else "") for id_ in _tables(matrix)),
        '<section aria-labelledby="coming"><h2 id="coming">Not measured yet</h2><ul>',
        *(f"<li>{escape(line)}</li>" for line in coming_lines()),
        "</ul></section>",
        '<section aria-labelledby="reports"><h2 id="reports">Reports</h2>',
        *(_report(report, stale) for report, stale in zip(matrix.reports, matrix.stale, strict=True)),
        "</section>",
        "</main>",
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            "<title>iotstore conformance</title>",
            f"<style>\n{style}\n</style>",
            "</head>",
            "<body>",
            '<a class="skip" href="#profiles">Skip to the profiles</a>',
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def _tables(matrix: Matrix) -> dict[str, tuple[str, str, Sequence[Row]]]:
    """The tables of the page: the title, what a row is about, and the rows. Those without rows are left out."""
    tables: dict[str, tuple[str, str, Sequence[Row]]] = {
        "profiles": ("Profiles", "Profile", matrix.profiles),
        "capabilities": ("Capabilities", "Capability", matrix.capabilities),
        "clauses": ("Clauses that did not simply hold", "Clause", matrix.clauses),
        "kinds": ("Clauses about one kind of engine", "Clause", matrix.kinds),
    }
    return {id_: table for id_, table in tables.items() if table[2]}


def _contents(matrix: Matrix) -> str:
    parts = {id_: title for id_, (title, _, _) in _tables(matrix).items()}
    parts |= {"coming": "Not measured yet", "reports": "Reports"}
    links = "".join(f'<li><a href="#{id_}">{escape(title)}</a></li>' for id_, title in parts.items())
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>'


def _glance(matrix: Matrix) -> str:
    """A card for each backend: its name, the verdict over everything, the engine and the day."""
    cards = [
        f"<div><strong>{escape(report.backend.name)}</strong>{_verdict(report, stale)}"
        f"<p>{escape(report.backend.engine or 'engine unknown')}<br>{report.started:%Y-%m-%d}</p></div>"
        for report, stale in zip(matrix.reports, matrix.stale, strict=True)
    ]
    return f'<div class="glance">{"".join(cards)}</div>' if cards else ""


def _verdict(report: Report, stale: Sequence[str]) -> str:
    mark = Mark.STALE if stale else VERDICTS.get(report.verdict, Mark.UNKNOWN)
    return _mark(mark, mark.value if stale else report.verdict.value)


def _legend() -> str:
    items = "".join(f"<div><dt>{_mark(mark)}</dt><dd>{escape(LEGEND[mark])}</dd></div>" for mark in Mark)
    return f'<dl class="legend" aria-label="What the marks mean">{items}</dl>'


def _mark(mark: Mark, text: str | None = None) -> str:
    sign = f'<span class="sign" aria-hidden="true">{SIGNS[mark]}</span>'
    return f'<span class="mark {_CLASSES[mark]}">{sign}{escape(text or mark.value)}</span>'


def _table(matrix: Matrix, id_: str) -> str:
    # The roles are said again: where a narrow screen makes cards of the rows, they would be lost.
    title, what, rows = _tables(matrix)[id_]
    columns = [escape(name) for name in matrix.columns]
    head = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in columns)
    dense = "" if any(row.meaning for row in rows) else ' class="dense"'
    lines = [
        f'<section aria-labelledby="{id_}"><h2 id="{id_}">{escape(title)}</h2>',
        f'<div class="scroll" role="region" aria-labelledby="{id_}" tabindex="0"><table role="table"{dense}>',
        '<thead role="rowgroup"><tr role="row">',
        f'<th scope="col" role="columnheader">{escape(what)}</th>{head}</tr></thead>',
        '<tbody role="rowgroup">',
    ]
    for row in rows:
        meaning = f'<span class="meaning">{escape(row.meaning)}</span>' if row.meaning else ""
        cells = "".join(
            f'<td role="cell" data-of="{name}">{_mark(cell.mark)}{_note(cell)}</td>'
            for name, cell in zip(columns, row.cells, strict=True)
        )
        lines.append(f'<tr role="row"><th scope="row" role="rowheader">{escape(row.name)}{meaning}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div></section>"])


def _note(cell: Cell) -> str:
    # Why a report is stale is said once, beside the report.
    return "" if cell.mark is Mark.STALE else f'<span class="note">{escape(cell.note)}</span>'


def _report(report: Report, stale: Sequence[str]) -> str:
    lines = [
        f"<article><h3>{escape(report.backend.name)} {_verdict(report, stale)}</h3>",
        f"<p>{escape(origin(report))}</p>",
        f"<p>Again: <code>{escape(report.reproduce)}</code></p>",
        *(f"<p>{_mark(Mark.STALE)} {escape(reason)}</p>" for reason in stale),
    ]
    if report.ledger.deviations:
        items = "".join(
            f"<li>{escape(one.clause)} ({escape(one.kind)}, until {one.expires}): {escape(one.reason)} "
            f'<a href="{escape(one.link)}">{escape(one.link)}</a></li>'
            for one in report.ledger.deviations
        )
        lines.append(f"<ul>{items}</ul>")
    return "\n".join([*lines, "</article>"])
