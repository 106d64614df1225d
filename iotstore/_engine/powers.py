"""Optional powers of sessions, typed: asked for once, or refused with the declared reason."""

from __future__ import annotations

from collections.abc import Callable

from iotstore._engine.guard import GuardedReads, GuardedWrites
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, Explained, Explains
from iotstore._waist.graph import GraphReader, GraphWriter
from iotstore._waist.sessions import ReadSession, SeriesReader, SeriesWriter, WriteSession
from iotstore.errors import EngineError


def series_reader(backend: Backend, session: ReadSession) -> SeriesReader:
    """The session's power to read points; Unsupported where the backend does not claim SERIES."""
    backend.capabilities.require(Capability.SERIES)
    if isinstance(session, SeriesReader):
        return session
    if isinstance(session, GuardedReads | GuardedWrites):
        return session.points()
    raise EngineError(f"backend {backend.name} claims series, but its sessions can't read points")


def series_writer(backend: Backend, session: WriteSession) -> SeriesWriter:
    """The session's power to write points; Unsupported where the backend does not claim SERIES."""
    backend.capabilities.require(Capability.SERIES)
    if isinstance(session, SeriesWriter):
        return session
    if isinstance(session, GuardedWrites):
        return session.points()
    raise EngineError(f"backend {backend.name} claims series, but its sessions can't write points")


def graph_reader(backend: Backend, session: ReadSession) -> GraphReader:
    """The session's power to read edges; Unsupported where the backend does not claim GRAPH."""
    backend.capabilities.require(Capability.GRAPH)
    if isinstance(session, GraphReader):
        return session
    if isinstance(session, GuardedReads | GuardedWrites):
        return session.graph()
    raise EngineError(f"backend {backend.name} claims graph, but its sessions can't read edges")


def graph_writer(backend: Backend, session: WriteSession) -> GraphWriter:
    """The session's power to write edges; Unsupported where the backend does not claim GRAPH."""
    backend.capabilities.require(Capability.GRAPH)
    if isinstance(session, GraphWriter):
        return session
    if isinstance(session, GuardedWrites):
        return session.graph()
    raise EngineError(f"backend {backend.name} claims graph, but its sessions can't write edges")


def explaining(backend: Backend, told: Callable[[Explained], object]) -> ReadSession:
    """A session that tells of its statements; Unsupported where the backend does not claim EXPLAIN."""
    backend.capabilities.require(Capability.EXPLAIN)
    if not isinstance(backend, Explains):
        raise EngineError(f"backend {backend.name} claims to explain, and has no sessions that do")
    return backend.explaining(told)
