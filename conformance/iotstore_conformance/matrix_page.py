"""The matrix as one HTML page: light and dark, readable without colour, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

from iotstore_conformance.matrix import LEGEND, SIGNS, Mark, Matrix, Row, coming_lines, origin
from iotstore_conformance.report import Report

_CLASSES: Final = {
    Mark.YES: "yes",
    Mark.NO: "no",
    Mark.DEFECT: "defect",
    Mark.UNKNOWN: "unknown",
    Mark.STALE: "stale",
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
        "</header>",
        "<main>",
        _table("profiles", "Profiles", "Profile", matrix.columns, matrix.profiles),
        _legend(),
        _table("capabilities", "Capabilities", "Capability", matrix.columns, matrix.capabilities),
    ]
    if matrix.clauses:
        body.append(_table("clauses", "Clauses that did not simply hold", "Clause", matrix.columns, matrix.clauses))
    body += [
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


def _legend() -> str:
    items = "".join(f"<div><dt>{_mark(mark)}</dt><dd>{escape(LEGEND[mark])}</dd></div>" for mark in Mark)
    return f'<dl class="legend" aria-label="What the marks mean">{items}</dl>'


def _mark(mark: Mark) -> str:
    sign = f'<span class="sign" aria-hidden="true">{SIGNS[mark]}</span>'
    return f'<span class="mark {_CLASSES[mark]}">{sign}{escape(mark.value)}</span>'


def _table(id_: str, title: str, what: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = [
        f'<section aria-labelledby="{id_}"><h2 id="{id_}">{escape(title)}</h2>',
        f'<div class="scroll" role="region" aria-labelledby="{id_}" tabindex="0"><table>',
        f'<thead><tr><th scope="col">{escape(what)}</th>{head}</tr></thead><tbody>',
    ]
    for row in rows:
        meaning = f'<span class="meaning">{escape(row.meaning)}</span>' if row.meaning else ""
        cells = "".join(
            f'<td>{_mark(cell.mark)}<span class="note">{escape(cell.note)}</span></td>' for cell in row.cells
        )
        lines.append(f'<tr><th scope="row">{escape(row.name)}{meaning}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div></section>"])


def _report(report: Report, stale: Sequence[str]) -> str:
    lines = [
        f"<article><h3>{escape(report.backend.name)}: {escape(report.verdict.value)}</h3>",
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
