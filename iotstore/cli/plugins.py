"""What the commands of plugins share with ours: which store is meant, and how people write durations."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from iotstore._waist.contract import Backend, Settings


def add_store(parser: argparse.ArgumentParser) -> None:
    """Let the command take ``--url`` and ``--config``; what stood before its name stays."""
    from iotstore.cli._parser import add_common

    add_common(parser, argparse.SUPPRESS)


def store_settings(args: argparse.Namespace) -> tuple[type[Backend], Settings]:
    """The backend of the store that is meant, and what it would be opened with. Nothing is opened."""
    from iotstore import _config, _registry

    file = Path(args.config) if args.config is not None else None
    configuration = _config.read_configuration(args.url, {}, file)
    backend = _registry.backend_class(configuration.url.scheme)
    settled = _config.settle_options(configuration, backend.options())
    return backend, _config.settings_for(configuration.url, settled, create=False)


def duration(text: str) -> timedelta:
    """``90s``, ``24h``, ``7d`` or ``1d12h``, as the type of an argument."""
    from iotstore.cli._formats import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
