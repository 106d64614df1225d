"""The page of mutants and their killers, generated from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from iotstore_conformance.applicable import ENGINES
from iotstore_conformance.mutants.registry import Mutant
from iotstore_conformance.plans import too_many_failures
from iotstore_conformance.proofs import Proof, Proofs
from iotstore_conformance.registry import Clause

_HEAD = """# The kill matrix

A suite that can't fail proves nothing. Each *mutant* below is a store that is wrong in one way, made from a healthy
backend by exchanging methods of it, and each is killed by the clauses beside it: they fail on the mutant and pass on
the healthy backend. `iotstore conformance prove NAME` runs them all on the harness NAME.

A kill counts only when the mutant passes at least 90 % of the other clauses. With `--full` it meets them too, the quick
ones first, until that is decided: once nine tenths are passed the rest can't change it, and once more than a tenth has
failed nothing can. A clause that calls none of the methods that a mutant exchanges can't tell it from the healthy
backend. It is *untouched*: it counts as passed, and is not run (only where its calls are the same in every run: never a
clause about concurrency or servers). The last two columns tell what came of it.

Clauses for embedded engines run on embedded engines only. Those for servers run on servers; on an embedded engine
they, and their mutants, meet its stores at a distance: behind a real connection to a small server that `prove` starts.
What a harness can't run is printed as not measured, and proves nothing there.

This page is generated: `iotstore conformance prove --page docs/kill-matrix.md --record docs/kill-matrix.json`. With the
name of a harness and `--full` the same command proves what has changed since, and goes on where it was broken off.
"""


def kill_page(mutants: Sequence[Mutant], clauses: Sequence[Clause], proofs: Proofs | None = None) -> str:
    """The page as Markdown: the mutants by promise, with what whole proofs found, then the clauses."""
    lines = [_HEAD, f"{len(mutants)} mutants, {len(clauses)} clauses. {_told(mutants, proofs)}", ""]
    by_promise = sorted(mutants, key=lambda mutant: (mutant.promise, mutant.name))
    for promise, members in groupby(by_promise, key=lambda mutant: mutant.promise):
        lines += [
            f"## Mutants of {promise}",
            "",
            "| mutant | what is wrong | killed by | others passed | others failed |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(one, proofs.mutants.get(one.name) if proofs else None) for one in members]
        lines.append("")
    lines += ["## Clauses and what they kill", "", "| clause | mutants |", "|---|---|"]
    for clause in clauses:
        killed = [mutant.name for mutant in mutants if clause.id in mutant.kills]
        about = f" (for {ENGINES[clause.requires]})" if clause.requires else ""
        lines.append(f"| {clause.id}{about} | {', '.join(killed) or 'none'} |")
    return "\n".join(lines) + "\n"


def _row(mutant: Mutant, proof: Proof | None) -> str:
    passed, failed = "not measured", ""
    if proof is not None:
        passed = f"{proof.passed + proof.untouched} of {proof.others} ({proof.untouched} untouched)"
        failed = ", ".join(sorted(proof.failed)) or "none"
    return f"| {mutant.name} | {mutant.sentence} | {', '.join(mutant.kills)} | {passed} | {failed} |"


def _told(mutants: Sequence[Mutant], proofs: Proofs | None) -> str:
    """What the whole proofs say together."""
    found = {one.name: proofs.mutants[one.name] for one in mutants if one.name in proofs.mutants} if proofs else {}
    if proofs is None or not found:
        return "No mutant was proved whole."
    sound = [name for name, one in found.items() if not too_many_failures(len(one.failed) + 1, one.others + 1)]
    return (
        f"{len(found)} mutants were proved whole on {proofs.harness}, with the suite {proofs.suite[:19]}, "
        f"and {len(sound)} of them pass at least 90 % of the other clauses."
    )
