"""A badge for a readme: the JSON that shields.io reads from a web address."""

from __future__ import annotations

import json
from typing import Final

from iotstore_conformance.report import Report
from iotstore_conformance.verdicts import Verdict

_COLOURS: Final = {
    Verdict.CONFORMANT: "brightgreen",
    Verdict.KNOWN_DEFECTS: "yellow",
    Verdict.PARTIAL: "orange",
    Verdict.FAILED: "red",
    Verdict.NOT_MEASURED: "lightgrey",
    Verdict.HARNESS_BROKEN: "lightgrey",
}


def badge(report: Report, profile: str, *, stale: bool) -> str:
    """The badge of one profile, as JSON: the verdict and the version of the suite; a stale report says only that."""
    verdict = report.profiles[profile].verdict
    said = "stale" if stale else verdict.value
    content = {
        "schemaVersion": 1,
        "label": f"iotstore {profile}",
        "message": f"{said} · suite {report.suite.version}",
        "color": "lightgrey" if stale else _COLOURS[verdict],
        "isError": verdict is Verdict.FAILED and not stale,
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
