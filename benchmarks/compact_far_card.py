"""What a card says of footage that is unlike: simple classifiers beside the model, far tests, untrimmed footage."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax

from benchmarks.compact_alarms import Watched, nested_thresholds, probabilities, watched
from benchmarks.compact_far import FarTests, Told, told
from omnisila.models.votes import VotesConfig
from omnisila.recipes.studies.calibration import (
    JoinedScores,
    joins_of,
    ordinary_clips,
    temperature_of,
    voted_thresholds,
)
from omnisila.recipes.studies.folds import Answers, Workbench, load_answers, out_of_fold_with_votes
from omnisila.recipes.studies.measures import Question, judge_items

UNTRIMMED = "incidents"


def far_sections(far: FarTests, answers: Answers, bench: Workbench, folds: int) -> tuple[str, ...]:
    """The sections, in the card's order."""
    return _beside_simple(far, answers, bench, folds), _far(far), _watched(far, answers, bench, folds)


def _beside_simple(far: FarTests, answers: Answers, bench: Workbench, folds: int) -> str:
    """The model, its language side alone and simple classifiers on the same folds."""
    alone = load_answers(bench, far.material, far.recipe, folds, alone=True)
    tables = []
    for question in far.questions:
        judged = {
            "**model**": judge_items(answers, question, by_clip=True),
            "its language side alone": judge_items(alone, question, by_clip=True),
        }
        rows = {name: told(item.truth == 1, item.score, item.group) for name, item in judged.items()}
        tables.append(_told_table(question, {**rows, **far.on_folds(question)}))
    return f"""## Beside simple classifiers, on the same {folds} folds

Labels are decided by votes (decision D140); the language side says what it sees and why. Accuracy, AUC over all items,
and the mean AUC within groups (camera, takes in a row, carrier) that hold both kinds.
This section and the two after it are measured by
`python -m benchmarks.compact_studies --run runs/compact --features runs/features`.

{chr(10).join(tables)}"""


def _far(far: FarTests) -> str:
    tables = [_told_table(question, rows) for question in far.questions if (rows := far.far(question))]
    return f"""## Far tests, and what was tried

Learnt without the whole data set that is asked, and without footage of its cameras in other sets. Thefts have one set
alone, so no far test. The ideas below the simple classifiers are the shipped votes with one thing changed, and others.

{chr(10).join(tables)}"""


def _told_table(question: Question, rows: Mapping[str, Told]) -> str:
    cells = [f"| {name} | {_number(row.accuracy)} | {_number(row.auc)} | {_number(row.within)} |"
             for name, row in rows.items()]  # fmt: skip
    items = next(iter(rows.values())).items
    return f"""### {question.label}, {question.set_name} ({items} clips or windows)

| | accuracy | AUC | AUC within groups |
|---|---|---|---|
{chr(10).join(cells)}
"""


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _watched(far: FarTests, answers: Answers, bench: Workbench, folds: int) -> str:
    votes = far.recipe.votes
    assert votes is not None
    mean = votes.replace(agree=())
    ways = {"": votes, ", the mean of its votes": mean, ", the mean, no label averaged in": mean.replace(averaged=()),
            ", its least vote": votes.replace(agree=tuple(votes.votes))}  # fmt: skip
    rows = [
        row
        for labels, names in answers.trained.items()
        if UNTRIMMED in far.recipe.set_weights[labels]
        for title, way in ways.items()
        for row in _watched_rows(far, answers, bench, folds, labels, names, title, way)
    ]
    return f"""## Untrimmed footage

Events found by a finding of any label, and by one of their own; false alarms on calm moving footage of at least 5 s.
Thresholds are fitted on the other folds; far, on the other sets, with answers of fold models that did see these clips.
Frame AUC is over all events of the clips, also those of labels that are not taught; an analysis's own curve has that of
the mean of the votes, with Fighting averaged in (decisions D265 and D267). That the votes on Fighting and Fire must
agree where events are located, and what is averaged in, was chosen while looking at these rows.

| | events | found | named | false alarms per hour | ordinary minutes | frame AUC |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _watched_rows(
    far: FarTests,
    answers: Answers,
    bench: Workbench,
    folds: int,
    labels: str,
    names: Sequence[str],
    title: str,
    votes: VotesConfig,
) -> list[str]:
    """The rows of one way of joining votes."""
    recipe = far.recipe.replace(votes=votes)
    said = out_of_fold_with_votes(bench, far.material, recipe, folds, locating=True)[labels]
    temperature = temperature_of(answers, labels)
    scores = JoinedScores(answers, softmax(said / temperature, axis=1))
    nested = nested_thresholds(answers.clips, bench.fold_of, scores, names, labels, votes.acts)
    untrimmed = [clip for clip in answers.clips if clip.set_name == UNTRIMMED]
    others = [clip for clip in answers.clips if clip.set_name != UNTRIMMED]
    odds = {label: item / temperature for label, item in far.odds_without(UNTRIMMED, votes).items()}
    other_fold = [fold for fold, clip in zip(bench.fold_of, answers.clips, strict=True) if clip.set_name != UNTRIMMED]
    joins = joins_of(others, other_fold, scores.durations_s, labels, names, max(bench.fold_of) + 1, seed=0)
    ordinary = ordinary_clips(others, labels, scores.durations_s)
    fitted = voted_thresholds(ordinary, joins, scores, names, labels, votes.acts)
    learnt_without = JoinedScores(answers, probabilities(odds, names))
    away = watched(untrimmed, learnt_without, names, labels, lambda _: fitted, votes.averaged)
    return [
        _watched_row(
            f"folds, without {UNTRIMMED}{title}", watched(others, scores, names, labels, nested, votes.averaged)
        ),
        _watched_row(f"folds, {UNTRIMMED}{title}", watched(untrimmed, scores, names, labels, nested, votes.averaged)),
        _watched_row(f"far: {UNTRIMMED}, learnt without it{title}", away),
    ]


def _watched_row(title: str, watched: Watched) -> str:
    rate = "-" if not watched.hours else f"{watched.alarms_per_hour:.0f} ({watched.alarms})"
    return (
        f"| {title} | {watched.events} | {watched.found} | {watched.named} | {rate} | {watched.hours * 60:.1f} | "
        f"{_number(watched.frame_auc)} |"
    )
