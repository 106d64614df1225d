"""The arguments of each command, and how the words that people type become values."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import Final

from iotstore.cli._formats import parse_duration, parse_instant

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_MOST_DAYS: Final = 31
DEMO_SEED: Final = 7
DEMO_DAYS: Final = 7


def demo(parser: argparse.ArgumentParser) -> None:
    """``iotstore demo``."""
    parser.add_argument("--days", type=_days, default=DEMO_DAYS, metavar="N", help="how many days (1 to 31; default 7)")
    parser.add_argument("--seed", type=int, default=DEMO_SEED, metavar="N", help="another number, another home")
    parser.add_argument("--now", action="store_true", help="let the week end with the present hour, not in June 2025")


def home(parser: argparse.ArgumentParser) -> None:
    """``iotstore home``."""
    _reading(parser)


def list_devices(parser: argparse.ArgumentParser) -> None:
    """``iotstore devices list``."""
    for name in ("kind", "location", "owner", "group", "tag"):
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"only devices of this {name}")
    parser.add_argument("--search", metavar="TEXT", help="only devices whose name or vendor contains this")
    parser.add_argument("--seen", type=_span, metavar="5m", help="only devices seen within this time")
    _limit(parser, 100)
    _reading(parser)


def show_device(parser: argparse.ArgumentParser) -> None:
    """``iotstore devices show``."""
    parser.add_argument("key", metavar="KEY", help="the device's key")
    _reading(parser)


def latest(parser: argparse.ArgumentParser) -> None:
    """``iotstore latest``."""
    parser.add_argument("device", metavar="DEVICE", help="the device's key")
    parser.add_argument("metric", metavar="METRIC", nargs="?", help="only this metric")
    parser.add_argument(
        "--course", type=_span, default=timedelta(hours=24), metavar="24h", help="how far back the course goes"
    )
    _reading(parser)


def alerts(parser: argparse.ArgumentParser) -> None:
    """``iotstore alerts``."""
    parser.add_argument("--open", action="store_true", help="only those that nobody has acknowledged")
    parser.add_argument("--severity", choices=SEVERITIES, help="only this severity and those above it")
    parser.add_argument("--device", metavar="KEY", help="only alerts of this device")
    _since(parser)
    _limit(parser, 50)
    _reading(parser)


def talkers(parser: argparse.ArgumentParser) -> None:
    """``iotstore talkers``."""
    parser.add_argument(
        "--by", choices=("device", "destination", "service", "protocol"), default="device", help="who is counted"
    )
    _since(parser)
    _limit(parser, 10)
    _reading(parser)


def explain(parser: argparse.ArgumentParser) -> None:
    """``iotstore explain``."""
    parser.add_argument("question", metavar="DOMAIN.METHOD", help="a reading method, like telemetry.last")
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs="*", help="its arguments in order, or by name: cam-1 temperature n=20"
    )
    _reading(parser)


def simple(parser: argparse.ArgumentParser) -> None:
    """Commands that only have ``--json``."""
    _json(parser)


def health(parser: argparse.ArgumentParser) -> None:
    """``iotstore health``."""
    _metrics(parser)
    _json(parser)


def optimise(parser: argparse.ArgumentParser) -> None:
    """``iotstore optimise``."""
    parser.add_argument(
        "--compact", action="store_true", help="also rewrite the data, so that deleted rows give their room back"
    )
    _json(parser)


def retention(parser: argparse.ArgumentParser) -> None:
    """``iotstore retention``."""
    parser.add_argument("--apply", action="store_true", help="delete, instead of only counting")
    parser.add_argument(
        "--keep", type=_keep, action="append", default=[], metavar="KIND=90d", help="keep this kind for another time"
    )
    _json(parser)


def maintain(parser: argparse.ArgumentParser) -> None:
    """``iotstore maintain``."""
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--daily",
        action="store_const",
        const="daily",
        dest="rhythm",
        help="backup, rotation, retention, optimise, health",
    )
    when.add_argument(
        "--weekly", action="store_const", const="weekly", dest="rhythm", help="as daily, and integrity and compaction"
    )
    parser.add_argument(
        "--backups", type=_count, default=7, metavar="N", help="how many backups rotation keeps (default 7)"
    )
    _directory(parser)


def backup_create(parser: argparse.ArgumentParser) -> None:
    """``iotstore backup create``."""
    parser.add_argument(
        "--format",
        choices=("native", "portable"),
        default="native",
        help="native: fast, same engine; portable: any engine",
    )
    parser.add_argument("--label", metavar="TEXT", help="a word for the backup's name")
    _directory(parser)
    _json(parser)


def backup_list(parser: argparse.ArgumentParser) -> None:
    """``iotstore backup list``."""
    _directory(parser)
    _json(parser)


def backup_verify(parser: argparse.ArgumentParser) -> None:
    """``iotstore backup verify``."""
    parser.add_argument("path", metavar="PATH", help="the backup")
    _json(parser)


def backup_rotate(parser: argparse.ArgumentParser) -> None:
    """``iotstore backup rotate``."""
    parser.add_argument("--keep", type=_count, default=7, metavar="N", help="how many stay (default 7)")
    _directory(parser)


def backup_restore(parser: argparse.ArgumentParser) -> None:
    """``iotstore backup restore``."""
    parser.add_argument("path", metavar="PATH", help="the backup")
    parser.add_argument("target", metavar="TO", help="the URL of the store to make")
    parser.add_argument(
        "--replace", action="store_true", help="replace the store that is there, once the backup is proven"
    )


def graph(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph rebuild`` and ``replay``; the rest of them begin like that."""
    parser.add_argument(
        "--relationships", metavar="URL", help="the projection, like neo4j://... (default: as configured)"
    )


