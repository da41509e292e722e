"""A compact model beside others that were measured on the same folds: differences with paired intervals."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.errors import InputError
from omnisila.evaluation import identifying
from omnisila.evaluation.significance import Chosen, PairedDifference, paired_bootstrap
from omnisila.recipes.rows.compact import CompactTraining, Material
from omnisila.recipes.studies.folds import Workbench, load_answers
from omnisila.recipes.studies.measures import Judged, Question, judge_items, questions_on

DRAWS = 1000


class Rival(NamedTuple):
    """Another recipe, where its answers stand, and the name it goes by beside this one."""

    recipe: CompactTraining
    bench: Workbench
    title: str


class Against(NamedTuple):
    """Accuracy and AUC of both, each the mean over the same seeds, and ours less theirs."""

    seeds: int
    ours: Float[np.ndarray, "metrics"]
    theirs: Float[np.ndarray, "metrics"]
    differences: tuple[PairedDifference, ...]


def rivals_in(run: Path, bench: Workbench, recipes: Sequence[CompactTraining]) -> tuple[Rival, ...]:
    """The recipes as another run folder measured them; the first is its model, the others its ablations.

    Raises:
        InputError: the folder was not measured on the same clips and features.
    """
    if not (run / "state" / bench.bank.parent.name).is_dir():
        raise InputError(
            f"{run}: not measured on these clips and features (no state/{bench.bank.parent.name}). Train it from the "
            "same data root first, or leave --beside out."
        )
    theirs = bench._replace(answers=run / "state" / "folds")
    main, *others = recipes
    return (Rival(main, theirs, main.name), *(Rival(other, theirs, f"{main.name} {other.name}") for other in others))


def beside_table(
    bench: Workbench, material: Material, main: CompactTraining, rivals: Sequence[Rival], folds: int
) -> str:
    """A section of the card: every question with a row a rival; rivals that are not measured have none."""
    tables = [_table(question, bench, material, main, rivals, folds) for question in questions_on(main)]
    return f"""## Beside other models

The language sides alone, for models share most of their votes; the same clips and folds; {main.name} less the other,
with 95 % intervals and p-values of a paired bootstrap over sources. Other models may call an event by another label
set's name; they were asked about that event against calm on the same clips. Nothing is corrected for the number of
comparisons.
Measured by `python -m benchmarks.compact_studies --model compact-hawkeye` with its run and the compact ICM's.

{chr(10).join(tables)}"""


def _table(
    question: Question,
    bench: Workbench,
    material: Material,
    main: CompactTraining,
    rivals: Sequence[Rival],
    folds: int,
) -> str:
    rows = []
    for rival in rivals:
        theirs = next((q for q in questions_on(rival.recipe) if q.set_name == question.set_name), None)
        if theirs is None:
            continue
        if bench.holds(main, folds) and rival.bench.holds(rival.recipe, folds):
            ours = judge_items(load_answers(bench, material, main, folds, alone=True), question, by_clip=True)
            other = load_answers(rival.bench, material, rival.recipe, folds, alone=True)
            rows.append(row(rival.title, against([ours], [judge_items(other, theirs, by_clip=True)])))
    return f"""### {question.label} ({question.set_name})

| other model | seeds | accuracy: ours, other, difference (95 %), p | AUC: ours, other, difference (95 %), p |
|---|---|---|---|
{chr(10).join(rows)}
"""


def against(ours: Sequence[Judged], theirs: Sequence[Judged]) -> Against:
    """Two models on the same items, a ``Judged`` a seed: differences with a bootstrap that draws whole sources."""
    everything = np.arange(len(ours[0].truth))
    differences = paired_bootstrap(
        lambda chosen: _metrics(theirs, chosen), lambda chosen: _metrics(ours, chosen), ours[0].group, DRAWS
    )
    return Against(len(ours), _metrics(ours, everything), _metrics(theirs, everything), differences)


def _metrics(seeds: Sequence[Judged], chosen: Chosen) -> Float[np.ndarray, "metrics"]:
    """Accuracy and AUC, means over seeds; no AUC where there are three labels."""
    values = []
    for items in seeds:
        truth, score = items.truth[chosen], items.score[chosen]
        auc = np.nan if np.isnan(score).any() else identifying.ranking(truth == 1, score).auc
        values.append((identifying.accuracy(truth, items.predicted[chosen]), auc))
    return np.mean(values, axis=0)


def row(title: str, against: Against) -> str:
    """A comparison as a line of a card's table."""
    return f"| {title} | {against.seeds} | {' | '.join(_cells(against))} |"


def _cells(against: Against) -> Iterator[str]:
    for ours, theirs, (difference, p_value) in zip(against.ours, against.theirs, against.differences, strict=True):
        p = "<0.01" if p_value < 0.005 else f"{p_value:.2f}"
        bounds = f"{difference.low:+.3f} to {difference.high:+.3f}"
        yield "-" if np.isnan(ours) else f"{ours:.3f}, {theirs:.3f}, {difference.value:+.3f} ({bounds}), {p}"
