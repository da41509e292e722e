"""Scores of emotional reactions as the paper's tables and figures need them.

Source: emotional-reaction paper, Tables 2-6 and Figures 5-8.
"""

from collections.abc import Iterator, Mapping, Sequence

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
from omnisila.schema import Example, Prediction, Score, Scores
from omnisila.systems import System

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
        name: of the system.
        videos: the clips of the reported split; those without labels are passed over.
        predictions: their example ids as ``example_of`` gives them.
        train_mean: of each emotion.
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
