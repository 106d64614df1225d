"""Every check of this repository, as nox sessions: plain `nox` runs all that are quick, and says what could not run.

`IOTSTORE_REQUIRE=all nox` is the same command with "did not run" as an error. Each session's pytest run leaves its
results in `.nox/reports/`, from which `.ci/run` makes its closing line.
"""

import argparse
import atexit
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests", "conformance", "wheel", "docs"]
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.default_venv_backend = "uv|virtualenv"

ROOT = Path(__file__).parent
REPORTS = ROOT / ".nox" / "reports"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EVERYTHING = "arrow,conformance,graph,neo4j,postgres,servers"


class Target(NamedTuple):
    """What the contract runs on: a harness, the server that it shall use, and the URLs that are its own."""

    harness: str
    server: str | None
    schemes: tuple[str, ...] = ()


# Beside the backend's own: SQLite and PostgreSQL with Neo4j as their projection, and examples with a second store.
WITH_A_GRAPH = [
    "tests/projection/test_projection_neo4j.py",
    *(f"tests/examples/test_examples_{name}.py" for name in ("estate", "readmes", "switching")),
]
# What of the suite a target runs, in pytest's words; the long tier leaves out less. On Neo4j the state machine about
# relations (MOD-003) makes a store for each of its histories, with all indexes, which takes minutes. On 5.26 and in
# composed stores the clauses about relations say what is new; what PostgreSQL adds to them is another outbox.
SOME = {
    "neo4j": "not MOD-003",
    "neo4j-5": "REL-",
    "sqlite+neo4j": "REL-",
    "postgresql+neo4j": "REL-00 or REL-042",
}
LONG = "full or not full"
REQUIRE_ALL = os.environ.get("IOTSTORE_REQUIRE", "") == "all"
# From jars for whoever has no Docker; where everything is required, in a container, as it is deployed.
NEO4J = "container" if REQUIRE_ALL else "local"
# The matrix of the conformance session; the workflow in .github runs the same one, and a test compares the two.
TARGETS = {
    "sqlite": Target("sqlite", None, ("sqlite",)),
    "postgresql": Target("postgresql", "embedded", ("postgresql", "postgres")),
    "postgresql-17": Target("postgresql", "container"),
    "timescale": Target("postgresql", "timescale"),
    "neo4j": Target("neo4j", NEO4J, ("neo4j", "bolt")),
    "neo4j-5": Target("neo4j", f"{NEO4J}-5"),
    "sqlite+neo4j": Target("sqlite+neo4j", NEO4J),
    "postgresql+neo4j": Target("postgresql+neo4j", NEO4J),
}
nox.options.error_on_missing_interpreters = REQUIRE_ALL

WITH_SERVERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
OLDEST = (3, 11)
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")
SUPPORTED = [match[1] for line in PYPROJECT["project"]["classifiers"] if (match := CLASSIFIER.fullmatch(line))]
PROBE = """
import json, platform, sys
print(json.dumps([sys.implementation.name, sys.version_info.releaselevel, platform.python_version(), sys.executable]))
"""


# Which interpreters are here --------------------------------------------------------------------------------------


class Interpreter(NamedTuple):
    """A Python that answered when it was asked for its version."""

    short: str
    full: str
    path: str


def probe(path: Path) -> Interpreter | None:
    """Run the interpreter at *path*: a pyenv shim without a version behind it does not answer, so it is none."""
    try:
        answer = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    implementation, level, full, executable = json.loads(answer)
    major, minor = (int(part) for part in full.split(".")[:2])
    if implementation != "cpython" or level != "final" or (major, minor) < OLDEST:
        return None
    return Interpreter(f"{major}.{minor}", full, executable)


