"""What any row of the reaction tables does: train on the training split, answer the others, score development.

The development split is the paper's reported one. The epoch is chosen on clips held out of the training split.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.instructions import render_intensities
from omnisila.data.sets import hume_reaction
from omnisila.devices import default_device
from omnisila.errors import DataSetError
from omnisila.evaluation.reaction import PerEmotion, pearson
from omnisila.evaluation.score_files import write_scores
from omnisila.evaluation.significance import DRAWS
from omnisila.files import write_atomically
from omnisila.labels import REACTION
from omnisila.models.reaction import FRAMES, ReactionModel
from omnisila.models.reaction_run import ReactionRecord, save_reaction
from omnisila.models.reaction_sources import POOLED, read_sources
from omnisila.pace import Say
from omnisila.recipes.rows.reaction import ReactionRecipe
from omnisila.recipes.studies.card import CARD
from omnisila.recipes.studies.reaction_card import (
    SplitClips,
    example_of,
    intensities_of,
    label_statistics,
    reaction_scores,
    row_card,
)
from omnisila.records import records
from omnisila.schema import Prediction, Scores
from omnisila.training.reaction_tables import FeatureRows, feature_rows
from omnisila.training.regression import Epoch, Labelled, fit, predict_intensities
from omnisila.weights.checkpoint_files import file_digest

NAMED = 5  # clips that are told by name; all are counted
SCORES, LABELS, LACKING = "scores.json", "labels.json", "without_features.csv"


class Reactions(NamedTuple):
    """The clips of Hume-Reaction by split; the test split's intensities are private."""

    train: tuple[AnnotatedVideo, ...]
    val: tuple[AnnotatedVideo, ...]
    test: tuple[AnnotatedVideo, ...]

    @property
    def train_mean(self) -> PerEmotion:
        """Each emotion's mean intensity over the training split."""
        return intensities_of(self.train).mean(axis=0)


def reactions(folder: Path, subjects: Path | None = None) -> Reactions:
    """The data set, in either of its layouts.

    Args:
        subjects: table of whom each clip shows; without it each clip stands for a person of its own.

    Raises:
        DataSetError: a line is malformed (an intensity outside [0, 1] is named with its line), a subject is missing, or
            nothing to train on or to report.
    """
    videos = hume_reaction.read(folder).videos
    if subjects is not None:
        videos = hume_reaction.of_subjects(videos, subjects)
    train, val, test = (tuple(video for video in videos if video.split == split) for split in ("train", "val", "test"))
    if not train or not val:
        raise DataSetError(
            f"{folder}: {len(train)} training and {len(val)} development clips. Wanted: some of both, as published."
        )
    return Reactions(train, val, test)


def train_row(
    row: ReactionRecipe,
    data: Reactions,
    features: Path,
    out: Path,
    device: torch.device | None = None,
    draws: int = DRAWS,
    say: Say = lambda _: None,
) -> Scores:
    """Train a row and score it; a killed run goes on from its last whole epoch.

    Args:
        features: folder with a table a stream, and ``features.json`` where it is known how they are made.
        out: run folder: the model, ``predictions-val.jsonl``, ``predictions-test.jsonl``, ``scores.json``,
            ``labels.json`` (Table 2), ``card.md`` and ``without_features.csv``.
        device: where the model is trained; by default a GPU if there is one.
        draws: of the bootstrap over clips, or over people where they are known.

    Raises:
        DataSetError: features are missing, or are not of as many frames as models read.
        TrainingError: training cannot go on.
        OutputError: ``out`` cannot be written.
    """
    device = device or default_device()
    known = {split: _rows(row, features, videos, split, say) for split, videos in data._asdict().items() if videos}
    lacking = [f"{split},{clip},{' '.join(w)}\n" for split, r in known.items() for clip, w in r.without.items()]
    write_atomically(out / LACKING, "".join(["split,clip,streams\n", *lacking]))

    torch.manual_seed(row.training.seed)
    model = row.model.build(known["train"].widths).to(device)
    labelled, state = _labelled_clips(data.train, known["train"]), out / "state"
    fitted = fit(
        model, labelled, row.training, mean_pearson, state, _material(row, features), on_epoch=_teller(row, say)
    )
    say(
        f"{row.name}: epoch {fitted.best.number + 1} is best (Pearson {fitted.best.score:.4f} on "
        f"{fitted.held_out_clips} clips held out of {fitted.held_out_clips + fitted.trained_clips})"
    )
    sources = read_sources(features)
    read = sources.of(row.streams.values())
    record = save_reaction(
        out,
        model,
        ReactionRecord(
            name=row.name,
            model=row.model,
            widths=known["train"].widths,
            streams=row.streams,
            kinds=known["train"].kinds,
            features=read.features,
            features_digest=sources.features_digest(row.streams.values()),
            pooled=read.pooled,
            described=read.described,
            train_mean=tuple(data.train_mean.tolist()),
            recipe=row.model_dump(mode="json"),
        ),
    )
    said: dict[str, list[Prediction]] = {}
    for split in ("val", "test"):
        if split in known:
            said[split] = list(_answers(record, model, known[split], data._asdict()[split]))
            lines = "".join(prediction.model_dump_json() + "\n" for prediction in said[split])
            write_atomically(out / f"predictions-{split}.jsonl", lines)
    scores = _score_system(row.name, data, said["val"], out, draws, say)
    splits = {name: SplitClips(data._asdict()[name], len(rows.ids)) for name, rows in known.items()}
    write_atomically(out / CARD, row_card(record, splits, fitted, scores))
    return scores


