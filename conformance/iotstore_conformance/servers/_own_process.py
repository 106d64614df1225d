"""A server as a process of this machine, in a temporary folder and on the loopback interface."""

from __future__ import annotations

import atexit
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from iotstore import ConfigurationError
from iotstore_conformance.servers import _processes
from iotstore_conformance.servers._leftovers import keep
from iotstore_conformance.servers._ports import free_port

_TRIES: Final = 5
_STOPPED: Final = 60.0  # seconds for a server to end in order
_LAST_WORDS: Final = 2000


class OwnProcess:
    """A server of this process. It ends with the process, however that ends."""

    ours = True
    #: What its log says when its port is somebody else's.
    taken: ClassVar[str]
    #: The signal that ends it in order, whatever its clients do.
    gently: ClassVar[int]

    def __init__(self, prefix: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._log = self._folder / "server.log"
        self._password = secrets.token_hex(16)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        # At the end of the process what was registered last goes first: the server is ended, then this.
        atexit.register(self._reap)
        _, self._end = keep(self._folder)

    @property
    def url(self) -> str:
        """Where it is, with the name and password of an administrator."""
        raise NotImplementedError

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server's process, at the port that was chosen."""
        raise NotImplementedError

    def _wait(self, why_not: Callable[[], str | None]) -> None:
        """Return when the server answers."""
        raise NotImplementedError

    def _spawn(
        self,
        command: Sequence[str],
        folder: Path,
        locale: str,
        *,
        user: int | None = None,
        group: int | None = None,
    ) -> subprocess.Popen[bytes]:
        # Nobody's own settings lead it astray, and it speaks English.
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run, which may still want to tell the server something
                cwd=folder,
                env={"LC_ALL": locale, "TZ": "Asia/Kathmandu", "PATH": os.defpath},
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )

    def _start_anywhere(self) -> None:
        for left in reversed(range(_TRIES)):
            self._port = free_port()
            try:
                self.start()
            except ConfigurationError:
                if not left or self.taken not in self._log.read_text("utf-8", errors="replace"):
                    raise
            else:
                return

    def start(self) -> None:
        """Start it, and return when it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = process = self._launch()

        def why_not() -> str | None:
            words = self._log.read_text("utf-8", errors="replace")[-_LAST_WORDS:]
            return None if process.poll() is None else words

        self._wait(why_not)

    def stop(self) -> None:
        """End it in order: everything is written."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.gently)
            self._process.wait(_STOPPED)

    def kill(self) -> None:
        """End it as `kill -9` does, all of its processes at once."""
        if self._process is not None and self._process.poll() is None:
            _processes.kill_all(self._process.pid)
            self._process.wait(_STOPPED)

    def end(self) -> None:
        """End it for good and remove its data."""
        self._end()
        self._reap()

    def _reap(self) -> None:
        """Take note that the server has ended: who started a process is to ask for its fate."""
        if self._process is not None and os.getpid() == self._owner:
            self._process.wait(_STOPPED)
