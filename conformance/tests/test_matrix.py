"""Tables and badges say what reports say: yes, no, known defect, unknown and stale stay five things."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from iotstore_conformance import Harness
from iotstore_conformance.accounting import Order, account, part_of
from iotstore_conformance.badges import badge
from iotstore_conformance.execution import Result
from iotstore_conformance.judging import objections
from iotstore_conformance.ledger import Deviation, Ledger
from iotstore_conformance.manifest import manifest
from iotstore_conformance.matrix import Mark, make_matrix, markdown
from iotstore_conformance.matrix_page import page
from iotstore_conformance.report import CapabilityPart, read_report
from iotstore_conformance.verdicts import Outcome

DOCS = Path(__file__).parents[2] / "docs"
TODAY = date(2026, 3, 4)
SUITE = manifest()
RUN = "iotstore conformance run sqlite --report docs/reports/sqlite.json"
DRAW = (
    "iotstore conformance matrix docs/reports/*.json"
    " --markdown docs/conformance-matrix.md --html docs/conformance-matrix.html"
)


def report(name="mine", changes=None, unsupported=(), **options):
    """A report in which everything passed but what *changes* say."""
    engine = options.pop("engine", None)
    order = Order(Harness(name, fresh=lambda: "x", url=lambda place: f"nowhere://{place}", engine=engine), **options)
    found = {clause.id: Outcome.PASSED for clause in order.wanted} | (changes or {})
    parts = [part_of(Result(clause, found[clause.id], 0.5, 1)) for clause in order.wanted]
    made = account(order, parts, datetime(2026, 3, 4, tzinfo=UTC), 1.0)
    needs = {need.value for clause in SUITE.clauses for need in clause.needs} | {"levitation"}
    declared = {
        one: CapabilityPart(supported=one not in unsupported, reason="<not> here", remedy="none")
        for one in sorted(needs)
    }
    return msgspec.structs.replace(made, backend=msgspec.structs.replace(made.backend, capabilities=declared))


def engines():
    """Reports about a server and an embedded engine, each without the clauses about the other."""
    return [
        report(engine, dict.fromkeys(SUITE.inapplicable(engine), Outcome.NOT_APPLICABLE), engine=engine)
        for engine in ("embedded", "server")
    ]


def marks(rows):
    return {row.name: [cell.mark for cell in row.cells] for row in rows}


LEDGER = Ledger({"VAL-001": Deviation("VAL-001", "defect", "<old> & known", "https://example.org/1", TODAY)})
MIXED = [
    report("good"),
    report("bad", {"VAL-001": Outcome.FAILED}),
    report("owns-up", {"VAL-001": Outcome.KNOWN_DEFECT}, ledger=LEDGER),
    report("part", {"VAL-001": Outcome.NOT_RUN}),
    msgspec.structs.replace(report("old"), suite=msgspec.structs.replace(report().suite, digest="sha256:0")),
]


def test_the_marks_are_told_apart():
    matrix = make_matrix(MIXED, SUITE, TODAY)
    assert matrix.columns == ["bad", "good", "old", "owns-up", "part"]
    assert marks(matrix.profiles)["core"] == [Mark.NO, Mark.YES, Mark.STALE, Mark.DEFECT, Mark.UNKNOWN]


def test_a_backend_that_was_measured_on_several_engines_has_a_column_for_each_by_its_name():
    def on(engine):
        made = report("good")
        return msgspec.structs.replace(made, backend=msgspec.structs.replace(made.backend, engine=engine))

    matrix = make_matrix([on("Engine 2"), report("bad"), on("Engine 1")], SUITE, TODAY)
    assert matrix.columns == ["bad", "good on Engine 1", "good on Engine 2"]


def test_what_is_about_another_kind_of_engine_has_a_mark_of_its_own_and_a_table_of_its_own():
    matrix = make_matrix(engines(), SUITE, TODAY)
    assert marks(matrix.profiles)["faults"] == [Mark.YES, Mark.YES]
    assert marks(matrix.kinds)["SRV-001"] == [Mark.NOT_APPLICABLE, Mark.YES]
    assert marks(matrix.kinds)["BRK-001"] == [Mark.YES, Mark.NOT_APPLICABLE]
    assert matrix.clauses == ()
    assert "## Clauses about one kind of engine" in markdown(matrix)


def test_a_capability_that_clauses_about_files_need_is_a_yes_on_a_server_too():
    found = marks(make_matrix(engines(), SUITE, TODAY).capabilities)
    assert found["persistence"] == [Mark.YES, Mark.YES]


def test_a_profile_of_which_no_clause_ran_is_unknown():
    of_it = [clause.id for clause in SUITE.clauses if clause.profile == "relationships"]
    idle = report(changes=dict.fromkeys(of_it, Outcome.NOT_RUN))

    assert of_it
    assert marks(make_matrix([idle], SUITE, TODAY).profiles)["relationships"] == [Mark.UNKNOWN]


def test_a_capability_that_nobody_tested_is_unknown_though_it_is_claimed():
    found = marks(make_matrix([report()], SUITE, TODAY).capabilities)
    assert found["transactions"] == [Mark.YES]
    assert found["levitation"] == [Mark.UNKNOWN]
    left_out = report(changes={"TXN-001": Outcome.NOT_RUN})
    assert marks(make_matrix([left_out], SUITE, TODAY).capabilities)["transactions"] == [Mark.UNKNOWN]


def test_a_capability_that_is_declared_unsupported_is_a_no_with_its_reason():
    (row,) = [
        row
        for row in make_matrix([report(unsupported=["compaction"])], SUITE, TODAY).capabilities
        if row.name == "compaction"
    ]
    assert (row.cells[0].mark, row.cells[0].note) == (Mark.NO, "<not> here")


def test_clauses_that_did_not_hold_somewhere_are_listed_and_others_are_not():
    rows = make_matrix(MIXED, SUITE, TODAY).clauses
    assert [row.name for row in rows] == ["VAL-001"]


def test_a_ledger_that_expired_makes_a_report_stale():
    matrix = make_matrix([MIXED[2]], SUITE, date(2026, 3, 5))
    assert marks(matrix.profiles)["core"] == [Mark.STALE]


class _Page(HTMLParser):
    """What a page is made of."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(reports):
    found = _Page()
    found.feed(page(make_matrix(reports, SUITE, TODAY)))
    found.close()
    return found


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere():
    found = parsed(MIXED)
    assert found.open == []
    assert not {"script", "img", "iframe", "link"} & {tag for tag, _ in found.seen}
    style = page(make_matrix(MIXED, SUITE, TODAY)).partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_can_be_read_without_seeing_its_colours():
    found = parsed(MIXED)
    text = " ".join(found.text)
    assert all(mark.value in text for mark in Mark)
    assert {attrs.get("scope") for tag, attrs in found.seen if tag == "th"} == {"col", "row"}
    assert ("html", {"lang": "en"}) in found.seen
    ids = [attrs["id"] for _, attrs in found.seen if "id" in attrs]
    named = {attrs["aria-labelledby"] for _, attrs in found.seen if "aria-labelledby" in attrs}
    assert len(ids) == len(set(ids))
    assert named <= set(ids)