def querying(data: Reactions, answers: Path, out: Path, draws: int = DRAWS, say: Say = lambda _: None) -> Scores:
    """Score a Video-LLM's own answers. Source: emotional-reaction paper 4.1, Table 3.

    Args:
        answers: ``predictions.jsonl`` of a system that was asked, as ``omnisila predict`` writes it.
        out: folder of ``scores.json`` and ``labels.json``.

    Raises:
        RecordError: a line of the answers is malformed.
        DataSetError: not one answer is about a clip of the development split.
    """
    said = list(records(answers, Prediction))
    wanted = {example_of(video).id for video in data.val}
    if not any(answer.example_id in wanted for answer in said):
        raise DataSetError(
            f"{answers}: {len(said)} answers, none to the {len(wanted)} development clips (such as {min(wanted)}). "
            "Ask with examples that omnisila prepare made of this data set."
        )
    return _score_system(said[0].system, data, said, out, draws, say)


def mean_pearson(truth: Float[Tensor, "clips emotions"], guesses: Float[Tensor, "clips emotions"]) -> float:
    """What chooses the epoch: the reported measure, on clips that are not reported."""
    return pearson(truth.double().numpy(), guesses.double().numpy()).mean


def _rows(row: ReactionRecipe, features: Path, videos: Sequence[AnnotatedVideo], split: str, say: Say) -> FeatureRows:
    found = feature_rows(features, row.streams, [video.id for video in videos])
    for modality, table in found.tables.items():
        stream, frames = row.streams[modality], table.values.shape[1]
        wanted = 1 if stream.startswith(POOLED) else FRAMES
        if frames != wanted:
            raise DataSetError(
                f"{features / stream}.safetensors: {frames} frames a clip, wanted {wanted}. Extract the stream again."
            )
    if found.without:
        names = ", ".join(list(found.without)[:NAMED]) + (", ..." if len(found.without) > NAMED else "")
        say(f"{split}: {len(found.without)} of {len(videos)} clips lack features ({names}); all are in {LACKING}")
    return found


def _material(row: ReactionRecipe, features: Path) -> str:
    """What decides the row's weights beside its labels: everything in the row, and the tables that it reads."""
    tables = [file_digest(features / f"{stream}.safetensors") for stream in row.streams.values()]
    return " ".join([row.model_dump_json(), *tables])


def _labelled_clips(videos: Sequence[AnnotatedVideo], known: FeatureRows) -> Labelled:
    by_id = {video.id: video for video in videos}
    chosen = [by_id[clip] for clip in known.ids]
    return Labelled(known, torch.from_numpy(intensities_of(chosen)).float(), tuple(video.group for video in chosen))


def _answers(
    record: ReactionRecord, model: ReactionModel, known: FeatureRows, videos: Sequence[AnnotatedVideo]
) -> Iterator[Prediction]:
    """Of every clip that has features, labelled or not."""
    by_id = {video.id: video for video in videos}
    system = f"{record.name}@{record.identity.digest[:12]}"
    guesses = predict_intensities(model, known, torch.arange(len(known.ids)))
    for clip, guess in zip(known.ids, guesses.tolist(), strict=True):
        intensities = dict(zip(REACTION.labels, guess, strict=True))
        answer = render_intensities(intensities)
        yield Prediction(
            example_id=example_of(by_id[clip]).id, system=system, answer=answer, intensities=intensities
        )  # fmt: skip


def _score_system(name: str, data: Reactions, said: Sequence[Prediction], out: Path, draws: int, say: Say) -> Scores:
    scores = reaction_scores(name, data.val, said, data.train_mean, draws)
    write_scores(out / SCORES, [scores])
    write_scores(out / LABELS, list(label_statistics([*data.train, *data.val, *data.test])))
    first = scores.scores[0]
    say(f"{name}: mean Pearson {first.value or 0.0:.4f} over {first.count} development clips")
    return scores


def _teller(row: ReactionRecipe, say: Say) -> Callable[[Epoch], None]:
    def report_epoch(epoch: Epoch) -> None:
        say(
            f"epoch {epoch.number + 1}/{row.training.epochs}: loss {epoch.loss:.4f}, "
            f"Pearson {epoch.score:.4f} on held-out clips"
        )

    return report_epoch
