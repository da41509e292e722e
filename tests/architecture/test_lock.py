"""constraints.txt holds one exact release of everything that `make demo` and `make test` install."""

import platform
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13")
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.lstrip().startswith("#")]


def requirements(lines: Iterable[str]) -> list[Requirement]:
    """Of other projects; the project's own extras are taken apart by name."""
    return [wanted for wanted in map(Requirement, lines) if wanted.name != PROJECT["project"]["name"]]


def locked(python: str) -> dict[str, str]:
    """Release by package, where this version of Python runs here; pip takes several lines of one package together."""
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    held = [line for line in map(Requirement, LINES) if line.marker is None or line.marker.evaluate(here)]
    assert len({line.name for line in held}) == len(held)
    return {line.name: next(iter(line.specifier)).version for line in held}


def missed(wanted: Iterable[Requirement], releases: dict[str, str]) -> list[str]:
    return [str(one) for one in wanted if releases.get(canonicalize_name(one.name), "none") not in one.specifier]


def test_every_line_is_one_release_and_tells_no_place():
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[^\s,;*]+( ; .+)?", line)
    assert not re.search(r"://|index|/\w+/", (ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("python", PYTHONS)
def test_what_the_project_asks_for_is_locked_within_its_ranges(python: str):
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], *chain(*EXTRAS.values())]
    wanted += [line.split("#")[0] for line in (ROOT / "constraints.in").read_text().splitlines()]
    assert not missed(requirements(filter(str.strip, wanted)), locked(python))


def test_locked_releases_agree_with_each_other():
    """Read off those that are installed here at their locked release: `make test` installs all, `test-latest` few."""
    releases = locked(platform.python_version().rpartition(".")[0])
    for found in distributions():
        name = canonicalize_name(found.name)
        if releases.get(name) == found.version.split("+")[0]:
            asked = map(Requirement, found.requires or [])
            asked = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
            assert not missed(asked, releases), name
