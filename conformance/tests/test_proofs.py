"""What mutants did in a whole proof is kept, and goes on being true only for the code that was proved."""

import pytest

from iotstore import ConfigurationError
from iotstore_conformance.mutants import Mutant
from iotstore_conformance.plans import UNTOUCHED, Outcome
from iotstore_conformance.proofs import Recording, code_of, read_proofs

OTHERS = [f"C{n:02}" for n in range(20)]


def _mutant(name="one", kills=("A",)):
    return Mutant(name, kills, "It is wrong.", "here", test_a_proof_is_kept_with_what_was_passed_untouched_and_failed)


def _outcomes(name="one", **verdicts):
    return [
        Outcome(name, "A", "killed", "", 0.1),
        *(Outcome(name, id_, verdicts.get(id_, "survived"), "", 0.1) for id_ in OTHERS[:15]),
        *(Outcome(name, id_, "survived", UNTOUCHED, 0.0) for id_ in OTHERS[15:]),
    ]


def test_a_proof_is_kept_with_what_was_passed_untouched_and_failed(tmp_path):
    path = tmp_path / "proofs.json"
    Recording(path, "mine", "sha256:1", [_mutant()]).add("one", _outcomes(C03="error"), 21)
    found = read_proofs(path)
    assert (found.harness, found.suite, found.clauses, list(found.mutants)) == ("mine", "sha256:1", 21, ["one"])
    proof = found.mutants["one"]
    assert (proof.others, proof.passed, proof.untouched, proof.failed) == (20, 14, 5, {"C03": "error"})


def test_what_is_not_decided_is_not_kept(tmp_path):
    path = tmp_path / "proofs.json"
    Recording(path, "mine", "sha256:1", [_mutant()]).add("one", _outcomes()[:10], 21)
    assert not path.exists()


def test_a_proof_is_known_again_until_mutant_or_suite_change(tmp_path):
    path = tmp_path / "proofs.json"
    Recording(path, "mine", "sha256:1", [_mutant()]).add("one", _outcomes(C03="hung"), 21)
    known = Recording(path, "mine", "sha256:1", [_mutant(), _mutant("two")])
    assert known.known("one") == [Outcome("one", "C03", "hung", "as recorded", 0.0)]
    assert known.known("two") is None
    assert Recording(path, "mine", "sha256:2", [_mutant()]).known("one") is None
    assert Recording(path, "other", "sha256:1", [_mutant()]).known("one") is None
    assert Recording(path, "mine", "sha256:1", [_mutant(kills=("A", "B"))]).known("one") is None
    assert code_of(_mutant(), "sha256:1") != code_of(_mutant("two"), "sha256:1")


def test_proofs_of_other_mutants_stay_in_the_file(tmp_path):
    path = tmp_path / "proofs.json"
    Recording(path, "mine", "sha256:1", [_mutant()]).add("one", _outcomes(), 21)
    Recording(path, "mine", "sha256:1", [_mutant("two")]).add("two", _outcomes("two"), 21)
    assert list(read_proofs(path).mutants) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "said"), [("{}", "holds no proofs"), ("nonsense", "holds no proofs"), (None, "holds no proofs")]
)
def test_a_file_that_holds_no_proofs_is_refused(tmp_path, text, said):
    path = tmp_path / "proofs.json"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_proofs(path)


def test_proofs_of_another_format_are_refused(tmp_path):
    path = tmp_path / "proofs.json"
    Recording(path, "mine", "sha256:1", [_mutant()]).add("one", _outcomes(), 21)
    path.write_text(path.read_text("utf-8").replace("iotstore-proof/1", "iotstore-proof/2"), "utf-8")
    with pytest.raises(ConfigurationError, match="iotstore-proof/2"):
        read_proofs(path)
