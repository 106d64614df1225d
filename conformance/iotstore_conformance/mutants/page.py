"""The page of mutants and their killers, generated from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from iotstore_conformance.applicable import ENGINES
from iotstore_conformance.mutants.registry import Mutant
from iotstore_conformance.registry import Clause

_HEAD = """# The kill matrix

A suite that can't fail proves nothing. Each *mutant* below is a store that is wrong in one way, made from a healthy
backend by exchanging methods of it, and each is killed by the clauses beside it: they fail on the mutant and pass on
the healthy backend. `iotstore conformance prove NAME` runs them all on the harness NAME. A kill counts only when the
mutant passes at least 90 % of the other clauses: with `--full` it meets them too, until that is decided.

Clauses for embedded engines run on embedded engines only. Those for servers run on servers; on an embedded engine
they, and their mutants, meet its stores at a distance: behind a real connection to a small server that `prove` starts.
What a harness can't run is printed as not measured, and proves nothing there.

This page is generated: `iotstore conformance prove --page docs/kill-matrix.md`.
"""


def kill_page(mutants: Sequence[Mutant], clauses: Sequence[Clause]) -> str:
    """The page as Markdown: the mutants by promise, then the clauses with their named killers."""
    lines = [_HEAD, f"{len(mutants)} mutants, {len(clauses)} clauses.", ""]
    by_promise = sorted(mutants, key=lambda mutant: (mutant.promise, mutant.name))
    for promise, members in groupby(by_promise, key=lambda mutant: mutant.promise):
        lines += [f"## Mutants of {promise}", "", "| mutant | what is wrong | killed by |", "|---|---|---|"]
        lines += [f"| {one.name} | {one.sentence} | {', '.join(one.kills)} |" for one in members]
        lines.append("")
    lines += ["## Clauses and what they kill", "", "| clause | mutants |", "|---|---|"]
    for clause in clauses:
        killed = [mutant.name for mutant in mutants if clause.id in mutant.kills]
        about = f" (for {ENGINES[clause.requires]})" if clause.requires else ""
        lines.append(f"| {clause.id}{about} | {', '.join(killed) or 'none'} |")
    return "\n".join(lines) + "\n"
