"""The commands of the suite, as an author types them."""

import json
import subprocess
import sys

import pytest

from iotstore.cli import main

NAME = "sqlite"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of one profile that is quickly measured."""
    path = tmp_path_factory.mktemp("reports") / "r.json"
    assert main(["conformance", "run", NAME, "--profile", "durability", "--report", str(path)]) == 0
    return path


def test_a_conformant_run_ends_with_0_and_its_report_is_verified(report, capsys):
    assert main(["conformance", "verify", str(report)]) == 0
    assert "Verdict: conformant (durability)" in capsys.readouterr().out


def test_a_run_of_one_clause_is_partial_and_ends_with_1(capsys):
    assert main(["conformance", "run", NAME, "--clause", "VAL-001"]) == 1
    assert "Verdict: partial (core)" in capsys.readouterr().out


def test_a_required_profile_that_was_not_measured_ends_with_2():
    asked = ["conformance", "run", NAME, "--profile", "durability", "--require"]
    assert main([*asked, "durability"]) == 0
    assert main([*asked, "relationships"]) == 2


def test_a_run_takes_place_beside_the_url_that_was_given_and_leaves_nothing_there(tmp_path, capsys):
    url = f"{NAME}:///{tmp_path}/home.db"
    assert main(["conformance", "run", NAME, "--profile", "durability", "--url", url]) == 0
    assert list(tmp_path.iterdir()) == []
    assert f"--url {url}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "nothing"], "no harness 'nothing' is installed"),
        (["run", NAME, "--clause", "XYZ-001"], "there is no clause XYZ-001"),
        (["run", NAME, "--clause", "VAL-001", "--profile", "telemetry"], "VAL-001 belongs to core"),
        (["verify", "nowhere.json"], "nowhere.json is no report"),
        (["diff", "a.json", "x://host/b"], "one is a store and one is not"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(words, complaint, capsys):
    assert main(["conformance", *words]) == 1
    assert complaint in capsys.readouterr().err


def test_an_edited_report_is_refused_and_a_stale_one_ends_with_2(report, tmp_path, capsys):
    from iotstore_conformance.report import read_report, sealed, write_report

    edited = tmp_path / "edited.json"
    edited.write_text(report.read_text("utf-8").replace('"passed"', '"refused"', 1), "utf-8")
    assert main(["conformance", "verify", str(edited)]) == 1
    assert "was edited" in capsys.readouterr().err

    import msgspec

    found = read_report(report)
    old = msgspec.structs.replace(found, suite=msgspec.structs.replace(found.suite, digest="sha256:0"))
    write_report(sealed(old), tmp_path / "old.json")
    assert main(["conformance", "verify", str(tmp_path / "old.json")]) == 2
    assert "stale" in capsys.readouterr().out


def test_two_reports_are_compared_and_equal_ones_end_with_0(report, capsys):
    assert main(["conformance", "diff", str(report), str(report)]) == 0
    assert capsys.readouterr().out == "No difference.\n"


def test_a_matrix_and_a_badge_are_made_from_a_report(report, tmp_path, capsys):
    markdown, html = tmp_path / "m.md", tmp_path / "m.html"
    assert main(["conformance", "matrix", str(report), "--markdown", str(markdown), "--html", str(html)]) == 0
    assert "| **durability**" in markdown.read_text("utf-8")
    assert html.read_text("utf-8").startswith("<!doctype html>")
    capsys.readouterr()
    assert main(["conformance", "badge", str(report), "--profile", "durability"]) == 0
    assert json.loads(capsys.readouterr().out)["message"].startswith("conformant")


def test_the_list_shows_every_clause_and_what_is_not_measured(capsys):
    assert main(["conformance", "list", "--profile", "telemetry"]) == 0
    assert "TEL-012" in capsys.readouterr().out
    assert main(["conformance", "list"]) == 0
    assert "not measured: " in capsys.readouterr().out


def test_an_expired_ledger_fails_the_run(tmp_path, capsys):
    ledger = tmp_path / "conformance.toml"
    ledger.write_text(
        '[[deviation]]\nclause = "VAL-001"\nkind = "defect"\nreason = "old"\n'
        'link = "https://example.org/1"\nexpires = 2020-01-01\n'
    )
    assert main(["conformance", "run", NAME, "--profile", "durability", "--ledger", str(ledger)]) == 1
    out = capsys.readouterr().out
    assert "it expired on 2020-01-01" in out
    assert "Verdict: failed" in out


def test_help_imports_neither_the_clauses_nor_a_test_tool():
    program = (
        "import sys; from iotstore.cli import main; main(['conformance', '--help']);"
        "heavy = {'pytest', 'hypothesis', 'iotstore_conformance.stage'} & set(sys.modules);"
        "raise SystemExit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_page_of_kills_is_written_from_the_registry_and_from_a_record(tmp_path, capsys):
    page, record = tmp_path / "page.md", tmp_path / "record.json"
    assert main(["conformance", "prove", "--page", str(page)]) == 0
    assert "No mutant was proved whole." in page.read_text("utf-8")
    proof = {"code": "x", "others": 10, "passed": 4, "untouched": 5, "failed": {"VAL-001": "killed"}}
    text = {"format": "iotstore-proof/1", "harness": NAME, "suite": "sha256:1", "clauses": 11}
    record.write_text(json.dumps({**text, "mutants": {"text-is-cut": proof}}), "utf-8")
    assert main(["conformance", "prove", "--page", str(page), "--record", str(record)]) == 0
    assert "| 9 of 10 (5 untouched) | VAL-001 |" in page.read_text("utf-8")
    assert capsys.readouterr().out == ""


def test_a_record_is_kept_of_whole_proofs_only(tmp_path, capsys):
    asked = ["conformance", "prove", NAME, "--mutant", "text-is-cut", "--record", str(tmp_path / "record.json")]
    assert main(asked) != 0
    assert "only a whole proof is recorded" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
