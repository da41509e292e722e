"""The full ICM against its ablations, over several seeds, on folds by source: the numbers of docs/model_cards/icm.md.

    OMNISILA_DATA=<data root> python -m benchmarks.icm_ablations --run runs/compact --features runs/features \
        --seeds 3 --out benchmarks/results/icm_ablations.json --card docs/model_cards/icm.md

What is measured already in the run folder's ``state/folds`` is not measured again; a killed run goes on. With
``--measured`` nothing is trained, and each ablation is compared over the seeds there are. A difference is the full
model's metric less the ablation's, each the mean over the same seeds, with the interval and p-value of a bootstrap that
draws whole sources for both together.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.keeping import keep_result
from omnisila.recipes.rows.compact import Material
from omnisila.recipes.rows.icm import CompactICM, compact_ablations
from omnisila.recipes.shipping.compact import FOLDS, prepare_features
from omnisila.recipes.studies.folds import Answers, FoldJob, Workbench, load_answers, run_jobs
from omnisila.recipes.studies.measures import Question, judge_items, questions_on

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, its folder alone would be searched

from benchmarks.compact_beside import Against, against, row

QUESTIONS = questions_on(CompactICM())
TESTS = len(compact_ablations()) * sum(1 if question.label is None else 2 for question in QUESTIONS)
METRICS = ("accuracy", "AUC")


class Compared(NamedTuple):
    """One ablation on one question."""

    ablation: str
    question: Question
    result: Against


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of omnisila train compact")
    parser.add_argument("--features", type=Path, required=True, help="its feature store")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measured", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    options = parser.parse_args()
    recipe = CompactICM()
    made = prepare_features(
        Path(os.environ["OMNISILA_DATA"]), options.run, options.features, 0, options.workers, recipe, print
    )
    if not options.measured:
        jobs = [
            FoldJob(one.with_seed(seed), fold)
            for seed in range(options.seeds)
            for one in (recipe, *compact_ablations())
            for fold in range(FOLDS)
        ]
        run_jobs(made.bench, jobs, options.workers, print)
    compared = [
        one
        for ablation in compact_ablations()
        for one in _compared(made.bench, made.material, recipe, ablation, options.seeds)
    ]
    keep_result([_record(one) for one in compared], options.out)
    options.card.write_text(_card(compared))


def _compared(
    bench: Workbench, material: Material, full: CompactICM, ablation: CompactICM, seeds: int
) -> list[Compared]:
    have = [
        seed
        for seed in range(seeds)
        if all(bench.file(FoldJob(one.with_seed(seed), k)).exists() for one in (full, ablation) for k in range(FOLDS))
    ]
    both = [
        [load_answers(bench, material, one.with_seed(seed), FOLDS, alone=True) for seed in have]
        for one in (full, ablation)
    ]
    return [_on(question, ablation.name, *both) for question in QUESTIONS] if have else []


def _on(question: Question, ablation: str, full: list[Answers], without: list[Answers]) -> Compared:
    ours, theirs = ([judge_items(one, question, by_clip=True) for one in answers] for answers in (full, without))
    return Compared(ablation, question, against(ours, theirs))


def _record(one: Compared) -> dict[str, object]:
    def number(value: float) -> float | None:
        return None if np.isnan(value) else round(float(value), 4)

    return {
        "ablation": one.ablation,
        "data set": one.question.set_name,
        "label": one.question.label,
        "seeds": one.result.seeds,
        **{
            metric: {
                "full": number(one.result.ours[k]),
                "without": number(one.result.theirs[k]),
                "difference": number(one.result.differences[k].interval.value),
                "low": number(one.result.differences[k].interval.low),
                "high": number(one.result.differences[k].interval.high),
                "p_value": number(one.result.differences[k].p_value),
            }
            for k, metric in enumerate(METRICS)
        },
    }


def _card(compared: list[Compared]) -> str:
    parts = [HEAD, _clear(compared)]
    for question in QUESTIONS:
        mine = [one for one in compared if one.question == question]
        rows = [row(one.ablation, one.result) for one in mine]
        parts.append(
            f"## {question.label or 'three-way sentiment'} ({question.set_name})\n\n"
            "| | seeds | accuracy: full, without, difference (95 %), p | AUC: full, without, difference (95 %), p |\n"
            "|---|---|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "\n".join([*parts, FOOT])


def _clear(compared: list[Compared]) -> str:
    """The differences that the intervals tell from none."""
    lines = [
        f"* {one.ablation}, {one.question.set_name}: {metric} {difference.value:+.3f}"
        for metric, k in (("accuracy", 0), ("AUC", 1))
        for one in compared
        for difference in [one.result.differences[k].interval]
        if difference.low > 0 or difference.high < 0
    ]
    helps = "A plus says that the part helps. Every other difference below cannot be told from none."
    return "\n".join(["## Differences whose interval leaves out 0", "", *lines, "", helps, ""])


HEAD = f"""# Model card: ICM against its ablations

What each part of the ICM (Omni-SILA) is worth on the footage at hand, with the compact backbone: the same classes as at
full size, narrower. Clips of unseen sources, {FOLDS} folds; means over seeds; differences are full less ablation, with
intervals and p-values of a paired bootstrap over sources (seeds are averaged, not drawn: the intervals say how other
footage may differ, not other training runs). Made by `benchmarks/icm_ablations.py`, whose docstring has the command;
figures in `benchmarks/results/icm_ablations.json`.

Read with care: many differences are tested at once and none is corrected for that; a p-value of 0.05 among these
{TESTS} is what chance gives several times.
"""

FOOT = """## What could not be measured here

* Nothing of the published size: no 7B weights, no GPU, none of the papers' videos (TSL-300, CUVA, UCF-Crime) were at
  hand. Whether the parts help a 7B Video-LLM as Omni-SILA Tables 1 to 3 print is open; `omnisila train icm --recipe`
  and `omnisila score` are what it takes to see.
* The paper's test sets have 11 events; here four are trained, and traffic accidents are not learnt at all.
* The compact recipe teaches its experts alone before task tuning (decision D21),
  which the paper does not; it is in all rows.
"""

if __name__ == "__main__":
    main()