def graph_status(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph status``."""
    graph(parser)
    _metrics(parser)
    _json(parser)


def graph_sync(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph sync``."""
    graph(parser)
    parser.add_argument("--follow", action="store_true", help="go on until it is stopped, and wait out all trouble")


def graph_verify(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph verify``."""
    graph(parser)
    parser.add_argument("--repair", action="store_true", help="bring over again what differs")
    _json(parser)


def graph_script(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph export`` and ``import``."""
    graph(parser)
    parser.add_argument("path", metavar="FILE", help="the script")


def graph_clear(parser: argparse.ArgumentParser) -> None:
    """``iotstore graph clear``."""
    graph(parser)
    parser.add_argument("--keep", action="store_true", help="only detach the projection, and leave what it holds")


def copy(parser: argparse.ArgumentParser) -> None:
    """``iotstore copy``."""
    parser.add_argument("source", metavar="FROM", help="the URL of the store to read")
    parser.add_argument("target", metavar="TO", help="the URL of an empty or new store")


def migrate(parser: argparse.ArgumentParser) -> None:
    """``iotstore migrate``."""
    parser.add_argument("--plan", action="store_true", help="only say what would be done")
    _json(parser)


def backends(parser: argparse.ArgumentParser) -> None:
    """``iotstore backends``."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="every capability, with the reason where there is none"
    )
    _json(parser)


def config(parser: argparse.ArgumentParser) -> None:
    """``iotstore config``."""
    parser.add_argument("-v", "--verbose", action="store_true", help="with a sentence about each setting")
    _json(parser)


def _reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at", type=_moment, metavar="TIME", help="look as if it were this moment, like 2025-06-16T00:00Z"
    )
    _json(parser)


def _metrics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics", action="store_true", help="print numbers, a line each, for a monitoring system")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs; its keys stay")


def _since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=_since_when, metavar="24h", help="from so long ago, or from this time, on")


def _limit(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--limit", type=_count, default=default, metavar="N", help=f"at most so many (default {default})"
    )


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--directory", metavar="DIR", help="where the backups are (default: beside the store)")


# Words to values -------------------------------------------------------------------------------------------------


def _span(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _moment(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _since_when(text: str) -> timedelta | datetime:
    for parse in (parse_duration, parse_instant):
        try:
            return parse(text)
        except ValueError:
            continue
    raise argparse.ArgumentTypeError(f"{text!r} is neither a duration like 24h or 7d nor a time like 2025-06-15")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _days(text: str) -> int:
    days = _count(text)
    if days > _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{days} days are too many; the demo simulates 1 to {_MOST_DAYS}")
    return days


def _keep(text: str) -> tuple[str, timedelta]:
    kind, sign, span = text.partition("=")
    if not (kind and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=DURATION, like connection=90d")
    return kind, _span(span)
