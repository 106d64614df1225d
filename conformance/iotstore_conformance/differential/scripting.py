"""A history as a runnable program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from iotstore_conformance.differential.steps import Step

_HOMES: Final = {
    "iotstore": (
        "Alert", "Connection", "Device", "Group", "Location", "Metric", "Owner", "Point",
    ),
    "iotstore_conformance.differential": ("Ask", "Made", "Plants", "Step", "Version", "replay"),
    "iotstore_conformance.filters": ("Both", "Either", "Opposite", "Test"),
    "iotstore_conformance.kinds": ("Cell", "Leaf", "Sample", "Tally"),
}  # fmt: skip
# A URL with any of these may hold a secret: the script asks for it instead.
_SECRET: Final = re.compile(r"@|password|secret|token|key|passphrase", re.IGNORECASE)


def script_of(url_a: str, url_b: str, steps: Sequence[Step], what: str) -> str:
    """The program that plays *steps* on two stores, prints both answers and exits with 1 while they differ."""
    body = ",\n".join(f"    {step!r}" for step in steps)
    text = f"STEPS = [\n{body},\n]\n" if steps else "STEPS: list[Step] = []\n"
    told = " ".join(what.split()).replace("\\", "\\\\").replace('"', "'")
    lines = [f'"""One history on which two stores differ: {told}."""', "", "import sys"]
    if "datetime." in text:
        lines.append("import datetime")
    lines.append("")
    for home, names in _HOMES.items():
        used = [name for name in names if name == "replay" or re.search(rf"\b{name}\b", text)]
        if used:
            lines.append(f"from {home} import {', '.join(used)}")
    lines += ["", text, *_places(url_a, url_b), "raise SystemExit(replay(*URLS, STEPS))", ""]
    return "\n".join(lines)


def _places(url_a: str, url_b: str) -> list[str]:
    if _SECRET.search(url_a) or _SECRET.search(url_b):
        return [
            "# The URLs hold a login: hand them in.",
            "URLS = sys.argv[1:3]",
            "if len(URLS) != 2:",
            '    raise SystemExit("give the URLs of both stores")',
        ]
    return [f"URLS = sys.argv[1:3] or [{url_a!r}, {url_b!r}]"]
