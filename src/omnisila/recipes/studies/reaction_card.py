"""The card of a row of the reaction tables: what was trained on what, how it scores, and what that does not say.

Source: emotional-reaction paper, Tables 2-6 and Figures 5-8.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.instructions import REACT_QUESTION, render_intensities
from omnisila.evaluation.answers import match_answers, number_names, with_label_set
from omnisila.evaluation.named_scores import make_score
from omnisila.evaluation.parts.react import Reacted
from omnisila.evaluation.reaction import PerEmotion, impute
from omnisila.evaluation.significance import DRAWS, with_intervals
from omnisila.labels import REACTION
from omnisila.models.reaction_run import ReactionRecord
from omnisila.scenes.reaction import actions
from omnisila.schema import Example, Prediction, Score, Scores
from omnisila.systems import System
from omnisila.training.regression import Fitted

IMPUTED = "share of items, filled with the emotion's mean over the training split"


def intensities_of(videos: Sequence[AnnotatedVideo]) -> Float[np.ndarray, "clips emotions"]:
    """One row a clip, in the label set's order; NaN where the intensities are private."""
    return np.array([_row(video.intensities) for video in videos], dtype=np.float64).reshape(-1, len(REACTION.labels))


def label_statistics(videos: Sequence[AnnotatedVideo]) -> Iterator[Scores]:
    """Mean and deviation of each emotion's true intensity, split by split and over all that are labelled.

    Source: emotional-reaction paper, Table 2, which does not say of which split.
    """
    splits = {split: [video for video in videos if video.split == split] for split in ("train", "val", "test")}
    for name, chosen in {**splits, "all labelled": list(videos)}.items():
        values = intensities_of([video for video in chosen if video.intensities is not None])
        if len(values):
            scores = [
                make_score("true intensity", f"{label}; {kind}", float(value), len(values))
                for kind, column in (("mean", values.mean(axis=0)), ("standard deviation", values.std(axis=0)))
                for label, value in zip(REACTION.labels, column, strict=True)
            ]
            yield Scores(system=f"labels, {name}", scores=with_label_set(REACTION.name, scores))


def reaction_scores(
    name: str,
    videos: Sequence[AnnotatedVideo],
    predictions: Sequence[Prediction],
    train_mean: PerEmotion,
    draws: int = DRAWS,
) -> Scores:
    """A system's scores on labelled clips: correlations with intervals, spread, collapse, and what was imputed.

    An emotion that an answer leaves out, and a clip without any answer, get the emotion's mean over the training split.

    Args:
        videos: the clips of the reported split; those without labels are passed over.
        predictions: their example ids as ``example_of`` gives them.
        draws: of the bootstrap over the clips' groups; 0 leaves the intervals out.
    """
    examples = [example_of(video) for video in videos if video.intensities is not None]
    answers = match_answers(examples, System("", predictions))
    truth = np.array([_row(example.intensities) for example, _ in answers.pairs], dtype=np.float64)
    said = np.array([_row(answer.intensities if answer else None) for _, answer in answers.pairs], dtype=np.float64)
    filled = impute(said.reshape(truth.shape), train_mean)
    part = Reacted(REACTION, truth, filled.intensities, number_names(e.group for e in examples), filled.item_frac)
    correlations = with_intervals(part.scores, part.groups, draws) if draws else part.scores(np.arange(len(truth)))
    missing = sum(answer is None for _, answer in answers.pairs)
    unparsed = sum(answer is not None and not answer.parse_ok for _, answer in answers.pairs)
    counts = [
        make_score("imputed", IMPUTED, filled.item_frac, len(truth)),
        make_score("imputed", "share of single intensities", float(np.isnan(said).mean()), said.size),
        make_score("missing predictions", "react, count", missing, len(truth)),
        make_score("malformed predictions", "react, count", unparsed, len(truth)),
        *_commonest(filled.intensities),
    ]
    spread = tuple(score for score in part.details() if score.metric != "imputed")
    return Scores(system=name, scores=(*correlations, *spread, *with_label_set(REACTION.name, counts)))


def example_of(video: AnnotatedVideo) -> Example:
    """The clip as an example of ``react``, by the id that ``omnisila prepare`` gives it."""
    return Example(
        id=f"hume_reaction/{video.id}#react",
        video=video.path,
        start_s=0.0,
        end_s=video.duration_s or 0.0,
        task="react",
        labels=REACTION.name,
        instruction=REACT_QUESTION,
        answer=render_intensities(video.intensities) if video.intensities is not None else "",
        intensities=video.intensities,
        split=video.split,
        group=video.group,
    )


