"""The card of a row of the reaction tables: what was trained on what, how it scores, and what that does not say."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from omnisila.data.annotated import AnnotatedVideo
from omnisila.models.reaction_run import ReactionRecord
from omnisila.scenes.reaction import actions
from omnisila.schema import Score, Scores
from omnisila.training.regression import Fitted

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
        record: of the trained model.
        splits: ``train``, ``val`` and ``test``, where there are clips.
        fitted: how training went.
        scores: on the development split.
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