def _luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ("ink", "paper"),
        ("soft", "paper"),
        ("soft", "card"),
        *((mark, f"{mark}-back") for mark in ("yes", "no", "defect", "unknown", "stale", "apart")),
    ],
)
def test_every_text_stands_out_from_what_is_behind_it(scheme, ink, paper):
    light, _, dark = page(make_matrix([], SUITE, TODAY)).partition("prefers-color-scheme: dark")
    colours = dict(
        part.strip().removeprefix("--").split(": ")
        for line in {"light": light, "dark": dark.partition("\n}\n")[0]}[scheme].splitlines()
        if line.strip().startswith("--")
        for part in line.split(";")
        if part.strip()
    )
    first, second = sorted((_luminance(colours[ink]), _luminance(colours[paper])))
    assert (second + 0.05) / (first + 0.05) >= 4.5


def test_what_a_ledger_says_is_text_on_the_page_and_never_markup():
    html = page(make_matrix([MIXED[2]], SUITE, TODAY))
    assert "&lt;old&gt; &amp; known" in html
    assert "<old>" not in html


@pytest.mark.parametrize(
    ("of", "said", "colour"),
    [
        ("good", "conformant", "brightgreen"),
        ("bad", "failed", "red"),
        ("old", "stale", "lightgrey"),
        ("part", "partial", "orange"),
    ],
)
def test_a_badge_says_verdict_and_suite_and_a_stale_one_only_that_it_is(of, said, colour):
    (one,) = [report for report in MIXED if report.backend.name == of]
    found = json.loads(badge(one, "core", stale=of == "old"))
    assert found["schemaVersion"] == 1
    assert (found["label"], found["color"]) == ("iotstore core", colour)
    assert found["message"] == f"{said} · suite {one.suite.version}"


def committed():
    return [read_report(path) for path in sorted((DOCS / "reports").glob("*.json"))]


def test_our_own_reports_are_of_this_suite_and_true():
    assert committed()
    for one in committed():
        assert one.suite.digest == SUITE.digest, f"stale; run: {RUN} && {DRAW}"
        assert objections(one, SUITE) == []


@pytest.mark.parametrize(("name", "make"), [("conformance-matrix.md", markdown), ("conformance-matrix.html", page)])
def test_our_own_matrix_is_made_from_our_own_reports(name, make):
    day = max(one.started for one in committed()).date()
    made = make(make_matrix(committed(), SUITE, day))
    assert (DOCS / name).read_text("utf-8") == made, f"run: {RUN} && {DRAW}"


def test_a_matrix_of_the_same_reports_is_the_same_in_any_order():
    suite = replace(SUITE)
    assert markdown(make_matrix(MIXED, suite, TODAY)) == markdown(make_matrix(MIXED[::-1], suite, TODAY))
