"""Inspections of the machines of a workshop: a record type of the application's own, and how it grows a field."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import iotstore
from iotstore import (
    Device,
    Int,
    Kind,
    MigrationNeeded,
    OnDelete,
    Retention,
    Store,
    Text,
    Tracked,
    count,
    every,
    field,
    mean,
)


class FirstInspection(Tracked, frozen=True, kw_only=True):
    """An inspection, as the first release of the application kept it."""

    device: Annotated[str, Text(120, min=1)]
    time: datetime
    inspector: Annotated[str, Text(80, min=1, search=True)]
    passed: bool = True


class Inspection(FirstInspection, frozen=True, kw_only=True):
    """The same since the second release: with the minutes that it took, and a note."""

    minutes: Annotated[int | None, Int(0)] = None
    note: Annotated[str | None, Text(500, search=True)] = None


R = TypeVar("R", bound=FirstInspection)


def kind_of(record: type[R]) -> Kind[R]:
    """The declaration is the whole schema: name, key, what a field points to, what is looked up, how long it stays."""
    return Kind(
        record,
        "inspection",
        ("device", "time"),
        references={"device": ("device", OnDelete.CASCADE)},
        indexes=[["inspector", "time"]],
        retention=Retention("time", timedelta(days=10 * 365)),
    )


FIRST, SECOND = kind_of(FirstInspection), kind_of(Inspection)
MACHINES = ("drill", "lathe", "mill")
START = datetime(2025, 1, 6, 8, tzinfo=UTC)


def first_release(store: Store) -> None:
    """A year ago: an inspection of every machine each week."""
    store.devices.put_many([Device(key=key, kind="machine") for key in MACHINES])
    done = [
        FirstInspection(
            device=machine,
            time=START + timedelta(weeks=week, hours=number),
            inspector=("Ida Berg", "Jon Lindqvist")[week % 2],
            passed=(week + number) % 5 != 0,
        )
        for week in range(12)
        for number, machine in enumerate(MACHINES)
    ]
    receipt = store.records(FIRST).add_many(done, on_conflict="keep")
    print(f"first release: {receipt.stored} inspections stored, {receipt.duplicates} were there")


def second_release(store: Store) -> None:
    """Today: the old records are there, new ones hold more, and all answer together."""
    inspections = store.records(SECOND)
    late = START + timedelta(weeks=12)
    new = Inspection(device="mill", time=late, inspector="Ida Berg", passed=False, minutes=50, note="Belt worn out")
    inspections.put(new)
    inspections.put(Inspection(device="lathe", time=late, inspector="Jon Lindqvist", minutes=20))
    print(f"second release: {inspections.count()} inspections, {inspections.count(field('minutes').is_set())} timed")

    failed_by_berg = (field("passed") == False) & field("inspector").contains("berg")  # noqa: E712 - a filter
    failed = inspections.list(failed_by_berg, order=["-time"])
    print("failed, by Berg:", ", ".join(f"{one.time:%d %b} {one.device}" for one in failed))
    print("worn:", [one.device for one in inspections.list(field("note").contains("WORN"))])

    figures = {"all": count(), "minutes": mean("minutes")}
    print(f"{'month':10}{'machine':10}{'all':>5}{'minutes':>9}")
    for row in inspections.aggregate(figures, by=[every("time", "month"), "device"]):
        minutes = "-" if row["minutes"] is None else f"{row['minutes']:g}"
        print(f"{row['time']:%b %Y}  {row['device']:10}{row['all']:>5}{minutes:>9}")


def back_up(store: Store) -> None:
    """A backup holds the application's records like all others, for any engine."""
    backup = store.backups.create("backups", format="portable")
    print(f"backup: {backup.counts['inspection']} inspections, proven: {backup.proven}")
    # It says which kinds it holds, so that it can be restored by a process that knows none of them.
    iotstore.restore(backup.path, "sqlite:///restored.db", replace=True)
    with iotstore.open("sqlite:///restored.db", kinds=[SECOND]) as restored:
        same = restored.records(SECOND).list() == store.records(SECOND).list()
        print("restored elsewhere:", "the same records" if same else "OTHER RECORDS")


def main() -> None:
    """Run one release of the application."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", choices=["first", "second"])
    if parser.parse_args().release == "first":
        with iotstore.open(kinds=[FIRST]) as store:
            first_release(store)
        return
    try:
        iotstore.open(kinds=[SECOND], migrate=False).close()
    except MigrationNeeded as error:
        print(error.message)
    with iotstore.open(kinds=[SECOND]) as store:
        second_release(store)
        back_up(store)


if __name__ == "__main__":
    main()
