"""A report is believed when it is whole, unedited, consistent and of this suite; never otherwise."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from iotstore_conformance import Harness
from iotstore_conformance.accounting import Order, account, part_of, without_secrets
from iotstore_conformance.comparing import compare, comparison_text
from iotstore_conformance.execution import Result
from iotstore_conformance.judging import objections, staleness
from iotstore_conformance.ledger import Deviation, Ledger
from iotstore_conformance.manifest import manifest
from iotstore_conformance.report import (
    CapabilityPart,
    UnreadableReport,
    content_digest,
    read_report,
    schema_text,
    sealed,
    write_report,
)
from iotstore_conformance.verdicts import Outcome, Verdict

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 3, 4)
STARTED = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOWHERE = Harness("nowhere", fresh=lambda: "x", url=lambda name: f"nowhere://{name}")
SUITE = manifest()


def report(changes=None, **options):
    """A report in which everything passed but what *changes* say."""
    order = Order(options.pop("harness", NOWHERE), **options)
    found = {clause.id: Outcome.PASSED for clause in order.wanted} | (changes or {})
    parts = [part_of(Result(clause, found[clause.id], 0.5, 1)) for clause in order.wanted]
    return account(order, parts, STARTED, 10.0)


def edited(original, **changes):
    """The report with some fields changed and a digest that fits again: a forger's work."""
    return sealed(msgspec.structs.replace(original, **changes))


def test_a_report_is_read_back_as_it_was_written(tmp_path):
    write_report(report(), tmp_path / "deep" / "r.json")
    assert read_report(tmp_path / "deep" / "r.json") == report()


