"""The digest of the suite covers what decides, and nothing about the machine it lies on."""

import shutil
import subprocess
import sys
from pathlib import Path

import iotstore_conformance
from iotstore_conformance.manifest import deciding_modules, manifest

PACKAGE = Path(iotstore_conformance.__file__).parent
PROGRAM = "from iotstore_conformance.manifest import manifest; print(manifest().digest)"


def digest_of(folder):
    """The digest of a copy of the suite in *folder*, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {PROGRAM}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def copied(folder):
    target = folder / "iotstore_conformance"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_every_clause_is_in_the_manifest_once():
    ids = [clause.id for clause in manifest().clauses]
    assert len(ids) > 250
    assert ids == sorted(set(ids))


def test_what_runs_and_judges_clauses_is_digested_and_what_draws_tables_is_not():
    found = set(deciding_modules())
    assert {"clauses.telemetry", "machines.records", "model", "refusals", "runner", "verdicts", "ledger"} <= found
    assert not found & {"matrix", "matrix_page", "badges", "failures", "commands.run", "plugin", "printing"}


def test_the_digest_does_not_depend_on_the_place_or_on_line_ends(tmp_path):
    copy = copied(tmp_path)
    for module in copy.rglob("*.py"):
        module.write_bytes(module.read_bytes().replace(b"\n", b"\r\n"))
    assert digest_of(tmp_path) == digest_of(PACKAGE.parent)


def test_a_clause_that_is_weakened_changes_the_digest(tmp_path):
    module = copied(tmp_path) / "clauses" / "durability.py"
    text = module.read_text("utf-8")
    assert "assert " in text
    module.write_text(text.replace("assert ", "assert True or ", 1), "utf-8")
    assert digest_of(tmp_path) != digest_of(PACKAGE.parent)


def test_a_module_of_clauses_that_is_removed_changes_the_digest(tmp_path):
    (copied(tmp_path) / "clauses" / "durability.py").unlink()
    assert digest_of(tmp_path) != digest_of(PACKAGE.parent)
