"""What a run has started, written down so that it ends with the run, even when the run is killed.

Each server has a note: a file that names the run's process, the server's folder, and the label of its containers.
A keeper, a process of its own, waits at a pipe for the run to end, however that happens, and then ends what the note
names. Should the keeper be killed too, the next run on this machine finds the note and does the same.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from iotstore import ConfigurationError
from iotstore_conformance.servers import _processes

LABEL: Final = "org.iotstore.run"
_PATIENCE: Final = 60.0  # seconds for a keeper to end a server


class Note(msgspec.Struct):
    """One server of one run."""

    owner: int
    owner_started: str
    label: str
    folder: str | None = None


def notes_folder() -> Path:
    """Where this user's notes lie; nobody else can have put one there."""
    folder = Path(tempfile.gettempdir(), f"iotstore-servers-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or not folder.is_dir():
        raise ConfigurationError(f"{folder} belongs to somebody else", hint="remove it, or set TMPDIR to another place")
    return folder


def keep(folder: Path | None = None) -> tuple[str, Callable[[], None]]:
    """Note what is about to be started: the label for its containers, and the function that ends it all at once."""
    label = uuid.uuid4().hex
    path = notes_folder() / f"{label}.json"
    owner = os.getpid()
    note = Note(owner, _processes.started(owner) or "", label, str(folder) if folder else None)
    path.write_bytes(msgspec.json.encode(note))
    # -P: a file of the current folder is never taken for one of our modules.
    command = [sys.executable, "-P", "-m", "iotstore_conformance.servers._keeper", str(path)]
    keeper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, cwd=path.parent
    )

    def end() -> None:
        if os.getpid() != owner or keeper.stdin is None or keeper.stdin.closed:
            return
        keeper.stdin.close()
        keeper.wait(_PATIENCE)

    atexit.register(end)
    return label, end


def sweep() -> None:
    """End what earlier runs have left behind."""
    for path in notes_folder().glob("*.json"):
        try:
            note = msgspec.json.decode(path.read_bytes(), type=Note)
        except (OSError, msgspec.MsgspecError):
            continue  # ended meanwhile, or being written
        if _processes.started(note.owner) != note.owner_started:
            end_noted(path)


def end_noted(path: Path) -> None:
    """End what the note at *path* names, and remove the note. The note of what can't be ended now stays."""
    try:
        note = msgspec.json.decode(path.read_bytes(), type=Note)
    except FileNotFoundError:
        return
    if note.folder is not None:
        _processes.end_server(Path(note.folder))
        shutil.rmtree(note.folder, ignore_errors=True)
    elif not _remove_containers(note.label):
        return
    path.unlink(missing_ok=True)


def _remove_containers(label: str) -> bool:
    try:
        import docker
        from docker.errors import DockerException, NotFound
    except ImportError:
        return False
    mine: dict[str, Any] = {"label": f"{LABEL}={label}"}
    try:
        client = docker.from_env()
    except DockerException:
        return False
    try:
        for container in client.containers.list(all=True, filters=mine):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in client.networks.list(filters=mine):
            with suppress(NotFound):
                network.remove()
    except DockerException:
        return False
    finally:
        client.close()
    return True
