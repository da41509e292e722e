"""What else a compact model's card says: simple classifiers beside it, far tests, untrimmed footage, other models.

    OMNISILA_DATA=<data root> python -m benchmarks.compact_studies --run runs/compact --features runs/features
    OMNISILA_DATA=<data root> python -m benchmarks.compact_studies --model compact-hawkeye --run runs/compact-hawkeye \
        --features runs/features --beside runs/compact

The runs are those of ``omnisila train compact`` and ``compact-hawkeye``, with ``--folds`` where they are compared. The
sections go into the run's ``card.md``, behind those on labels. Nothing is trained but votes; what is measured is kept.
"""

import argparse
import os
import sys
from pathlib import Path

from omnisila.files import write_atomically
from omnisila.recipes.rows import hawkeye, icm
from omnisila.recipes.shipping.compact import FOLDS, prepare_features
from omnisila.recipes.studies.card import ABLATIONS, CARD, LOCATING
from omnisila.recipes.studies.folds import load_answers

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, its folder alone would be searched

from benchmarks.compact_beside import Rival, beside_table, rivals_in
from benchmarks.compact_far import FarTests
from benchmarks.compact_far_card import far_sections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("compact", "compact-hawkeye"), default="compact")
    parser.add_argument("--run", type=Path, required=True, help="its run folder")
    parser.add_argument("--features", type=Path, required=True, help="its feature store")
    parser.add_argument("--beside", type=Path, help="run folder of the compact ICM to compare with")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    recipe, ablations = {
        "compact": (icm.CompactICM(), icm.compact_ablations()),
        "compact-hawkeye": (hawkeye.CompactHawkeye(), hawkeye.compact_ablations()),
    }[given.model]
    root = Path(os.environ["OMNISILA_DATA"])
    bench, material, _ = prepare_features(root, given.run, given.features, 0, given.workers, recipe, print)
    card = given.run / CARD
    text = card.read_text(encoding="utf-8")
    if "compact_studies.py" in text or ABLATIONS not in text:
        raise SystemExit(f"{card}: has these sections already, or no ablations. Write it anew with --folds.")
    if recipe.votes is not None:
        far = FarTests(recipe, material, bench.fold_of, given.run / "state" / f"far-{recipe.digest()}")
        answers = load_answers(bench, material, recipe, FOLDS)
        text = text.replace(ABLATIONS, "\n".join([*far_sections(far, answers, bench, FOLDS), ABLATIONS]), 1)
    if given.beside is not None:
        own = tuple(Rival(ablation, bench, ablation.name) for ablation in ablations)
        rivals = (*rivals_in(given.beside, bench, (icm.CompactICM(), *icm.compact_ablations())), *own)
        section = beside_table(bench, material, recipe, rivals, FOLDS)
        text = text.replace(LOCATING, f"{section}\n{LOCATING}", 1)
    write_atomically(card, text)


if __name__ == "__main__":
    main()