def candidates() -> list[Path]:
    """List what may be an interpreter: names on PATH first, then the folders where pyenv and uv keep theirs."""
    home = Path.home()
    on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    managed = [
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python"),
    ]
    versions = [version / "bin" for folder in managed if folder.is_dir() for version in sorted(folder.iterdir())]
    name = re.compile(r"python3(\.\d+)?")
    found: list[Path] = []
    for folder in [*on_path, *versions]:
        if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
            found += sorted(path for path in folder.iterdir() if name.fullmatch(path.name))
    # A version that is too old by its own name or folder is not worth a process.
    too_old = re.compile(r"(?:^|/)(?:python|cpython-)?(?:2|3\.(?:\d|10))(?:\.\d+)*(?:[-/].*|$)")
    return [path for path in found if not too_old.search(str(path))]


def discover() -> dict[str, Interpreter]:
    """Find one working CPython for every minor version that is new enough."""
    found: dict[str, Interpreter] = {}
    for path in candidates():
        named = re.fullmatch(r"python(3\.\d+)", path.name)
        if named and named[1] in found:
            continue
        if (interpreter := probe(path)) and interpreter.short not in found:
            found[interpreter.short] = interpreter
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


INTERPRETERS = discover()
PYTHONS = sorted({*SUPPORTED, *INTERPRETERS}, key=lambda short: int(short.partition(".")[2]))


def show_nox_the_interpreters() -> None:
    """Put the folders found above on PATH, where nox looks, before the shims that do not run."""
    for interpreter in INTERPRETERS.values():
        on_path = shutil.which(f"python{interpreter.short}")
        if on_path is None or probe(Path(on_path)) is None:
            folder = str(Path(interpreter.path).parent)
            os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])


show_nox_the_interpreters()


# What ran, what did not, and why ----------------------------------------------------------------------------------

RAN: list[str] = []
DID_NOT_RUN: list[str] = []


def did_not_run(session: nox.Session, what: str, reason: str) -> None:
    """Note that *what* could not run here; with `IOTSTORE_REQUIRE=all` that is an error."""
    if REQUIRE_ALL:
        session.error(f"{what} did not run: {reason}")
    DID_NOT_RUN.append(f"{what}: {reason}")
    session.warn(f"{what} did not run: {reason}")


@atexit.register
def closing_table() -> None:
    """Print which interpreters the tests ran on, and everything that did not run."""
    if any(line.startswith("tests") for line in RAN):
        DID_NOT_RUN.extend(
            f"tests-{short}: no Python {short} on PATH, in pyenv or in uv; install one and run nox again"
            for short in SUPPORTED
            if short not in INTERPRETERS and not any(f"CPython {short}." in line for line in RAN)
        )
    for title, lines in (("Ran", RAN), ("Did not run", DID_NOT_RUN)):
        if lines:
            print(f"\n{title}:", *lines, sep="\n  ", flush=True)


# Helpers of the sessions ------------------------------------------------------------------------------------------


def group(name: str) -> list[str]:
    """Return the requirements of the dependency group *name*."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


def report_name(session: nox.Session) -> str:
    """Name the session's result file after the session."""
    return re.sub(r"[^\w.-]+", "-", session.name).strip("-")


def pytest(session: nox.Session, *args: str, part: str = "", env: dict[str, str | None] | None = None) -> None:
    """Run pytest and leave its results where `.ci/run` counts them."""
    report = REPORTS / f"{report_name(session)}{part and '+'}{part}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    session.run("python", "-m", "pytest", f"--junitxml={report}", *args, env=env)


def started(session: nox.Session) -> str:
    """Return the full version and the home of the interpreter that this session runs."""
    program = "import platform, sys; print('CPython', platform.python_version(), 'in', sys.base_prefix)"
    return str(session.run("python", "-c", program, silent=True, log=False)).strip()