def test_a_report_of_this_suite_in_which_all_is_well_raises_no_objection():
    assert report().verdict is Verdict.CONFORMANT
    assert objections(report(), SUITE) == []
    assert staleness(report(), SUITE, TODAY) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [('"passed"', '"refused"'), ('"seconds": 0.5', '"seconds": 0.4'), ('"seed": 0', '"seed": 1'), ("nowhere", "mine")],
)
def test_an_edited_report_is_refused(tmp_path, before, after):
    path = tmp_path / "r.json"
    write_report(report(), path)
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(UnreadableReport, match="edited"):
        read_report(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\xff", '{"format": "iotstore-conformance-report/1"}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text, "latin-1")
    with pytest.raises(UnreadableReport, match=r"r\.json is no report"):
        read_report(tmp_path / "r.json")


def test_a_field_that_nobody_knows_is_refused(tmp_path):
    content = {**msgspec.to_builtins(report()), "note": "trust me"}
    (tmp_path / "r.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(UnreadableReport, match="note"):
        read_report(tmp_path / "r.json")


def test_a_report_of_another_format_is_refused(tmp_path):
    write_report(edited(report(), format="iotstore-conformance-report/2"), tmp_path / "r.json")
    with pytest.raises(UnreadableReport, match="format"):
        read_report(tmp_path / "r.json")


def test_a_verdict_that_does_not_follow_is_objected_to_though_its_digest_fits():
    failed = report({"VAL-001": Outcome.FAILED})
    assert failed.verdict is Verdict.FAILED
    assert objections(failed, SUITE) == []
    forged = edited(failed, verdict=Verdict.CONFORMANT)
    assert forged.digest == content_digest(forged)
    assert any("'failed' follows" in one for one in objections(forged, SUITE))
    assert any("profile core" in one for one in objections(edited(failed, profiles=report().profiles), SUITE))


def test_a_clause_that_is_left_out_doubled_or_invented_is_objected_to():
    whole = report()
    left_out = edited(whole, clauses=[part for part in whole.clauses if part.id != "VAL-001"])
    assert "VAL-001 has no outcome" in objections(left_out, SUITE)
    doubled = edited(whole, clauses=[*whole.clauses, whole.clauses[0]])
    assert f"{whole.clauses[0].id} stands in it 2 times" in objections(doubled, SUITE)
    invented = msgspec.structs.replace(whole.clauses[0], id="ZZZ-001")
    assert "ZZZ-001 is no clause of the suite" in objections(edited(whole, clauses=[*whole.clauses, invented]), SUITE)


def test_what_passed_and_what_is_declared_have_to_agree():
    declared = msgspec.structs.replace(
        report().backend, capabilities={"series": CapabilityPart(supported=False, reason="no", remedy="none")}
    )
    assert any(
        "though series is declared unsupported" in one for one in objections(edited(report(), backend=declared), SUITE)
    )
    refused = report({"TEL-001": Outcome.REFUSED})
    assert any("TEL-001 was refused" in one for one in objections(refused, SUITE))


def test_not_applicable_is_believed_only_of_clauses_about_another_kind_of_engine():
    about_files = {one.id: Outcome.NOT_APPLICABLE for one in SUITE.clauses if one.requires == "embedded"}
    changes = {one.id: Outcome.NOT_APPLICABLE for one in SUITE.clauses if one.requires == "server"}
    apart = report(changes, harness=replace(NOWHERE, engine="embedded"))
    assert apart.verdict is Verdict.CONFORMANT
    assert objections(apart, SUITE) == []
    assert report(changes).verdict is Verdict.PARTIAL
    undeclared = edited(apart, backend=msgspec.structs.replace(apart.backend, engine_kind=None))
    assert "SRV-001 is said to be not applicable, and the suite says that it applies" in objections(undeclared, SUITE)
    more = report(changes | about_files, harness=replace(NOWHERE, engine="embedded"))
    assert more.verdict is Verdict.PARTIAL
    assert "BRK-001 is said to be not applicable, and the suite says that it applies" in objections(more, SUITE)
    ran = report(changes | {"SRV-001": Outcome.FAILED}, harness=replace(NOWHERE, engine="embedded"))
    assert "SRV-001 was run, though it doesn't apply to an engine of the kind embedded" in objections(ran, SUITE)


def test_a_clause_that_is_no_longer_asked_is_told_as_worse():
    changes = {one.id: Outcome.NOT_APPLICABLE for one in SUITE.clauses if one.requires == "embedded"}
    before = report(harness=replace(NOWHERE, engine="embedded"))
    after = report(changes, harness=replace(NOWHERE, engine="server"))
    found = {change.what: change for change in compare(before, after)}
    assert (found["kind of engine"].before, found["kind of engine"].after) == ("embedded", "server")
    assert found["BRK-001"].worse
    failing = report({"BRK-001": Outcome.FAILED}, harness=replace(NOWHERE, engine="embedded"))
    assert {change.what for change in compare(after, failing) if change.worse} >= {"BRK-001", "profile faults"}


def test_a_clause_that_is_said_not_to_count_is_objected_to():
    parts = [msgspec.structs.replace(part, counted=False) for part in report().clauses]
    assert any("against the policy" in one for one in objections(edited(report(), clauses=parts), SUITE))


def test_a_known_defect_needs_its_entry_in_the_ledger():
    without = report({"VAL-001": Outcome.KNOWN_DEFECT})
    assert "VAL-001 is a known defect without an entry in the ledger" in objections(without, SUITE)
    entry = Deviation("VAL-001", "defect", "old", "https://example.org/1", TODAY)
    told = report({"VAL-001": Outcome.KNOWN_DEFECT}, ledger=Ledger({"VAL-001": entry}))
    assert told.verdict is Verdict.KNOWN_DEFECTS
    assert objections(told, SUITE) == []
    assert staleness(told, SUITE, TODAY) == []
    assert "expired on 2026-03-04" in staleness(told, SUITE, TODAY + timedelta(1))[0]


def test_mistakes_in_the_ledger_fail_the_run_and_stand_in_the_report():
    wrong = report(ledger=Ledger({}, ("entry 1: reason is missing",)))
    assert wrong.verdict is Verdict.FAILED
    assert wrong.ledger.problems == ["entry 1: reason is missing"]


def test_a_report_of_another_suite_or_contract_is_stale():
    other = replace(SUITE, digest="sha256:0")
    assert "made by suite" in staleness(report(), other, TODAY)[0]
    assert "contract 0.9" in staleness(edited(report(), contract="0.9"), SUITE, TODAY)[0]


def test_clauses_that_no_result_came_for_are_not_run():
    order = Order(NOWHERE)
    empty = account(order, [], STARTED, 0.0)
    assert empty.verdict is Verdict.NOT_MEASURED
    assert {clause.id for clause in empty.clauses} == SUITE.ids
    assert {clause.outcome for clause in empty.clauses} == {Outcome.NOT_RUN}


def test_of_two_results_for_one_clause_the_worse_one_counts():
    order = Order(NOWHERE)
    good = [part_of(Result(clause, Outcome.PASSED)) for clause in order.wanted]
    bad = part_of(Result(order.wanted[0], Outcome.FAILED))
    for parts in ([*good, bad], [bad, *good]):
        assert account(order, parts, STARTED, 0.0).verdict is Verdict.FAILED


def test_promises_without_clauses_stand_in_the_report_as_not_measured():
    promised = {one.profile for one in report().coming}
    assert {"performance", "backup"} <= promised
    assert all(one.reason for one in report().coming)


def test_the_command_that_repeats_a_run_names_everything_that_was_asked_for():
    order = Order(NOWHERE, profiles=("core",), clauses=("VAL-001",), full=True, seed=7, url="x://me:pw@host/db?token=1")
    expected = (
        "iotstore conformance run nowhere --url 'x://***@host/db?***' --profile core --clause VAL-001 --full --seed 7"
    )
    assert order.command == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://***@host/db"),
        ("can't open 'x://a:b@h/d?password=c' now", "can't open 'x://***@h/d?***' now"),
        ("nothing here", "nothing here"),
    ],
)
def test_no_secret_gets_into_a_report(text, shown):
    assert without_secrets(text) == shown


def test_two_equal_reports_have_no_difference():
    assert compare(report(), report()) == []
    assert comparison_text([]) == "No difference.\n"


def test_a_clause_that_broke_is_a_difference_for_the_worse_and_its_repair_is_not():
    good, bad = report(), report({"VAL-001": Outcome.FAILED})
    worse = [change.what for change in compare(good, bad) if change.worse]
    assert worse == ["profile core", "VAL-001"]
    assert [change.what for change in compare(bad, good) if change.worse] == []
    assert comparison_text(compare(good, bad)).splitlines()[0].startswith("worse")


def test_the_published_schema_is_that_of_the_reports_that_are_written():
    package = ROOT / "conformance" / "iotstore_conformance" / "schema" / "report.schema.json"
    command = "make it again with: iotstore conformance schema > FILE"
    assert package.read_text("utf-8") == schema_text(), command
    assert (ROOT / "docs" / "conformance-report.schema.json").read_text("utf-8") == schema_text(), command


def test_every_field_of_a_report_is_described_by_the_schema():
    found = json.loads(schema_text())
    content = msgspec.to_builtins(report())
    assert set(content) == set(found["$defs"]["Report"]["properties"])
    assert set(content["clauses"][0]) == set(found["$defs"]["ClausePart"]["properties"])
    assert set(content["mode"]) == set(found["$defs"]["ModePart"]["properties"])
