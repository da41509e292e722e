"""What the documentation shows of a model is what is installed with it."""

from pathlib import Path

import pytest

from omnisila import weights

DOCS = Path(__file__).parents[2] / "docs" / "model_cards"


@pytest.mark.parametrize("run", weights.RUNS)
def test_the_documented_card_is_the_installed_one(run: str) -> None:
    assert (DOCS / f"{run}.md").read_text() == (weights.FOLDER / run / "card.md").read_text()


def test_all_installed_weights_stay_under_60_mb() -> None:
    total = sum(path.stat().st_size for path in weights.FOLDER.rglob("*") if path.is_file())
    assert total < 60_000_000
