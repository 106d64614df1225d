"""The ledger: known deviations, each with reason, link and end, in a file of the author's repository."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from iotstore_conformance.verdicts import Outcome

NAME: Final = "conformance.toml"
KINDS: Final = ("defect", "unclaimed")
_KEYS: Final = ("clause", "kind", "reason", "link", "expires")


@dataclass(frozen=True, slots=True)
class Deviation:
    """One clause that the backend is known not to keep (``defect``), or a capability that works and isn't promised
    (``unclaimed``)."""

    clause: str
    kind: str
    reason: str
    link: str
    expires: date


@dataclass(frozen=True, slots=True)
class Ledger:
    """The deviations that count, by clause, and what is wrong with the file. A wrong entry excuses nothing."""

    deviations: Mapping[str, Deviation]
    problems: tuple[str, ...] = ()

    def settle(self, clause: str, outcome: Outcome) -> Outcome:
        """The outcome of a clause in the light of its entry: a known defect, or a pass that nobody expected."""
        entry = self.deviations.get(clause)
        if entry is None:
            return outcome
        if outcome is {"defect": Outcome.FAILED, "unclaimed": Outcome.UNCLAIMED}[entry.kind]:
            return Outcome.KNOWN_DEFECT
        return Outcome.UNEXPECTED_PASS if outcome in (Outcome.PASSED, Outcome.REFUSED) else outcome


EMPTY: Final = Ledger({})


def find_ledger(given: Path | None, known: Collection[str]) -> Ledger:
    """The ledger that was named, or the one in the present folder, or an empty one."""
    path = given or Path(NAME)
    if given is None and not path.exists():
        return EMPTY
    return read_ledger(path, known, datetime.now(UTC).date())


def read_ledger(path: Path, known: Collection[str], today: date) -> Ledger:
    """The ledger in the file at *path*, checked against the clauses that exist and the day."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        return Ledger({}, (f"{path.name} can't be read: {error}",))
    problems = [
        f"{path.name}: {name!r} means nothing here; write [[deviation]]" for name in content if name != "deviation"
    ]
    found: dict[str, Deviation] = {}
    entries = content.get("deviation", [])
    if not isinstance(entries, list):
        return Ledger({}, (*problems, f"{path.name}: write each entry under [[deviation]], in double brackets"))
    for number, entry in enumerate(entries, 1):
        wrong = _wrong(entry, known, today)
        if not wrong and entry["clause"] in found:
            wrong = [f"{entry['clause']} has an entry already"]
        if wrong:
            problems += [f"{path.name}, entry {number}: {sentence}" for sentence in wrong]
        else:
            found[entry["clause"]] = Deviation(**{key: entry[key] for key in _KEYS})
    return Ledger(found, tuple(problems))


def _wrong(entry: object, known: Collection[str], today: date) -> list[str]:
    if not isinstance(entry, dict):
        return ["an entry is a table with clause, kind, reason, link and expires"]
    found = [f"unknown key {key!r}" for key in entry if key not in _KEYS]
    texts = ("clause", "reason", "link")
    found += [f"{key} is missing" for key in texts if not isinstance(entry.get(key), str) or not entry[key].strip()]
    if isinstance(entry.get("clause"), str) and entry["clause"] not in known:
        found.append(f"no clause {entry['clause']!r} exists; it may have been renamed or retired")
    if isinstance(entry.get("link"), str) and not entry["link"].startswith(("https://", "http://")):
        found.append("link is no web address; give the issue where the defect is dealt with")
    if entry.get("kind") not in KINDS:
        found.append(f"kind is {entry.get('kind')!r}; write one of: {', '.join(KINDS)}")
    expires = entry.get("expires")
    if not isinstance(expires, date) or isinstance(expires, datetime):
        found.append("expires is missing; write a day, like 2027-01-31, without quotes")
    elif expires < today:
        found.append(f"it expired on {expires}; mend the defect, or decide on a new day")
    return found
