"""What becomes of clauses on backends that are missing, empty, incapable, flaky, leaking or stuck."""

import re
import threading
from dataclasses import replace
from types import FunctionType

import pytest

import iotstore
from iotstore import Conflict, Device
from iotstore.backend import Capabilities, Capability, EngineError, NotSupported
from iotstore_conformance import Harness, execution, load_clauses
from iotstore_conformance.accounting import Order, account, part_of
from iotstore_conformance.execution import execute, execute_one
from iotstore_conformance.failures import failure_text, script
from iotstore_conformance.harness import find_harness
from iotstore_conformance.leaks import open_files
from iotstore_conformance.ledger import Deviation, Ledger
from iotstore_conformance.manifest import Manifest, manifest
from iotstore_conformance.mutants import broken, find_mutant
from iotstore_conformance.registry import Clause
from iotstore_conformance.report import content_digest
from iotstore_conformance.seeding import current_seed
from iotstore_conformance.verdicts import Outcome, Verdict

CLAUSES = {clause.id: clause for clause in load_clauses()}
SOME = ("VAL-001", "DEV-001", "TXN-001", "TEL-012", "DUR-001")
HEALTHY = find_harness("sqlite")  # it has every capability that these tests take away


def suite(*clauses):
    """A manifest of a few clauses."""
    return Manifest(manifest().suite, manifest().contract, manifest().digest, clauses)


SMALL = suite(*(CLAUSES[id_] for id_ in SOME))


def run(harness, small=SMALL, **options):
    order = Order(harness, suite=small, **options)
    results = list(execute(order.chosen, harness, seed=order.seed, ledger=order.ledger))
    started = iotstore.SystemClock().now()
    return account(order, [part_of(result) for result in results], started, 1.0)


def made(prove, id_="ABC-001", **options):
    """A clause made for a test."""
    return Clause(
        id_, options.pop("profile", "core"), options.pop("needs", ()), False, "It MUST hold.", prove, **options
    )


def outcomes(report):
    return {clause.outcome for clause in report.clauses}


def test_a_healthy_backend_is_conformant():
    report = run(HEALTHY)
    assert report.verdict is Verdict.CONFORMANT
    assert {name for name, part in report.profiles.items() if part.verdict is Verdict.CONFORMANT} == {
        "core",
        "telemetry",
        "durability",
    }


def test_a_missing_server_is_not_measured_and_never_a_pass():
    lost = Harness("lost", fresh=lambda: "x", url=lambda name: f"nowhere://{name}")
    report = run(lost)
    assert report.verdict is Verdict.NOT_MEASURED
    assert outcomes(report) == {Outcome.NOT_RUN}
    assert "BackendUnavailable" in (report.clauses[0].message or "")
    assert report.verdict.exit_code == 2


@pytest.mark.parametrize("broken", ["fresh", "url"])
def test_a_harness_that_raises_is_broken_and_says_nothing_about_the_backend(broken):
    def fall(*_):
        raise KeyError("MY_SERVER")

    report = run(replace(HEALTHY, **{broken: fall}))
    assert report.verdict is Verdict.HARNESS_BROKEN
    assert f"{broken}() of the harness raised KeyError" in (report.clauses[0].message or "")
    assert report.verdict.exit_code == 2


def test_an_empty_backend_fails_everything():
    class Empty:
        def close(self):
            """Nothing to close."""

    report = run(replace(HEALTHY, open=lambda _url, **_options: Empty()))
    assert report.verdict is Verdict.FAILED
    assert outcomes(report) == {Outcome.FAILED}


def incapable(harness):
    """The harness with every capability declared unsupported."""

    def open_incapable(url, **options):
        store = harness.open(url, **options)
        name = store.backend.name
        store.backend.capabilities = Capabilities(name, dict.fromkeys(Capability, NotSupported("no", "another one")))
        return store

    return replace(harness, open=open_incapable)


