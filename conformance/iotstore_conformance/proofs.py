"""What mutants did in whole proofs, kept as a file: the page of kills shows it, and an interrupted proof goes on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from inspect import getsource
from pathlib import Path
from typing import Final

import msgspec

from iotstore import ConfigurationError
from iotstore_conformance.mutants.registry import Mutant
from iotstore_conformance.plans import UNTOUCHED, Outcome, Verdict, decided

_FORMAT: Final = "iotstore-proof/1"


class Proof(msgspec.Struct, frozen=True):
    """How a mutant did in the clauses that it doesn't name: how many there are, how many it met and *passed*, how many
    are *untouched*, because they call nothing that it exchanges, and which it failed. The rest could not have changed
    that it passes nine tenths. *code* tells which code was proved."""

    code: str
    others: int
    passed: int
    untouched: int
    failed: dict[str, Verdict]


class Proofs(msgspec.Struct, frozen=True):
    """The proofs of a suite on one harness, by mutant."""

    format: str
    harness: str
    suite: str
    clauses: int
    mutants: dict[str, Proof]


def code_of(mutant: Mutant, suite: str) -> str:
    """A digest of what a proof depends on: the suite's own, and the code that breaks the store."""
    names = (mutant.apply.__module__, "iotstore_conformance.mutants.breaking", "iotstore_conformance.mutants.shapes")
    texts = [getsource(sys.modules[name]) for name in names if name in sys.modules]
    return hashlib.sha256("\0".join([suite, mutant.name, *mutant.kills, *texts]).encode()).hexdigest()[:16]


def read_proofs(path: Path) -> Proofs:
    """The proofs in a file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Proofs)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"{path} holds no proofs: {error}", hint="prove NAME --full --record writes it"
        ) from error
    if found.format != _FORMAT:
        raise ConfigurationError(f"{path} has the format {found.format!r}, not {_FORMAT!r}", hint="name another file")
    return found


class Recording:
    """The file that a whole proof is written to, mutant by mutant, so that one that is broken off can go on."""

    def __init__(self, path: Path, harness: str, suite: str, mutants: Sequence[Mutant]) -> None:
        self._path = path
        self._about = (harness, suite)
        self._codes = {mutant.name: code_of(mutant, suite) for mutant in mutants}
        self._named = {mutant.name: mutant.kills for mutant in mutants}
        before = read_proofs(path) if path.exists() else None
        self._found = dict(before.mutants) if before is not None and before.harness == harness else {}

    def known(self, mutant: str) -> list[Outcome] | None:
        """What the mutant failed beside its named killers, if it was proved with the code of today."""
        proof = self._found.get(mutant)
        if proof is None or proof.code != self._codes[mutant]:
            return None
        return [Outcome(mutant, clause, verdict, "as recorded", 0.0) for clause, verdict in proof.failed.items()]

    def add(self, mutant: str, outcomes: Iterable[Outcome], clauses: int) -> None:
        """Write down how a mutant did, once that is decided."""
        every = list(outcomes)
        failed = [one for one in every if one.verdict != "survived"]
        if not decided(len(every) - len(failed), len(failed), clauses):
            return
        beside = [one for one in every if one.clause not in self._named[mutant]]
        self._found[mutant] = Proof(
            self._codes[mutant],
            clauses - (len(every) - len(beside)),
            sum(one.verdict == "survived" and one.message != UNTOUCHED for one in beside),
            sum(one.message == UNTOUCHED for one in beside),
            {one.clause: one.verdict for one in failed if one in beside},
        )
        self._write(clauses)

    def _write(self, clauses: int) -> None:
        harness, suite = self._about
        mutants = {name: self._found[name] for name in sorted(self._found)}
        text = msgspec.json.format(msgspec.json.encode(Proofs(_FORMAT, harness, suite, clauses, mutants)), indent=1)
        # Whole or not at all: a proof of an hour is not lost to one that is broken off while it writes.
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(text + b"\n")
        fresh.replace(self._path)