def _commonest(predicted: Float[np.ndarray, "items emotions"]) -> Iterator[Score]:
    """The value that is said most often, with how often: querying collapses to few values (4.2, 0.4 for Anxiety)."""
    for label, column in zip(REACTION.labels, predicted.T, strict=True):
        values, counts = np.unique(column, return_counts=True)
        if len(values):
            note = f"{counts.max()} of {len(column)} items, {len(values)} different values"
            yield make_score("commonest value", label, float(values[counts.argmax()]), len(column), note)


def _row(intensities: Mapping[str, float] | None) -> list[float]:
    return [(intensities or {}).get(label, np.nan) for label in REACTION.labels]


SPLITS = {"train": "training", "val": "development, reported", "test": "test"}
_STAND_IN = (
    "\nAction units are not py-feat's: blendshapes and expressions stand in their place, and the scores are not those\n"
    "of a model that reads py-feat's.\n"
)


class SplitClips(NamedTuple):
    """A split's clips, and how many of them have the features that the row reads."""

    videos: Sequence[AnnotatedVideo]
    with_features: int


def row_card(record: ReactionRecord, splits: Mapping[str, SplitClips], fitted: Fitted, scores: Scores) -> str:
    """The card's text.

    Args:
        splits: ``train``, ``val`` and ``test``, where there are clips.
    """
    by_person = any(video.group != video.id for video in splits["train"].videos)
    return "\n".join((_about(record), _data(splits, fitted, by_person), _streams(record), _scores(scores), _LIMITS))


def _about(record: ReactionRecord) -> str:
    return f"""# Model card: {record.name}

A reaction model of kind {record.model.kind}, trained on Hume-Reaction by `omnisila train reaction`. It gives a whole
clip {len(record.outputs)} intensities from 0 to 1, each meaning what that data set's labels mean. Its digest is
{record.identity.digest[:12]}; `run.json` holds the whole recipe.
"""


def _data(splits: Mapping[str, SplitClips], fitted: Fitted, by_person: bool) -> str:
    rows = [
        f"| {words} | {len(split.videos)} | {split.with_features} | "
        f"{len({video.group for video in split.videos}) if by_person and name != 'test' else 'not known'} |\n"
        for name, words in SPLITS.items()
        if (split := splits.get(name))
    ]
    whose = (
        "They are of people who are not trained on, and intervals below are drawn over people."
        if by_person
        else "Nobody told who is in which clip: they may be of people who are trained on, so the choice is optimistic\n"
        "and the intervals below, drawn over clips, are probably too narrow."
    )
    held = f"{fitted.held_out_clips} of {fitted.held_out_clips + fitted.trained_clips}"
    return f"""## Data

| split | clips | with features | people |
|---|---|---|---|
{"".join(rows)}
{held} training clips were held out to choose the epoch: {fitted.best.number + 1} of {len(fitted.epochs)}, by Pearson.
{whose} The development split chose nothing.
"""


def _streams(record: ReactionRecord) -> str:
    kinds = {name: record.kinds.get(name) or "not known" for name in record.streams}
    rows = [
        f"| {name} | `{stream}` | {kinds[name]} | {record.widths[name]} |\n" for name, stream in record.streams.items()
    ]
    said = "" if record.features or record.pooled else "\nThey were made by other programs: no video can be analysed.\n"
    return f"""## What it reads

| modality | stream | its numbers are | of them a frame |
|---|---|---|---|
{"".join(rows)}{said}{_STAND_IN if actions.KIND in kinds.values() else ""}"""


def _scores(scores: Scores) -> str:
    rows = [
        f"| {score.variant.partition('; ')[2]} | {_number(score.value)} | {_interval(score)} | {score.note or ''} |\n"
        for score in scores.scores
        if score.metric == "Pearson"
    ]
    counted = {(score.metric, score.variant.partition("; ")[2]): score for score in scores.scores}
    missing = counted["missing predictions", "react, count"]
    return f"""## Scores on the development split

Pearson over {missing.count} clips, with 95 % intervals (bootstrap). {missing.value or 0:.0f} clips without features got
each emotion's mean over the training split, and count.

| | Pearson | interval | |
|---|---|---|---|
{"".join(rows)}"""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(score: Score) -> str:
    return "-" if score.low is None or score.high is None else f"{score.low:.3f} to {score.high:.3f}"


_LIMITS = """## Limits

- One seed and one split: how much another seed changes is not measured here.
- The clips show people in front of webcams, each watching a video, as one data set recruited them. Other cameras, other
  occasions and any group of people by itself are not measured.
- An intensity is a guess at what a label says of a clip, no proof of a feeling. Use it to find moments to look at,
  never to judge a person.
"""