def test_a_backend_that_declares_everything_unsupported_is_never_conformant():
    report = run(incapable(HEALTHY))
    assert not report.verdict.conformant
    assert not any(part.verdict.conformant for part in report.profiles.values())


def test_a_capability_that_works_although_it_is_declared_unsupported_is_unclaimed():
    def open_shy(url, **options):
        store = HEALTHY.open(url, **options)
        # What the core believes stays; what the suite is told changes.
        right = store.capabilities
        declared = {one: right[one] for one in Capability} | {Capability.SAVEPOINTS: NotSupported("no", "another one")}
        shy = type("Shy", (type(store),), {"capabilities": property(lambda _: Capabilities("shy", declared))})
        store.__class__ = shy
        return store

    result = execute_one(CLAUSES["TXN-006"], replace(HEALTHY, open=open_shy))
    assert result.outcome is Outcome.UNCLAIMED
    assert "declare it supported" in str(result.error)


def about(engine, prove=lambda _: None, id_="ABC-002"):
    """A clause about one kind of engine."""
    return made(prove, id_, requires=engine)


def test_a_clause_about_another_kind_of_engine_is_not_run_and_not_missed():
    ran = []
    report = run(HEALTHY, suite(CLAUSES["VAL-001"], about("server", ran.append)))
    (part,) = [part for part in report.clauses if part.id == "ABC-002"]
    assert (ran, part.outcome, part.seconds) == ([], Outcome.NOT_APPLICABLE, 0)
    assert part.message == "it is about servers, and the harness declares that it has embedded engines"
    assert report.verdict is Verdict.CONFORMANT
    assert report.backend.engine_kind == "embedded"


def test_a_harness_that_declares_no_kind_of_engine_is_partial():
    undeclared = replace(HEALTHY, engine=None, file=None, full=None)
    report = run(undeclared, suite(CLAUSES["VAL-001"], about("server"), about("embedded", id_="ABC-003")))
    assert [part.outcome for part in report.clauses] == [Outcome.NOT_RUN, Outcome.NOT_RUN, Outcome.PASSED]
    assert "doesn't say what it has (engine=)" in (report.clauses[0].message or "")
    assert report.verdict is Verdict.PARTIAL


def test_a_harness_that_declares_the_wrong_kind_of_engine_wins_nothing():
    """What it is excused from it exchanges for clauses that it can't pass."""
    ids = [one.id for one in CLAUSES.values() if one.requires]
    lying = replace(HEALTHY, engine="server", file=None, full=None)
    report = run(lying, suite(CLAUSES["VAL-001"], *(CLAUSES[id_] for id_ in ids)))
    found = {part.id: part.outcome for part in report.clauses}
    assert {found[id_] for id_ in ids if id_.startswith("SRV")} == {Outcome.NOT_RUN}
    assert report.verdict is Verdict.PARTIAL
    assert report.profiles["faults"].verdict is Verdict.NOT_MEASURED


def test_a_profile_of_which_nothing_applies_is_not_measured():
    report = run(
        HEALTHY, suite(CLAUSES["VAL-001"], made(lambda _: None, "ABC-002", profile="faults", requires="server"))
    )
    assert report.profiles["faults"].verdict is Verdict.NOT_MEASURED
    assert report.profiles["faults"].why == "all its clauses are about another kind of engine"


def test_a_clause_cannot_call_itself_not_applicable():
    def prove(_stage):
        pytest.skip("not applicable: I would rather not")

    assert execute_one(about("embedded", prove), HEALTHY).outcome is Outcome.NOT_RUN


def test_a_run_with_deselected_clauses_is_partial():
    report = run(HEALTHY, clauses=("VAL-001",))
    assert report.verdict is Verdict.PARTIAL
    assert sum(clause.outcome is Outcome.NOT_RUN for clause in report.clauses) == len(SOME) - 1


