"""``omnisila train distil``: from a large teacher's answers on footage that nobody labelled to a compact student.

What the teacher says of each video is kept in the run folder's state, so that a killed run goes on where it stood.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError

from omnisila.data.instructions import parse_label
from omnisila.digests import digest, file_digest
from omnisila.errors import InputError, MediaError
from omnisila.files import write_atomically
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.inputs import Input, expand
from omnisila.inference.load import load
from omnisila.inference.run_folders import student_folder
from omnisila.inference.scoring import batches
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import label_set
from omnisila.media.video import sha256
from omnisila.models.checkpoint import RunRecord, load_run, save_run
from omnisila.models.votes import LabelVotes, VotesConfig
from omnisila.pace import Say
from omnisila.recipes.shipping.lessons import Agreement, TeacherAnswers, Windows, lesson_of
from omnisila.records import records
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.summaries import summaries
from omnisila.scenes.windows import windows
from omnisila.schema import Example
from omnisila.training.distilling import DistillationConfig, Distilled, distil_votes

LABEL_TOKENS = 16
_ASKED_TOGETHER = 8  # windows
_FEATURE_BATCH = 256  # windows


class Footage(NamedTuple):
    """A folder of videos, with what is known of some.

    Attributes:
        truth: the file of examples whose train split gives known labels; None: nothing is known.
        taught: the files of examples that the teachers were trained on.
    """

    folder: Path
    truth: Path | None = None
    taught: Sequence[Path] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All that name examples of it."""
        return (*([self.truth] if self.truth else ()), *self.taught)

    def sources(self) -> dict[str, str]:
        """Video -> its source, as far as examples name it."""
        return {example.video: example.group for path in self.files for example in records(path, Example)}

    def held_out(self) -> set[str]:
        """The videos that models are to be tested on: those of val and test splits."""
        return {example.video for path in self.files for example in records(path, Example) if example.split != "train"}

    def known(self) -> dict[str, list[Example]]:
        """Video -> its examples of the train split."""
        found: dict[str, list[Example]] = {}
        for example in records(self.truth, Example) if self.truth else ():
            if example.split == "train" and example.task in ("identify", "locate"):
                found.setdefault(example.video, []).append(example)
        return found


def distil(
    student: str,
    teachers: Sequence[str],
    footage: Footage,
    out: Path,
    cache: FeatureCache,
    config: DistillationConfig,
    say: Say,
    labels: Sequence[str] | None = None,
    agreement: Agreement = "windows",
) -> RunRecord:
    """Fit a compact student's votes to teachers' posteriors and known labels, and write its run folder.

    Args:
        student: a compact model, whose extractors, causes and words it keeps.
        teachers: models that score windows; each answers only sources that it was not trained on.
        labels: label sets; None takes what the first teacher was trained on.
        agreement: which of a teacher's answers are believed (``select_believed``).

    Raises:
        InputError: no video, a model that cannot take its part, or label sets that share a label.
        TrainingError: nothing is left to learn from.
        OutputError: the run folder cannot be written.
    """
    found, held_out = expand([footage.folder]).files, footage.held_out()
    videos = {item.name: item for item in found if item.name not in held_out}
    if len(videos) < len(found):
        say(f"{len(found) - len(videos)} of {len(found)} videos are of val or test splits: nothing is learnt from them")
    sources = footage.sources()
    answers: dict[str, list[TeacherAnswers]] = {name: [] for name in videos}
    for teacher in teachers:
        analyzer = _teacher(teacher, labels, cache, agreement)
        labels = labels or tuple(analyzer.scorer.label_sets)
        banned = _taught_sources(analyzer, footage, say)
        mine = [item for name, item in videos.items() if sources.get(name, name) not in banned]
        say(f"{teacher}: answers {len(mine)} of {len(videos)} videos; the others' sources taught it")
        for item, answer in _answers(analyzer, mine, out / "state" / "teachers", agreement, say):
            answers[item.name].append(answer)
    known = footage.known()
    names = labels or tuple(dict.fromkeys(example.labels for some in known.values() for example in some))
    run = load_run(student_folder(student))
    wanted = {name: label_set(name) for name in names}
    voted = [label for labels in wanted.values() for label in labels.reportable]
    if len(set(voted)) < len(voted):
        raise InputError(f"{', '.join(names)}: they share a label, which can have one vote alone. Give one at a time.")
    reader = Analyzer(run, AnalyzerConfig(labels=tuple(run.record.labels)), cache)
    reads = tuple(dict.fromkeys(name for joined in config.reads for name in joined.split("+")))
    shown = {item.name: seen for item in videos.values() if (seen := _windows(reader, item, reads, say))}
    distilled: dict[str, Distilled] = {}
    for name, known_set in wanted.items():
        lesson = lesson_of(name, shown, answers, known, sources, agreement, say)
        distilled[name] = distil_votes(known_set.labels, known_set.quiet, lesson, config)
        said = distilled[name]
        loss = "none, with one source" if math.isnan(said.held_out_loss) else f"{said.held_out_loss:.4f}"
        say(f"{name}: votes read {said.reads}, penalty {said.penalty:g}, held-out loss {loss}")
    votes = {label: vote for each in distilled.values() for label, vote in each.votes.items()}
    run.model.votes = LabelVotes(votes, language_weight=0.0)
    contents = digest(*sorted(sha256(item.path) for item in videos.values()))
    record = run.record.replace(
        name=out.name,
        labels={name: known_set.labels for name, known_set in wanted.items()},
        votes=VotesConfig(votes={label: tuple(vote.votes) for label, vote in votes.items()}),
        recipe={"distillation": config.model_dump(mode="json"), "teachers": list(teachers), "student": student},
        data_digests={"footage": contents, **({"truth": file_digest(footage.truth)} if footage.truth else {})},
    )
    return save_run(out, run.model, record)


