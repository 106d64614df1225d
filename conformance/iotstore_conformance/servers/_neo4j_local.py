"""Neo4j as a process of this machine: no Docker, no installation, no configuration."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from typing import Final

from iotstore_conformance.servers import _processes
from iotstore_conformance.servers._neo4j_asking import change_password, version, wait_until_ready
from iotstore_conformance.servers._neo4j_jars import jars, java
from iotstore_conformance.servers._neo4j_settings import LONG_TERM, MEMORY, NEWEST, OPENED, SETTINGS
from iotstore_conformance.servers._own_process import OwnProcess

_FOLDERS: Final = ("conf", "data", "logs", "plugins", "import", "run")
_FIRST_PASSWORD: Final = "neo4j"  # noqa: S105 - what every new server begins with


class LocalNeo4j(OwnProcess):
    """A Neo4j server of this process, in a temporary folder and on the loopback interface."""

    taken = "already in use"
    gently = signal.SIGTERM

    def __init__(self, *, long_term: bool = False) -> None:
        self._release = LONG_TERM if long_term else NEWEST
        self._java = java(self._release.java)
        self._jars = jars(self._release)
        super().__init__("iotstore-neo4j-")
        try:
            for name in _FOLDERS:
                (self._folder / name).mkdir()
            self._start_anywhere()
            change_password(self.url, _FIRST_PASSWORD, self._password)
            self._wait(lambda: None)
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
        (self._folder / "conf" / "neo4j.conf").write_text("\n".join(lines) + "\n", "utf-8")

    def _launch(self) -> subprocess.Popen[bytes]:
        self._configure()
        home = str(self._folder)
        command = [self._java, *MEMORY, *OPENED, "-cp", f"{self._jars}/*", self._release.main]
        command += ["--console-mode", f"--home-dir={home}", f"--config-dir={home}/conf"]
        process = self._spawn(command, self._folder / "data", "C.UTF-8")
        (self._folder / "data" / _processes.PID_FILE).write_text(f"{process.pid}\n", "utf-8")
        return process

    def _wait(self, why_not: Callable[[], str | None]) -> None:
        wait_until_ready(self.url, why_not)
