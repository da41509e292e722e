"""``omnisila score``: any system's predictions against prepared examples, as named numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisila.cli.arguments import Draws, Examples, LabelFiles, Quiet, ScoredSplit, file_option
from omnisila.cli.telling import tell
from omnisila.labels import known_sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omnisila.schema import Scores
    from omnisila.systems import System

_SHOWN = 5  # strangers named one by one


def score(
    examples: Examples,
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="PREDICTIONS...",
            help="One file a system, or NAME=FILE: predictions.jsonl, the folder of analyze, raw answers, spans as "
            "ActivityNet, FiftyOne or Label Studio JSON, ELAN or CSV.",
        ),
    ],
    split: ScoredSplit = None,
    out: Annotated[Path, typer.Option(help="Where the scores go.")] = Path("scores.json"),
    labels: LabelFiles = None,
    draws: Draws = 1000,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder for Sem-C: a model's folder, or minilm for the packaged one.")
    ] = None,
    decisions: Annotated[
        Path | None,
        file_option(
            "A decisions.jsonl of omnisila decisions export: people's ratings of causes become Atr-R of the model "
            "that stated them."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Score systems beside flag-all, flag-none and chance; every later system is also compared with the first.

    Exit status: 0 scored, 2 wrong usage or files that are not as expected.
    """
    from omnisila.data.asked_examples import read_asked
    from omnisila.decisions import check_decisions
    from omnisila.evaluation.answers import check_names
    from omnisila.evaluation.sentence_encoder import encoder_folder
    from omnisila.files import check_replaceable
    from omnisila.predictions.read import read_predictions
    from omnisila.systems import short_names

    known_sets(labels or ())
    check_replaceable(out)
    if encoder is not None:
        encoder_folder(encoder)
    if decisions is not None:
        check_decisions(decisions)
    asked = read_asked(examples, split)
    if not quiet:
        tell(f"{examples}: {len(asked.examples)} examples of split {asked.split}")
    systems = [
        read_predictions(path, asked.examples, name, asked.others) for name, path in map(_name_and_path, predictions)
    ]
    check_names(systems)

    from omnisila.evaluation.score_files import write_scores
    from omnisila.evaluation.scoring import score_systems

    sentences = None
    if encoder is not None:
        from omnisila.evaluation.sentence_encoder import sentence_encoder  # takes transformers

        sentences = sentence_encoder(encoder)
    result = score_systems(asked.examples, systems, draws, sentences)
    if decisions is not None:
        result = _with_ratings(result, decisions, draws)
    write_scores(out, result)
    if quiet:
        return
    names = short_names([system.name for system in systems])
    for system, scores in zip(systems, result, strict=False):  # the trivial systems and the comparisons stand behind
        tell(f"{names[system.name]}: {len(system.predictions)} predictions of {len(asked.examples)} examples")
        for line in _left_out(system, scores):
            tell(f"  {line}")
    tell(f"{out}: tables and figures with omnisila report {out}")


def _with_ratings(result: "tuple[Scores, ...]", decisions: Path, draws: int) -> "tuple[Scores, ...]":
    """The figures with people's ratings: beside those of the system of that name, else as a system of its own."""
    from omnisila.decisions import Decision
    from omnisila.evaluation.rating_tables import decided_ratings, rating_scores
    from omnisila.records import records
    from omnisila.schema import Scores

    rated = {
        system.system: system.scores for system in rating_scores(decided_ratings(records(decisions, Decision)), draws)
    }
    known = [system.replace(scores=(*system.scores, *rated.pop(system.system, ()))) for system in result]
    return (*known, *(Scores(system=name, scores=scores) for name, scores in rated.items()))


def _left_out(system: "System", scores: "Scores") -> "Iterator[str]":
    """What of a file was not taken as it stands."""
    if system.stale:
        yield f"{system.stale} left out: they answer other times, questions or footage; predict again to redo them"
    for stranger in system.strangers[:_SHOWN]:
        yield f"no example: {stranger}"
    if len(system.strangers) > _SHOWN:
        yield f"and {len(system.strangers) - _SHOWN} more without an example"
    if system.unmentioned:
        yield f"videos without a span in it: {len(system.unmentioned)}, taken as nothing found"
    for score in scores.scores:
        if score.metric == "refused spans" and score.note:
            labels = score.variant.partition(";")[0]
            yield f"{labels} spans that fit no video: {score.note}; average precision takes them as they were said"


def _name_and_path(argument: str) -> tuple[str | None, Path]:
    name, equals, path = argument.partition("=")
    return (name, Path(path)) if equals and name and not Path(argument).exists() else (None, Path(argument))
