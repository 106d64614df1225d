"""The quickstart is the program of the project's README."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_projects_readme_shows_the_program_with_the_url_of_its_store() -> None:
    program = (ROOT / "examples" / "quickstart" / "quickstart.py").read_text("utf-8").partition('"""\n\n')[2]
    shown = program.replace("iotstore.open()", 'iotstore.open("sqlite:///home.db")')

    assert f"```python\n{shown}```" in (ROOT / "README.md").read_text("utf-8")


def test_the_projects_readme_shows_what_the_program_prints() -> None:
    printed = (ROOT / "examples" / "quickstart" / "README.md").read_text("utf-8")
    printed = printed.partition("$ python quickstart.py\n")[2].partition("```")[0]

    assert printed in (ROOT / "README.md").read_text("utf-8")


def test_the_points_and_the_alert_of_the_program_are_in_the_store(example) -> None:
    import iotstore

    quickstart = example("quickstart")
    quickstart.run("python quickstart.py && python quickstart.py")

    with iotstore.open(quickstart.url) as store:
        assert store.telemetry.count("cam-1", "temperature") == 2
        assert [alert.device for alert in store.alerts.list()] == ["cam-1"]
