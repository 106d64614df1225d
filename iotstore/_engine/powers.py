"""Optional powers of sessions, typed: asked for once, or refused with the declared reason."""

from __future__ import annotations

from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, ReadSession, SeriesReader, SeriesWriter, WriteSession
from iotstore.errors import EngineError


def series_reader(backend: Backend, session: ReadSession) -> SeriesReader:
    """The session's power to read points; Unsupported where the backend does not claim SERIES."""
    backend.capabilities.require(Capability.SERIES)
    if not isinstance(session, SeriesReader):
        raise EngineError(f"backend {backend.name} claims series, but its sessions can't read points")
    return session


def series_writer(backend: Backend, session: WriteSession) -> SeriesWriter:
    """The session's power to write points; Unsupported where the backend does not claim SERIES."""
    backend.capabilities.require(Capability.SERIES)
    if not isinstance(session, SeriesWriter):
        raise EngineError(f"backend {backend.name} claims series, but its sessions can't write points")
    return session
