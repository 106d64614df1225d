"""Specification, clauses and the list of faults agree with each other."""

import re
from pathlib import Path

import pytest

from iotstore.backend import Capability
from iotstore_conformance.probes import PROBES, PROMISES
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


def test_the_specification_says_which_sentences_are_about_one_kind_of_engine():
    parts = {
        part.partition("\n")[0]: set(re.findall(r"\*\*([A-Z]{3}-\d{3})\*\*", part))
        for part in (DOCS / "specification.md").read_text("utf-8").split("\n## ")[1:]
    }
    for title, engine in (("Broken files", "embedded"), ("Servers", "server")):
        assert parts[title] == {one.id for one in load_clauses() if one.requires == engine}


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


def test_every_capability_has_a_clause_that_needs_it_and_is_refused_by_a_call_or_its_declaration():
    needed = {need for one in load_clauses() for need in one.needs}
    assert needed == set(Capability)
    assert set(PROBES) | PROMISES == needed


def test_no_module_of_the_suite_names_a_backend_except_those_that_start_servers():
    package = Path(__file__).parents[1] / "iotstore_conformance"
    for module in set(package.rglob("*.py")) - set((package / "servers").iterdir()):
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
