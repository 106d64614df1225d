"""The pytest plugin: silent without its option, strict with it."""

import subprocess
import sys

import pytest

SUITE = ["--pyargs", "iotstore_conformance.suite", "-p", "no:cacheprovider"]


def run(folder, *args):
    """pytest in a process and a folder of its own, as on another author's machine."""
    command = [sys.executable, "-m", "pytest", "-q", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_without_the_option_nothing_is_collected_and_pytest_says_so(tmp_path):
    done = run(tmp_path, *SUITE)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout


def test_another_projects_tests_run_as_if_the_plugin_were_not_there(tmp_path):
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert True\n")
    done = run(tmp_path, "-p", "no:cacheprovider")
    assert "1 passed" in done.stdout
    assert done.returncode == 0


def test_an_unknown_harness_ends_the_run_before_it_starts(tmp_path):
    done = run(tmp_path, *SUITE, "--iotstore", "nothing")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no harness 'nothing' is installed" in done.stderr


def test_clauses_are_tests_named_after_their_numbers(tmp_path):
    done = run(tmp_path, *SUITE, "--iotstore", "sqlite", "--collect-only", "-k", "TEL-012")
    assert "test_clause[TEL-012]" in done.stdout, done.stdout + done.stderr


def test_long_histories_wait_until_they_are_asked_for(tmp_path):
    listed = run(tmp_path, *SUITE, "--iotstore", "sqlite", "--collect-only", "-k", "MOD-001")
    assert "MOD-001-full" not in listed.stdout
    listed = run(tmp_path, *SUITE, "--iotstore", "sqlite", "--collect-only", "-k", "MOD-001", "-m", "full")
    assert "MOD-001-full" in listed.stdout


def test_a_harness_that_cannot_open_is_an_error_and_never_a_skip(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import pytest\n"
        "import iotstore_conformance.plugin as plugin\n"
        "from iotstore_conformance import Harness\n"
        "def pytest_configure(config):\n"
        "    config.stash[plugin._HARNESS] = Harness('lost', fresh=lambda: 'x', url=lambda name: 'nowhere://' + name)\n"
    )
    done = run(
        tmp_path,
        *SUITE,
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
        "-p",
        "conftest",
        "--iotstore",
        "sqlite",
        "-k",
        "VAL-001",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 error" in done.stdout
    assert "skipped" not in done.stdout


def test_the_plugin_imports_nothing_but_pytest():
    program = (
        "import sys, pytest; before = set(sys.modules); import iotstore_conformance.plugin;"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "heavy = loaded & {'iotstore', 'hypothesis', 'msgspec', 'sqlalchemy'};"
        "raise SystemExit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_option_alone_is_a_run_of_the_contract_with_a_report(tmp_path):
    done = run(
        tmp_path, "-p", "no:cacheprovider", "--iotstore", "sqlite", "-k", "DUR", "--iotstore-report", "deep/r.json"
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "Verdict: partial" in done.stdout
    assert done.returncode == 0
    from iotstore_conformance.report import read_report

    assert read_report(tmp_path / "deep" / "r.json").mode.runner == "pytest"


def test_a_profile_that_is_required_and_was_left_out_fails_the_run(tmp_path):
    options = ["-p", "no:cacheprovider", "--iotstore", "sqlite", "-k", "DUR", "--iotstore-require"]
    assert run(tmp_path, *options, "durability").returncode == 0
    done = run(tmp_path, *options, "core")
    assert done.returncode != 0
    assert "required and not conformant: core" in done.stdout


def test_a_run_that_leaves_the_suite_out_without_saying_so_does_not_end_well(tmp_path):
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert True\n")
    done = run(tmp_path, "-p", "no:cacheprovider", "test_own.py", "--iotstore", "sqlite")
    assert "1 passed" in done.stdout
    assert "Verdict: not measured" in done.stdout
    assert done.returncode != 0


def test_a_known_defect_that_passes_is_a_failure(tmp_path):
    (tmp_path / "conformance.toml").write_text(
        '[[deviation]]\nclause = "VAL-001"\nkind = "defect"\nreason = "old"\n'
        'link = "https://example.org/1"\nexpires = 2999-01-01\n'
    )
    done = run(tmp_path, "-p", "no:cacheprovider", "--iotstore", "sqlite", "-k", "VAL-001")
    assert "remove its entry" in done.stdout
    assert done.returncode == 1
