"""Specification, clauses and the list of faults agree with each other."""

import re
from pathlib import Path

import pytest

from iotstore.backend import Capability
from iotstore_conformance.refusals import _CALLS
from iotstore_conformance.registry import clause, load_clauses

DOCS = Path(__file__).parents[2] / "docs"
SENTENCE = re.compile(r"- \*\*([A-Z]{3}-\d{3})\*\* (.*?)(?: \*\(needs ([a-z_, ]+)\)\*)?", re.DOTALL)


def sentences() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for item in re.split(r"\n(?=- \*\*|\n|#)", (DOCS / "specification.md").read_text("utf-8")):
        if match := SENTENCE.fullmatch(" ".join(item.split())):
            assert match[1] not in found, f"{match[1]} stands in the specification twice"
            found[match[1]] = (match[2], match[3] or "")
    return found


def test_every_sentence_has_its_clause_and_every_clause_its_sentence():
    clauses = {one.id: (one.sentence, ", ".join(need.value for need in one.needs)) for one in load_clauses()}
    assert clauses == sentences()


def test_every_must_of_the_specification_is_numbered():
    text = (DOCS / "specification.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if "MUST" in line]
    assert len(lines) > 200
    assert [line for line in lines if not re.match(r"- \*\*[A-Z]{3}-\d{3}\*\* ", line)] == []


def test_every_fault_names_clauses_that_exist():
    known = {one.id for one in load_clauses()}
    rows = [
        line for line in (DOCS / "faults.md").read_text("utf-8").splitlines() if re.search(r"[A-Z]{3}-\d{3} ", line)
    ]
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"[A-Z]{3}-\d{3}", row)
        assert named, row
        assert set(named) <= known, row


def test_every_fault_clause_is_told_of_in_the_list_of_faults():
    text = (DOCS / "faults.md").read_text("utf-8")
    assert [one.id for one in load_clauses() if one.id.startswith("FLT") and one.id not in text] == []


def test_every_capability_that_is_a_call_has_a_refusal_and_a_clause_that_needs_it():
    needed = {need for one in load_clauses() for need in one.needs}
    assert set(_CALLS) <= needed
    # The graph has no operation through Store yet; a backend of many processes is proved with the next profile.
    assert set(Capability) - needed <= {Capability.GRAPH, Capability.MANY_PROCESSES}


def test_no_module_of_the_suite_names_a_backend():
    package = Path(__file__).parents[1] / "iotstore_conformance"
    for module in package.rglob("*.py"):
        assert not re.search(r"sqlite|postgres|neo4j|duckdb", module.read_text("utf-8"), re.IGNORECASE), module


@pytest.mark.parametrize(
    ("id_", "sentence", "complaint"),
    [
        ("VAL-001", "It MUST hold.", "twice"),
        ("VAL-1", "It MUST hold.", "no clause id"),
        ("VAL-999", "It holds.", "MUST"),
        ("VAL-999", None, "MUST"),
    ],
)
def test_a_clause_without_number_or_sentence_is_refused(id_, sentence, complaint):
    load_clauses()

    def prove(stage):
        """Replaced below."""

    prove.__doc__ = sentence
    with pytest.raises(ValueError, match=complaint):
        clause(id_)(prove)
