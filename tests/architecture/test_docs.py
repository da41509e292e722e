"""The documentation builds without a broken link, and what README, pages and code refer to is there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECISIONS = re.findall(r"^### (D\d+)\. ", (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_page_and_the_api_reference_build(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html"))
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="(https?:)?//', pages), "a page loads from another server"


def test_links_outside_the_pages_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8")):
            assert "://" in target or (ROOT / target).exists(), f"{name}: {target}"


def test_a_decision_has_one_id_which_is_what_the_code_cites() -> None:
    assert len(set(DECISIONS)) == len(DECISIONS)
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.py")]:
        for cited in re.findall(r"\bD\d+\b", path.read_text(encoding="utf-8")):
            assert cited in DECISIONS, f"{path}: {cited}"


def test_the_floors_that_are_drawn_are_the_ones_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [line.replace("omnisila.", "") for line in next(c["layers"] for c in contract if c["type"] == "layers")]
    drawn = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Floors")[1].split("```")[1]
    assert [re.split(r"  +", line)[0] for line in drawn.strip().splitlines()] == layers