# Sessions ---------------------------------------------------------------------------------------------------------


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check every room with mypy (strict) and pyright."""
    session.install("-e", f".[{EVERYTHING}]", *group("mypy"), *group("bench"), *group("examples"))
    session.run("mypy")
    check_with_pyright(session, "--warnings")


def check_with_pyright(session: nox.Session, *args: str) -> None:
    """Run pyright, or note why it cannot start on this machine."""
    env = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # it would ask the network for its newest version
    try:
        session.install(*group("pyright"))
        session.run("pyright", "--version", silent=True, env=env)
    except CommandFailed as error:
        did_not_run(session, "pyright", f"it cannot be installed or started here ({error})")
        return
    session.run("pyright", *args, env=env)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests of the core, of every backend and of the suite, on every Python that is here."""
    session.install("-e", f".[{EVERYTHING}]", "-e", "examples/custom_backend", *group("test"))
    RAN.append(f"tests on {started(session)}")
    if not session.posargs and shutil.which("mosquitto", path=WITH_SERVERS) is None:
        did_not_run(session, "tests of examples/home_monitor", "no mosquitto is here (Debian: apt install mosquitto)")
    # What does not depend on the interpreter is proved once: pages by the docs session, mutants and plans on the first.
    others = "not full and not container and not given and not neo4j and not once"
    once = [] if session.python == PYTHONS[0] else ["-m", others]
    pytest(session, "--ignore=tests/test_docs.py", *once, *session.posargs)


@nox.session
@nox.parametrize("backend", list(TARGETS))
def conformance(session: nox.Session, backend: str) -> None:
    """Run the contract on one backend; with `-- --url URL` on the server or file that is there."""
    own = argparse.ArgumentParser(prog="nox -s conformance --", allow_abbrev=False)
    own.add_argument("--url", help="run there; every target but the first that knows such URLs is skipped")
    options, rest = own.parse_known_args(session.posargs)
    if options.url and options.url.partition("://")[0] not in TARGETS[backend].schemes:
        session.skip("the URL is another target's")
    session.install("-e", f".[{EVERYTHING}]", *group("contract"))
    run_contract(session, backend, *rest, url=options.url)


def run_contract(session: nox.Session, backend: str, *args: str, url: str | None = None) -> None:
    """Run the contract on one target, and the tests that need its kind of server."""
    harness, server, _ = TARGETS[backend]
    suite = ["--pyargs", "iotstore_conformance.suite", "--iotstore", harness]
    what = f"conformance of {backend}"
    if url:
        suite += ["--iotstore-url", url]
    elif server:
        # It is started once before anything else: whatever stands in its way is told in one line.
        try:
            check = ["--engine", harness.rpartition("+")[2], server, "--check"]
            asked = session.run("python", "-m", "iotstore_conformance.servers", *check, silent=True)
        except CommandFailed:
            did_not_run(session, what, f"the server {server!r} can't be started here; the reason stands above")
            return
        suite += ["--iotstore-server", server]
        what += f" ({str(asked).strip()})"
    RAN.append(f"{what} on {started(session)}")
    long = "REL-" if "+" in harness else ""
    wanted = "" if url else long if LONG in args else SOME.get(backend, "")
    pytest(session, *suite, *(["-k", wanted] if wanted else []), *args, part=backend)
    if harness == "neo4j" and not url and not session.posargs:
        own = ["backends/neo4j/tests", *(WITH_A_GRAPH if backend == "neo4j" else [])]
        pytest(session, "-m", "neo4j", *own, part=f"{backend}-own", env={"IOTSTORE_TEST_NEO4J": server})
    elif (harness, server) == ("postgresql", "container") and not url and not session.posargs:
        folders = ["backends/postgres/tests", "conformance/tests"]
        pytest(session, "-m", "container", *folders, part=f"{backend}-containers")
    if server == "timescale" and not url and not session.posargs:
        # Once more with every place a database of its own that is set up for TimescaleDB, in the profiles about points.
        names = ("telemetry", "backup", "concurrency", "durability")
        profiles = [word for name in names for word in ("--profile", name)]
        ask = ["iotstore", "conformance", "run", harness, "--server", server, *profiles]
        session.run(*ask, env={"IOTSTORE_TEST_HYPERTABLES": "1"})


