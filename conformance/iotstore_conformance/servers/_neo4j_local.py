"""Neo4j as a process of this machine: no Docker, no installation, no configuration."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from iotstore import ConfigurationError
from iotstore_conformance.servers import _processes
from iotstore_conformance.servers._leftovers import keep
from iotstore_conformance.servers._neo4j_asking import change_password, version, wait_until_ready
from iotstore_conformance.servers._neo4j_jars import jars, java
from iotstore_conformance.servers._neo4j_settings import LONG_TERM, MEMORY, NEWEST, OPENED, SETTINGS
from iotstore_conformance.servers._ports import free_port

_FOLDERS: Final = ("conf", "data", "logs", "plugins", "import", "run")
_FIRST_PASSWORD: Final = "neo4j"  # noqa: S105 - what every new server begins with
_STOPPED: Final = 60.0  # seconds for a server to end in order
_TRIES: Final = 5


class LocalNeo4j:
    """A Neo4j server of this process, in a temporary folder and on the loopback interface."""

    ours = True

    def __init__(self, *, long_term: bool = False) -> None:
        self._release = LONG_TERM if long_term else NEWEST
        self._java = java(self._release.java)
        self._jars = jars(self._release)
        self._password = secrets.token_hex(16)
        self._home = Path(tempfile.mkdtemp(prefix="iotstore-neo4j-"))
        self._log = self._home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        _, self.end = keep(self._home)
        try:
            for name in _FOLDERS:
                (self._home / name).mkdir()
            self._start_anywhere()
            change_password(self.url, _FIRST_PASSWORD, self._password)
        except BaseException:
            self.end()
            raise

    @property
    def url(self) -> str:
        """Its database, with the password of its administrator. Not routed: what is asked goes where the URL says."""
        return f"bolt://neo4j:{self._password}@127.0.0.1:{self._port}"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def _configure(self) -> None:
        own = (
            f"server.bolt.listen_address=127.0.0.1:{self._port}",
            f"server.bolt.advertised_address=127.0.0.1:{self._port}",
            "server.http.enabled=false",
        )
        lines = [*SETTINGS, *self._release.settings, *own]
        (self._home / "conf" / "neo4j.conf").write_text("\n".join(lines) + "\n", "utf-8")

    def _start_anywhere(self) -> None:
        for left in reversed(range(_TRIES)):
            self._port = free_port()
            self._configure()
            try:
                self.start()
            except ConfigurationError:
                if not left or "already in use" not in self._log.read_text("utf-8", errors="replace"):
                    raise
            else:
                return

    def start(self) -> None:
        """Start it, and return when it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        home = str(self._home)
        command = [self._java, *MEMORY, *OPENED, "-cp", f"{self._jars}/*", self._release.main]
        command += ["--console-mode", f"--home-dir={home}", f"--config-dir={home}/conf"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run, which may still want to tell the server something
                cwd=self._home / "data",
                env={"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PATH": os.defpath},
            )
        (self._home / "data" / _processes.PID_FILE).write_text(f"{process.pid}\n", "utf-8")
        self._process = process

        def why_not() -> str | None:
            return None if process.poll() is None else self._log.read_text("utf-8", errors="replace")[-2000:]

        wait_until_ready(self.url, why_not)

    def stop(self) -> None:
        """End it in order: everything is written."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_STOPPED)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None and self._process.poll() is None:
            _processes.kill_all(self._process.pid)
            self._process.wait(_STOPPED)
