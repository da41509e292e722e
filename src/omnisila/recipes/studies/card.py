"""The compact model's card: what it was trained on, how it scores on unseen sources, and its limits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from omnisila.data.annotated import AnnotatedVideo
from omnisila.evaluation.significance import Interval
from omnisila.files import write_atomically
from omnisila.operating_points import ALARMS_ARE_STRETCHES, Calibration
from omnisila.recipes.rows.compact import CompactTraining, Material
from omnisila.recipes.studies.folds import Answers, Workbench, load_answers
from omnisila.recipes.studies.measures import (
    Identified,
    Located,
    Question,
    identifying_metrics,
    judge_items,
    linear_probe,
    locating_metrics,
    questions_on,
    trivial_rows,
)
from omnisila.schema import Score

CARD = "card.md"
ABLATIONS, LOCATING = "## Ablations", "## Locating, on joined clips"  # sections that others are put before
DRAWS = 300
LOCATED = (
    ("mAP@tIoU", "0.1;"), ("mAP@tIoU", "0.2;"), ("mAP@tIoU", "0.3;"), ("mAP@tIoU", "mean"), ("FNR", "frames, micro"),
    ("FNR", "frames, macro"), ("F2", "frames"), ("false alarms per hour", ""), ("AUC", "frames"), ("AP", "frames"),
)  # fmt: skip
LOCATED_HEADS = ("mAP@0.1", "@0.2", "@0.3", "mean", "FNR micro", "FNR macro", "F2", "false alarms/h", "AUC", "AP")


def write_card(
    folder: Path,
    bench: Workbench,
    material: Material,
    main: CompactTraining,
    ablations: Sequence[CompactTraining],
    folds: int,
    calibration: Calibration,
) -> Path:
    """Write ``card.md`` into the run folder from the answers there are; what was not measured is named as such."""
    answers = load_answers(bench, material, main, folds)
    have = [recipe for recipe in ablations if bench.holds(recipe, folds)]
    alone = {
        title: load_answers(bench, material, recipe, folds, alone=True)
        for title, recipe in {"full model": main, **{recipe.name: recipe for recipe in have}}.items()
    }
    parts = [
        _head(main, material.clips, folds),
        "## Identifying, on unseen sources\n",
        *(_question(question, answers, folds) for question in questions_on(main)),
        _ablations(questions_on(main), alone, folds),
        _not_measured(main.card.command, [recipe.name for recipe in ablations if recipe not in have]),
        _locating(answers, main, calibration, folds),
        _operating_points(calibration),
        main.card.limits,
    ]
    write_atomically(folder / CARD, "\n".join(parts))
    return folder / CARD


def _head(recipe: CompactTraining, clips: Sequence[AnnotatedVideo], folds: int) -> str:
    rows = []
    for name in sorted({clip.set_name for clip in clips}):
        mine = [clip for clip in clips if clip.set_name == name]
        labels = sorted({str(label) for clip in mine for asked, label in clip.labels.items() if asked in recipe.labels})
        stills = sum(clip.is_still for clip in mine)
        sources = len({clip.sources[0] for clip in mine})
        licences = sorted({clip.licence.split(";")[0] for clip in mine})
        used = any(name in sets for sets in recipe.set_weights.values())
        rows.append(
            f"| {name} | {len(mine)} ({stills} stills) | {sources} | {', '.join(labels)} | {'yes' if used else 'no'} | "
            f"{'; '.join(licences)[:120]} |"
        )
    language = recipe.video_llm
    about = recipe.card.about.format(num_layers=language.num_layers, width=language.width)
    trained = "; ".join(f"**{name}**: {', '.join(labels)}" for name, labels in recipe.labels.items())
    return f"""# Model card: {recipe.name}

{about}

Labels it was trained on: {trained}. Other labels of these sets are reported as not scored.

Made, and every number below measured, by `OMNISILA_DATA=<data root> {recipe.card.command} --folds` ({folds} folds by
source, one seed; votes have none). No clip is judged by a model that saw its source: clips that share a video, take,
person or camera, and near-duplicate stills, stand in one fold. Scene tuning and the standardisation of features read no
label and are shared by all folds.

## Training data

| set | clips | sources | labels | trained on | licence as stated |
|---|---|---|---|---|---|
{chr(10).join(rows)}

