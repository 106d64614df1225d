"""Deciding whether a report can be believed: unedited, consistent with itself and with the suite, not stale."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from iotstore_conformance.judging import objections, staleness
from iotstore_conformance.manifest import manifest
from iotstore_conformance.report import Report, UnreadableReport, read_report


def verify_file(path: Path, today: date) -> tuple[Report, list[str], list[str]]:
    """The report, what is false in it, and why it is stale. One that was edited is refused with UnreadableReport.

    The outcomes of another suite can't be held against this one: such a report is stale, and nothing more is said.
    """
    report, suite = read_report(path), manifest()
    stale = staleness(report, suite, today)
    same = report.suite.digest == suite.digest
    return report, objections(report, suite) if same else [], stale


def believable(path: Path) -> Report:
    """The report in a file, unless it is false; a stale one is given, and it is for the caller to say so."""
    report, wrong, _ = verify_file(path, date.min)
    if wrong:
        raise UnreadableReport(f"{path.name} is false: {wrong[0]}")
    return report