def test_a_profile_that_is_not_asked_for_is_not_measured_and_the_others_stand_alone():
    report = run(HEALTHY, profiles=("telemetry",))
    assert report.verdict is Verdict.CONFORMANT
    assert report.profiles["core"].verdict is Verdict.NOT_MEASURED
    assert report.profiles["core"].why == "not asked for"


def test_a_profile_without_clauses_cannot_be_asked_for_with_success():
    assert run(HEALTHY, profiles=("relationships",)).verdict is Verdict.NOT_MEASURED


def test_a_clause_that_fails_once_is_flaky_and_that_is_a_failure():
    tries = []

    def prove(stage):
        tries.append(stage.place)
        assert len(tries) > 1

    report = run(HEALTHY, suite(made(prove)))
    assert len(set(tries)) == 2
    assert report.clauses[0].outcome is Outcome.FLAKY
    assert report.verdict is Verdict.FAILED


def test_a_clause_that_skips_itself_has_not_run():
    def prove(_stage):
        pytest.skip("not today")

    assert run(HEALTHY, suite(made(prove))).verdict is Verdict.NOT_MEASURED


@pytest.mark.skipif(not open_files(), reason="this system doesn't tell which files are open")
def test_a_file_that_is_left_open_fails_the_clause(tmp_path):
    left = []

    def prove(_stage):
        left.append((tmp_path / "left").open("w"))

    result = execute_one(made(prove), HEALTHY)
    for file in left:
        file.close()
    assert result.outcome is Outcome.FAILED
    assert "left behind" in str(result.error)
    assert str(tmp_path) in str(result.error)


def test_a_connection_that_the_engine_still_sees_fails_the_clause_and_its_place_is_removed():
    dropped = []
    counting = replace(
        HEALTHY, drop=lambda place: (dropped.append(place), HEALTHY.drop(place)), connections=lambda _: 2
    )
    result = execute_one(made(lambda _: None), counting)
    assert result.outcome is Outcome.FAILED
    assert "2 connections" in str(result.error)
    assert len(dropped) == 2


def test_a_thread_that_is_left_running_fails_the_clause(monkeypatch):
    monkeypatch.setattr("iotstore_conformance.leaks._PATIENCE", 0.05)
    end = threading.Event()

    def prove(_stage):
        threading.Thread(target=end.wait, name="left over", daemon=True).start()

    result = execute_one(made(prove), HEALTHY)
    end.set()
    assert "thread 'left over'" in str(result.error)


def test_a_clause_that_never_ends_fails_and_the_run_goes_on(monkeypatch):
    monkeypatch.setattr(execution, "_PATIENCE", {"fast": 0.05})
    end = threading.Event()
    result = execute_one(made(lambda _: end.wait()), HEALTHY)
    end.set()
    assert result.outcome is Outcome.FAILED
    assert "didn't end within" in str(result.error)


def test_a_place_that_is_lost_on_the_way_leaves_the_rest_not_run():
    down = []

    def open_once(url, **options):
        if down:
            raise iotstore.Unreachable("the server is gone")
        return HEALTHY.open(url, **options)

    def prove(stage):
        down.append(True)
        stage.open()

    report = run(replace(HEALTHY, open=open_once), suite(made(prove), made(lambda _: None, "ABC-002")))
    assert outcomes(report) == {Outcome.NOT_RUN}
    assert report.verdict is Verdict.NOT_MEASURED


def test_a_provisional_clause_is_run_and_shown_and_does_not_count(monkeypatch):
    def prove(_stage):
        raise Conflict("not yet")

    small = replace(suite(CLAUSES["VAL-001"], made(prove, since="1.1")), suite="1.1.0")
    monkeypatch.setattr("iotstore_conformance.accounting.provisional", lambda clause: clause.since == "1.1")
    report = run(HEALTHY, small)
    assert {clause.id: clause.outcome for clause in report.clauses}["ABC-001"] is Outcome.FAILED
    assert report.verdict is Verdict.CONFORMANT


