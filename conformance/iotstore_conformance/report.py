"""The report of a run: what is written down, its digest, and reading it back."""

from __future__ import annotations

import hashlib
import inspect
import json
from datetime import date, datetime
from pathlib import Path
from typing import Final

import msgspec

from iotstore_conformance.harness import Engine
from iotstore_conformance.verdicts import Outcome, Verdict

FORMAT: Final = "iotstore-conformance-report/1"
SCHEMA_ID: Final = "urn:iotstore:conformance-report:1"


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the report: every field is known and present."""


class SuitePart(_Part, frozen=True, kw_only=True):
    """The suite that ran: its version, the digest over sentences and code, and how many clauses it has."""

    version: str
    digest: str
    clauses: int


class CapabilityPart(_Part, frozen=True, kw_only=True):
    """What the backend declares about one capability; *reason* and *remedy* where it is unsupported."""

    supported: bool
    reason: str | None = None
    remedy: str | None = None


class BackendPart(_Part, frozen=True, kw_only=True):
    """The backend under test: its name, the harness's, the URL without secrets, the engine and what is declared.

    *engine_kind* is what the harness declares about the engine: clauses about the other kind are not applicable.
    """

    name: str
    harness: str
    package: str | None
    url: str | None
    engine: str | None
    engine_kind: Engine | None
    durability: str | None
    limits: dict[str, int | float]
    capabilities: dict[str, CapabilityPart]


class EnvironmentPart(_Part, frozen=True, kw_only=True):
    """Where the run took place."""

    iotstore: str
    python: str
    system: str
    machine: str


class ModePart(_Part, frozen=True, kw_only=True):
    """What was asked for: the tier, the profiles, single clauses (none: all of the profiles), and the seed."""

    tier: str
    profiles: list[str]
    clauses: list[str]
    seed: int
    runner: str


class ClausePart(_Part, frozen=True, kw_only=True):
    """What became of one clause. *raised* are the errors of the library that it made the store raise."""

    id: str
    profile: str
    outcome: Outcome
    seconds: float
    attempts: int
    counted: bool
    refused: str | None = None
    message: str | None = None
    raised: list[str] = []


class ComingPart(_Part, frozen=True, kw_only=True):
    """A promise that no clause proves yet: not measured, and why."""

    profile: str
    promise: str
    reason: str


class DeviationPart(_Part, frozen=True, kw_only=True):
    """An entry of the author's ledger."""

    clause: str
    kind: str
    reason: str
    link: str
    expires: date


class LedgerPart(_Part, frozen=True, kw_only=True):
    """The ledger of the run, and what is wrong with it."""

    deviations: list[DeviationPart]
    problems: list[str]


class ProfilePart(_Part, frozen=True, kw_only=True):
    """The verdict on one profile, why, and how many of its clauses had which outcome."""

    verdict: Verdict
    why: str
    counts: dict[str, int]


class Report(_Part, frozen=True, kw_only=True):
    """Everything about one run. ``digest`` covers all the rest."""

    format: str
    suite: SuitePart
    contract: str
    backend: BackendPart
    environment: EnvironmentPart
    mode: ModePart
    started: datetime
    seconds: float
    verdict: Verdict
    profiles: dict[str, ProfilePart]
    clauses: list[ClausePart]
    coming: list[ComingPart]
    ledger: LedgerPart
    reproduce: str
    digest: str = ""


class UnreadableReport(Exception):
    """The file is no report of this format, or it was changed after it was written."""


def content_digest(report: Report) -> str:
    """The digest over everything in the report but the digest itself."""
    content = msgspec.to_builtins(report)
    del content["digest"]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def sealed(report: Report) -> Report:
    """The report with its digest."""
    return msgspec.structs.replace(report, digest=content_digest(report))


def report_text(report: Report) -> str:
    """The report as JSON for a file, with one line for each value."""
    return json.dumps(msgspec.to_builtins(report), indent=1, ensure_ascii=False) + "\n"


def write_report(report: Report, path: Path) -> None:
    """Write the report to a file, whose folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_text(report), "utf-8", newline="\n")


def read_report(path: Path) -> Report:
    """The report in a file. One that is none, or whose digest doesn't fit its content, is refused."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, UnicodeError, msgspec.MsgspecError) as error:
        raise UnreadableReport(f"{path.name} is no report: {error}; make one with iotstore conformance run") from error
    if report.format != FORMAT:
        raise UnreadableReport(f"{path.name} has the format {report.format!r}, and this suite reads {FORMAT!r}")
    if report.digest != content_digest(report):
        raise UnreadableReport(f"{path.name} was edited: its digest doesn't fit its content; run the clauses again")
    return report


def schema() -> dict[str, object]:
    """The JSON schema of reports."""
    (made,), parts = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    for part in parts.values():  # some Pythons take the margin of a docstring off, others leave it
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Report of the iotstore conformance suite",
        **made,
        "$defs": parts,
    }


def schema_text() -> str:
    """The JSON schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