Thefts are staged in one room by few actors whom the set does not name: ten takes in a row stand on one side of the
split, so many actors are new, and the room is known. Stills stand for one second of video and carry no motion.
"""


def _question(question: Question, answers: Answers, folds: int) -> str:
    name = question.label or "three-way sentiment"
    unit = "positive / neutral / negative" if question.label is None else f"{question.label} against calm"
    clips = judge_items(answers, question, by_clip=True)
    rows = [
        _row("model, windows", identifying_metrics(judge_items(answers, question, by_clip=False), DRAWS)),
        _row("model, clips", identifying_metrics(clips, DRAWS)),
        _row(
            "linear probe on mean EfficientNet features, clips",
            identifying_metrics(linear_probe(answers, question), DRAWS),
        ),
    ]
    rows += [_row(f"{title}, clips", numbers, bounds=False) for title, numbers in trivial_rows(clips).items()]
    items = identifying_metrics(clips, 2)
    return f"""### {name} ({question.set_name}: {unit}; {items.items} clips of {items.groups} sources, {folds} folds)

| | accuracy | F2 | AUC | AP |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(title: str, numbers: Identified, *, bounds: bool = True) -> str:
    values = (numbers.accuracy, numbers.f2, numbers.auc, numbers.average_precision)
    return f"| {title} | {' | '.join(_cell(value, bounds=bounds) for value in values)} |"


def _cell(value: Interval, *, bounds: bool) -> str:
    """With its bootstrap bounds."""
    if np.isnan(value.value):
        return "-"
    if not bounds or np.isnan(value.low):
        return f"{value.value:.3f}"
    return f"{value.value:.3f} ({value.low:.2f}-{value.high:.2f})"


def _ablations(questions: Sequence[Question], alone: Mapping[str, Answers], folds: int) -> str:
    heads = [f"{question.label or 'sentiment'}, {question.set_name}" for question in questions]
    rows = []
    for title, answers in alone.items():
        cells = []
        for question in questions:
            numbers = identifying_metrics(judge_items(answers, question, by_clip=True), 2)
            ranked = "" if np.isnan(numbers.auc.value) else f" / {numbers.auc.value:.3f}"
            cells.append(f"{numbers.accuracy.value:.3f}{ranked}")
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return f"""{ABLATIONS}

The language side alone, without votes: clips, accuracy / AUC, one seed and {folds} folds each. Differences of a few
points are within the intervals above.

| | {" | ".join(heads)} |
|---|{"---|" * len(heads)}
{chr(10).join(rows)}
"""


def _not_measured(command: str, ablations: Sequence[str]) -> str:
    if not ablations:
        return ""
    return f"Not measured yet (`{command} --folds` goes on where it stopped): {', '.join(ablations)}.\n"


def _locating(answers: Answers, recipe: CompactTraining, calibration: Calibration, folds: int) -> str:
    tables: list[str] = []
    for labels in recipe.labels:
        for metric in locating_metrics(answers, labels, calibration.label_sets[labels], folds, DRAWS):
            tables.append(_located_table(labels, metric))
    return f"""{LOCATING}

Held-out clips of one set and fold joined to longer videos (calm, event, calm, ...) with known event times; default
thresholds, fitted on other joins of the same held-out answers. Frame grid 8 Hz; mAP by ActivityNet interpolation.

{chr(10).join(tables)}"""


def _located_table(labels: str, located: Located) -> str:
    rows = []
    for system, scores in located.systems.items():
        cells = [_score_cell(_find_score(scores, metric, variant)) for metric, variant in LOCATED]
        rows.append(f"| {system} | {' | '.join(cells)} |")
    return f"""### {labels}: {located.set_name} ({located.joins} joins, {located.hours * 60:.0f} minutes)

| | {" | ".join(LOCATED_HEADS)} |
|---|{"---|" * len(LOCATED_HEADS)}
{chr(10).join(rows)}
"""


def _find_score(scores: Sequence[Score], metric: str, variant: str) -> Score:
    return next(score for score in scores if score.metric == metric and score.variant.startswith(variant))


def _score_cell(score: Score) -> str:
    if score.value is None:
        return "-"
    digits = 0 if score.metric == "false alarms per hour" else 2
    text = f"{score.value:.{digits}f}"
    if score.low is None or score.high is None:
        return text
    return f"{text} ({score.low:.{digits}f}-{score.high:.{digits}f})"


def _operating_points(calibration: Calibration) -> str:
    rows = [
        f"| {labels} | {point.method} | {point.fnr_target:.2f} | {_share(point.fnr_macro)} | "
        f"{'-' if point.false_alarms_per_hour is None else f'{point.false_alarms_per_hour:.0f}'} | "
        f"{_share(point.false_alarm_frac)} | {point.videos} |"
        for labels, fitted in calibration.label_sets.items()
        for point in fitted.operating_points
    ]
    return f"""## Operating points

`--max-fnr` picks the conformal row with the largest target not above what was asked. {calibration.note}
{ALARMS_ARE_STRETCHES}

| label set | method | missed per video at most | on the split | false alarms/h | eventless time flagged | joins |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
