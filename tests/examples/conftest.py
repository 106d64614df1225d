"""Examples run as their READMEs say: in a copy of the folder, on the store that its iotstore.toml names."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from iotstore import ConfigurationError
from iotstore_conformance import Harness, find_harness
from iotstore_conformance.servers import neo4j, server_url
from iotstore_conformance.servers._ports import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
# Tests see none of these: they say which servers are used, and whether a missing one is an error, as it is in CI.
TOLD = {name: value for name, value in os.environ.items() if name.startswith("IOTSTORE_")}
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """A command that a README shows, and what it prints according to it."""

    command: str
    shown: str


@dataclass
class Example:
    """A copy of an example's folder, in which its programs run."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def steps(self) -> list[Step]:
        """Every command in the console blocks of the README, with the lines below it."""
        readme = (self.folder / "README.md").read_text("utf-8")
        found: list[Step] = []
        for block in CONSOLE.findall(readme):
            assert block.startswith("$ "), f"a console block begins with a command, not with {block[:20]!r}"
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                found.append(Step(command, tidy(shown)))
        return found

    def run(self, command: str) -> str:
        """What a command prints; it must end well, without a warning. What it prints as an error is shown too."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return tidy(done.stdout)

    def variables(self) -> dict[str, str]:
        """The environment of a program: `python` is this interpreter, and lines are as wide as everywhere."""
        here = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "COLUMNS": "100"}
        return {**os.environ, **here, "PYTHONWARNINGS": "error", **self.environment}

    def beside(self, graph: str) -> None:
        """Name a second store for the relationships in the iotstore.toml."""
        configuration = self.folder / "iotstore.toml"
        configuration.write_text(f'{configuration.read_text("utf-8")}relationships = "{graph}"\n', "utf-8")

    def differences(self) -> list[tuple[str, str, str]]:
        """Run all steps of the README; those that print something else, with what is shown and what is printed."""
        printed = [(step.command, step.shown, self.run(step.command)) for step in self.steps()]
        return [(command, shown, seen) for command, shown, seen in printed if shown != seen]

    @property
    def url(self) -> str:
        """The URL in the iotstore.toml, as the test process can open it."""
        (url,) = re.findall(r'^url = "(.*)"', (self.folder / "iotstore.toml").read_text("utf-8"), re.MULTILINE)
        return url.replace("sqlite:///", f"sqlite:///{self.folder}/")


def tidy(text: str) -> str:
    """The lines without the blanks at their ends."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


class Places:
    """Schemas of the suite's PostgreSQL server, each for one store; removed when the test ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []

    def url(self) -> str:
        """The URL of a store that does not exist yet."""
        self._made.append(f"example_{uuid.uuid4().hex[:12]}")
        return f"{self._url}{'&' if '?' in self._url else '?'}schema={self._made[-1]}"

    def remove(self) -> None:
        """Remove every schema that a store was made in."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name in self._made:
                connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@contextmanager
def as_told() -> Iterator[None]:
    """What whoever runs the tests has said about servers."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TOLD.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A database of the PostgreSQL server that the suite starts, or was given."""
    with as_told():
        return server_url()


@pytest.fixture
def places(postgres_url: str) -> Iterator[Places]:
    """Places for stores on PostgreSQL."""
    made = Places(postgres_url)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def neo4j_harness() -> Harness:
    """The suite's Neo4j server, started when it is asked for first."""
    try:
        with as_told():
            neo4j()
    except ConfigurationError as error:
        missing_server(f"no Neo4j server: {error}")
    return find_harness("neo4j")


@pytest.fixture
def neo4j_url(neo4j_harness: Harness) -> Iterator[str]:
    """A place for a store on Neo4j."""
    with as_told():
        place = neo4j_harness.fresh()
        url = neo4j_harness.url(place)
    yield url
    with as_told():
        neo4j_harness.drop(place)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that the examples run on."""
    return str(request.param)


Make = Callable[[str], Example]


@pytest.fixture
def example(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Copies an example; on PostgreSQL the copy's iotstore.toml has another URL, and nothing else differs."""

    def make(name: str) -> Example:
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*", ".*"))
        for file in folder.glob("*.toml"):
            text = file.read_text("utf-8")
            if "\nrelationships = " in text and request.node.get_closest_marker("neo4j"):
                graph = request.getfixturevalue("neo4j_url")
                text = re.sub(r'^relationships = ".*"', f'relationships = "{graph}"', text, flags=re.MULTILINE)
                file.write_text(text, "utf-8")
            if '\nurl = "postgresql://' in text or (engine == "postgresql" and file.name == "iotstore.toml"):
                url = request.getfixturevalue("places").url()
                file.write_text(re.sub(r'^url = ".*"', f'url = "{url}"', text, flags=re.MULTILINE), "utf-8")
        environment: dict[str, Any] = {}
        if (folder / "mosquitto.conf").exists():
            environment["MQTT_PORT"] = str(request.getfixturevalue("broker").port)
        return Example(folder, environment)

    return make


class Broker:
    """A mosquitto on the loopback interface, with the example's own configuration."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        text = (EXAMPLES / "home_monitor" / "mosquitto.conf").read_text("utf-8")
        text = re.sub("^listener .*", f"listener {self.port} 127.0.0.1", text, flags=re.MULTILINE)
        text = re.sub("^persistence_location .*", f"persistence_location {folder}/", text, flags=re.MULTILINE)
        # Started by root it would become another user, who may not write here.
        self._configuration.write_text(f"{text}user {getpass.getuser()}\n", "utf-8")
        # It ends with the tests, however they end.
        self._command = ["setpriv", "--pdeathsig", "KILL", program, "-c", str(self._configuration)]
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it with what it has on disk; returns when it listens."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if line.rstrip().endswith(" running"):
                break
        else:
            pytest.fail(f"mosquitto does not start:\n{''.join(said)}")
        # What it says afterwards must go somewhere, or it would wait for a reader.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End it in order; what it has acknowledged stays on disk."""
        self._process.terminate()
        assert self._process.wait(30) == 0
        self._reader.join(30)
        self._process.stderr.close()


def missing_server(what: str) -> None:
    """Skip, with the reason in pytest's summary; where everything is required it is a failure."""
    if TOLD.get("IOTSTORE_REQUIRE") == "all":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An MQTT broker of the test's own."""
    program = shutil.which("mosquitto", path=os.pathsep.join([os.environ["PATH"], "/usr/local/sbin", "/usr/sbin"]))
    if program is None:
        missing_server("mosquitto, the MQTT broker, is not installed (Debian: apt install mosquitto)")
    started = Broker(program, tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()