NOT_SHIPPED = ["backends", "conformance", "benchmarks", "examples", "tests", "typing_checks", "noxfile"]
SHIPPED = [Path(path).name for path in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
ONLY_IOTSTORE = f"""
import importlib.metadata as metadata, importlib.util as util
leaked = [name for name in {NOT_SHIPPED!r} if util.find_spec(name)]
tops = {{str(path).split("/")[0] for path in metadata.files("iotstore") or []}} - {{".."}}
leaked += [top for top in tops if not top.startswith("iotstore")]
missing = [name for name in {SHIPPED!r} if name not in tops]
raise SystemExit(f"importable, but not ours to ship: {{leaked}}; missing: {{missing}}" if leaked or missing else 0)
"""


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, then prove the wheel in a clean environment outside the checkout."""
    session.install(*group("wheel"), *group("mypy"))
    with tempfile.TemporaryDirectory(prefix="iotstore-wheel-") as folder:
        outside = Path(folder)
        session.run("python", "-m", "build", "--outdir", str(outside / "dist"), silent=True)
        (built,) = (outside / "dist").glob("*.whl")
        session.run("virtualenv", "--quiet", str(outside / "venv"))
        python = str(outside / "venv" / "bin" / "python")
        run_in = session.env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        session.run(python, "-m", "pip", "install", "--quiet", f"{built}[conformance]", external=True, env=run_in)
        shutil.copytree(ROOT / "typing_checks", outside / "typing_checks")
        report = REPORTS / f"{report_name(session)}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        with session.chdir(outside):
            session.run(python, "-I", "-c", ONLY_IOTSTORE, external=True)
            suite = ["--pyargs", "iotstore_conformance.suite", "--iotstore", "sqlite", "-m", "not full"]
            session.run(python, "-I", "-m", "pytest", "-W", "error", f"--junitxml={report}", *suite, external=True)
            session.run(str(outside / "venv" / "bin" / "iotstore"), "demo", external=True)
            session.run("mypy", "--strict", "--config-file=", f"--python-executable={python}", "typing_checks")
    RAN.append(f"wheel {built.name} on {started(session)}")


@nox.session
def docs(session: nox.Session) -> None:
    """Execute the code in the documentation."""
    session.install("-e", f".[{EVERYTHING}]", *group("test"))
    pytest(session, "tests/test_docs.py", *session.posargs)


@nox.session
def workflow(session: nox.Session) -> None:
    """Check the workflow of GitHub Actions with actionlint, which comes with the Go tool."""
    if shutil.which("go") is None:
        session.error("actionlint is a Go program, and there is no `go` on PATH")
    session.run("go", "run", ACTIONLINT, "-color", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with the same work by hand; `-- instead ...`: with other libraries; `-- compare OLD NEW`: two results."""
    first, *others = session.posargs or [""]
    neo4j = first == "instead" and "neo4j" in others
    session.install("-e", f".[{EVERYTHING}]", *group("bench"), *(group("bench-neo4j") if neo4j else []))
    if first in ("instead", "compare"):
        session.run("python", f"benchmarks/{'contenders' if first == 'instead' else first}.py", *others)
        return
    args = session.posargs if {"--full", "--quick"} & set(session.posargs) else ["--quick", *session.posargs]
    session.run("python", "benchmarks/run.py", *args)


@nox.session
def full(session: nox.Session) -> None:
    """Run the long tiers: tests marked `full`, the contract's full tier and the complete benchmarks."""
    session.install("-e", f".[{EVERYTHING}]", "-e", "examples/custom_backend", *group("test"), *group("bench"))
    pytest(session, "-m", "full", "--timeout=3600", *session.posargs)
    for backend in TARGETS:
        run_contract(session, backend, "-m", LONG, "--timeout=3600", *session.posargs)
    session.run("python", "benchmarks/run.py", "--full")
    session.run("python", "benchmarks/run.py", "--backend", "postgresql", "--full")
