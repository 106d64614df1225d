"""The table of all capabilities for authors of backends, as it stands in the documentation."""

from __future__ import annotations

from collections import Counter

from iotstore.backend import CAPABILITY_GROUPS, IMPLIED
from iotstore_conformance.registry import load_clauses


def capability_table() -> str:
    """A table in Markdown: every capability, what it means, what it belongs to, and how many clauses need it."""
    needing = Counter(need for clause in load_clauses() for need in clause.needs)
    lines = ["| capability | with it | belongs to | clauses |", "|---|---|---|---|"]
    for group, capabilities in CAPABILITY_GROUPS.items():
        lines.append(f"| **{group}** | | | |")
        for capability, meaning in capabilities.items():
            parents = ", ".join(f"`{parent.name}`" for parent in IMPLIED.get(capability, ()))
            lines.append(f"| `{capability.name}` | {meaning} | {parents} | {needing[capability]} |")
    return "\n".join(lines)