def test_the_errors_that_the_store_raises_are_recorded_and_those_that_the_clause_makes_are_not():
    def prove(stage):
        stage.store.devices.add(Device(key="a"))
        with pytest.raises(Conflict, match="a"):
            stage.store.devices.add(Device(key="a"))

    assert execute_one(made(prove), HEALTHY).raised == ("Conflict",)


def test_a_clause_runs_under_the_seed_of_the_run():
    seen = []
    execute_one(made(lambda _: seen.append(current_seed())), HEALTHY, seed=42)
    assert seen == [42]
    assert current_seed() == 0


def test_a_known_defect_stands_in_the_report_with_its_reason():
    entry = Deviation("ABC-001", "defect", "It is old.", "https://example.org/1", iotstore.SystemClock().now().date())

    def prove(_stage):
        raise Conflict("as ever")

    report = run(HEALTHY, suite(CLAUSES["VAL-001"], made(prove)), ledger=Ledger({"ABC-001": entry}))
    assert report.verdict is Verdict.KNOWN_DEFECTS
    assert report.ledger.deviations[0].reason == "It is old."
    assert report.digest == content_digest(report)


def test_a_failure_tells_the_clause_its_sentence_the_statement_a_script_and_what_to_declare():
    def open_forgetful(url, **options):
        store = HEALTHY.open(url, **options)
        store.__class__ = type("Forgetful", (type(store),), {"settings": property(lambda _: _Forgetful())})
        return store

    class _Forgetful:
        def __getattr__(self, name):
            return lambda *_args, **_options: []

    result = execute_one(CLAUSES["DUR-001"], replace(HEALTHY, open=open_forgetful))
    text = failure_text(replace(result, outcome=Outcome.FAILED), HEALTHY.name, 5)
    assert "DUR-001" in text
    assert "What was written MUST be there after the store was closed" in text
    assert "--clause DUR-001 --seed 5" in text
    assert re.search(r"declare one of [^(]*PERSISTENCE[^(]* as\s+NotSupported", text)
    assert 'clause = "DUR-001"' in text


def test_a_failed_statement_is_shown_with_the_values_of_its_names():
    result = execute_one(CLAUSES["CAP-002"], replace(HEALTHY, open=_narrow))
    text = failure_text(result, HEALTHY.name, 0)
    assert "assert limits.max_key_bytes >= 1024" in text
    assert "max_key_bytes=5" in text


@pytest.mark.parametrize(
    ("raised", "advised"), [(OSError("gone"), True), (EngineError("the engine failed"), False)], ids=repr
)
def test_an_error_is_shown_with_its_place_in_the_backend_and_whether_it_was_translated(raised, advised):
    def raise_it():
        raise raised

    # As if the function stood in the backend's package.
    in_the_backend = FunctionType(
        raise_it.__code__, {"__name__": "iotstore_sqlite.made_up"}, closure=raise_it.__closure__
    )
    with pytest.raises(type(raised), match=r"gone|failed") as caught:
        in_the_backend()
    result = execute_one(CLAUSES["CAP-002"], replace(HEALTHY, open=_narrow))
    text = failure_text(replace(result, error=caught.value), HEALTHY.name, 0)
    assert re.search(r"raised in iotstore_sqlite\.made_up:\d+, in raise_it", text)
    assert ("translate it there" in text) is advised


def _narrow(url, **options):
    store = HEALTHY.open(url, **options)
    store.backend.limits = replace(store.limits, max_key_bytes=5)
    return store


def test_the_script_of_a_failure_does_what_the_clause_does():
    """It ends well on a store that keeps the sentence, and as the clause did on one that doesn't."""
    program, names = compile(script(CLAUSES["VAL-001"], HEALTHY.name, 3), "script", "exec"), {}
    exec(program, names)
    assert names[CLAUSES["VAL-001"].prove.__name__] is CLAUSES["VAL-001"].prove
    with broken(HEALTHY, find_mutant("text-is-trimmed")), pytest.raises(AssertionError, match=r"."):
        exec(program, {})