def _teacher(model: str, labels: Sequence[str] | None, cache: FeatureCache, agreement: Agreement) -> Analyzer:
    settings = AnalyzerConfig(labels=tuple(labels)) if labels else AnalyzerConfig()
    analyzer = load(model, settings, cache)
    if not isinstance(analyzer, Analyzer):
        raise InputError(f"--teacher {model}: scores no windows. Give a run folder, or a Video-LLM's folder or hub id.")
    if agreement == "asked" and analyzer.run.pretrained is None:
        raise InputError(f"--agreement asked: teacher {model} does not speak freely. Choose windows, or none.")
    return analyzer


def _taught_sources(analyzer: Analyzer, footage: Footage, say: Say) -> set[str]:
    """The sources of the train split that a teacher learnt from, known by the digest in its record."""
    learnt = set(analyzer.run.record.data_digests.values())
    mine = [path for path in footage.files if file_digest(path) in learnt]
    if learnt and not mine:
        say(f"{analyzer.identity.name}: what it was trained on is in none of the --taught files: nothing is held back")
    return {example.group for path in mine for example in records(path, Example) if example.split == "train"}


def _answers(
    analyzer: Analyzer, videos: Sequence[Input], state: Path, agreement: Agreement, say: Say
) -> Iterator[tuple[Input, TeacherAnswers]]:
    """What a teacher says of each video, from the state where it said so before."""
    sets = [labels.model_dump_json() for labels in analyzer.scorer.label_sets.values()]
    folder = state / digest(analyzer.results_digest, *sets)[:12]
    for number, item in enumerate(videos, 1):
        try:
            path = folder / f"{sha256(item.path)}.json"
            found = _read_kept(path)
            if found is None or (agreement == "asked" and not found.asked):
                analysis = found.analysis if found else analyzer.analyze(item.path)
                asked = _ask(analyzer, analyzer.extract_features(item.path)) if agreement == "asked" else {}
                found = TeacherAnswers(analysis=analysis, asked=asked)
                write_atomically(path, found.model_dump_json())
        except MediaError as error:
            say(f"left out: {error}")
            continue
        say(f"{analyzer.identity.name} {number}/{len(videos)}: {item.name}")
        yield item, found


def _read_kept(path: Path) -> TeacherAnswers | None:
    try:
        return TeacherAnswers.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


@torch.inference_mode()
def _ask(analyzer: Analyzer, extracted: Extracted) -> dict[str, tuple[str | None, ...]]:
    """The label that the teacher names for each window when it is asked; None for other words."""
    said: dict[str, list[str | None]] = {name: [] for name in analyzer.scorer.label_sets}
    see, shards = analyzer.see(extracted), analyzer.cache.shards(extracted)
    for some in batches(windows(shards, analyzer.window, extracted.info.duration_s), _ASKED_TOGETHER):
        inputs = see(some)
        before = inputs.contexts or [""] * len(some)
        for name, labels in analyzer.scorer.label_sets.items():
            asked = [text + analyzer.scorer.question(name) for text in before]
            made = analyzer.run.model.generate(inputs.scenes, inputs.visual, asked, LABEL_TOKENS)
            said[name] += [parse_label(text, labels) for text in made.texts]
    return {name: tuple(words) for name, words in said.items()}


@torch.inference_mode()
def _windows(reader: Analyzer, item: Input, reads: Sequence[str], say: Say) -> Windows | None:
    try:
        extracted = reader.extract_features(item.path)
    except MediaError as error:
        say(f"left out: {error}")
        return None
    see, spans, parts = reader.see(extracted), [], []
    for some in batches(
        windows(reader.cache.shards(extracted), reader.window, extracted.info.duration_s), _FEATURE_BATCH
    ):
        inputs = see(some)
        spans += [window.span for window in some]
        parts.append(summaries(inputs.scenes, inputs.visual, reads))
    return Windows(tuple(spans), {name: torch.cat([part[name] for part in parts]) for name in reads}) if spans else None
