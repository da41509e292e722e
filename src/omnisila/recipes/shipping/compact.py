"""``omnisila train compact`` and ``compact-hawkeye``: from data sets to a run folder, in steps that each resume."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.augment import AugmentConfig
from omnisila.data.clips.duplicates import with_near_duplicates
from omnisila.data.clips.features import FeatureStore, extract_all
from omnisila.data.clips.folds import folds as fold_numbers
from omnisila.data.sets import absent_sets, count_untaught, read_footage, untrained_sets, with_implied_labels
from omnisila.digests import digest
from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.models.checkpoint import save_run
from omnisila.pace import Pace, Say
from omnisila.recipes.rows.compact import (
    CompactTraining,
    Material,
    restrict_to_taught,
    started_from,
    tune_scenes,
    tune_task,
)
from omnisila.recipes.rows.voting import fitted_votes
from omnisila.recipes.studies.calibration import calibrate
from omnisila.recipes.studies.card import write_card
from omnisila.recipes.studies.folds import FoldJob, Workbench, load_answers, run_jobs
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.training.bank import bank_of, load_bank, save_bank
from omnisila.training.descriptions import describe_windows, load_descriptions, save_descriptions
from omnisila.training.loop import StepReport

FOLDS = 5


class Prepared(NamedTuple):
    """Features and folds, ready for training."""

    bench: Workbench
    material: Material
    data_digests: dict[str, str]


def train_compact(
    recipe: CompactTraining,
    ablated: Sequence[CompactTraining],
    root: Path,
    out: Path,
    features: Path,
    *,
    copies: int,
    with_folds: bool,
    workers: int,
    say: Say = lambda _: None,
    partial: bool = False,
) -> None:
    """Extract, scene tuning, out-of-fold answers, calibration, final model; each step resumes.

    Args:
        copies: pixel-augmented copies beside the footage itself.
        with_folds: also measure the ablations; without it the card holds what is measured already.
        partial: train on the data sets that are there, without the labels that the others teach.

    Raises:
        DataSetError: data sets are missing, or one is not as its reader expects.
        TrainingError: training diverged, or a state is of another recipe.
    """
    if partial:
        recipe, *ablated = _possible((recipe, *ablated), root, say)
    made = prepare_features(root, out, features, copies, workers, recipe, say)
    bench, material = made.bench, made.material
    jobs = [FoldJob(recipe, fold) for fold in range(FOLDS)]
    if with_folds:
        jobs += [FoldJob(ablation, fold) for ablation in ablated for fold in range(FOLDS)]
    say(f"held-out answers of {len(jobs)} models")
    run_jobs(bench, jobs, workers, say)
    split = f"{FOLDS} folds by source of the training sets, clips joined to long videos, and calm footage as it is"
    calibration = calibrate(load_answers(bench, material, recipe, FOLDS), FOLDS, split, recipe.votes)
    say("final model on all clips")
    tuned = load_file(bench.scene_tuned) if bench.scene_tuned is not None else {}
    model = started_from(recipe, material, tuned)
    tune_task(recipe, material, model, range(len(material.clips)), out / "state" / "task", _steps("task", say))
    model.votes = fitted_votes(recipe, material, torch.arange(len(material.bank)))
    record = save_run(out, model, recipe.record(made.data_digests), calibration)
    card = write_card(out, bench, material, recipe, ablated, FOLDS, calibration)
    say(f"{out}: model {record.identity.digest[:12]} is ready, its card is {card}; analyse with --model {out}")


def _possible(recipes: Sequence[CompactTraining], root: Path, say: Say) -> list[CompactTraining]:
    """The recipes as far as the data sets that are there teach them."""
    wanted = recipes[0].sets
    absent = absent_sets(root, wanted)
    clips = with_implied_labels(
        read_footage(root, [name for name in wanted if name not in absent]).videos, recipes[0].labels
    )
    if not clips:
        raise DataSetError(f"{root}: none of the data sets {', '.join(wanted)}. Give the folder that they are in.")
    taught = [restrict_to_taught(recipe, clips) for recipe in recipes]
    lost = {label for labels in recipes[0].labels.values() for label in labels}
    lost -= {label for labels in taught[0].labels.values() for label in labels}
    if absent:
        say(f"not there: {', '.join(absent)}; so not taught: {', '.join(sorted(lost)) or 'nothing'}")
    return taught


def prepare_features(
    root: Path, out: Path, features: Path, copies: int, workers: int, recipe: CompactTraining, say: Say
) -> Prepared:
    store = FeatureStore(root, features, SEMConfig(), AugmentConfig())
    reading = read_footage(root, recipe.sets)
    clips = with_near_duplicates(reading.videos, root)
    numbers = tuple(range(copies + 1))
    say(f"{len(clips)} clips; left out: {'; '.join(row.reason for row in reading.malformed) or 'none'}")
    for name, reason in untrained_sets(root, recipe.sets).items():
        say(f"{name}: not trained: {reason}")
    failed = extract_all(store, clips, numbers, workers, say)
    for job, reason in failed.items():
        say(f"left out {job.clip.path}: {reason}")
    lost = {job.clip.path for job in failed}
    kept = tuple(clip for clip in clips if clip.path not in lost)
    key = digest("".join(f"{clip.path}\n" for clip in kept))[:12]
    work = out / "state" / f"{store.sem.digest[:12]}-{key}-{copies}"
    judged = with_implied_labels(kept, recipe.labels)
    for shown, count in count_untaught(judged, recipe.labels).items():
        say(f"{shown}: {count} clips are not asked about, as the model is not taught this label")
    material = _material(store, judged, numbers, work)
    bench = Workbench(
        bank=work / "bank.safetensors",
        descriptions=work / "descriptions.jsonl",
        scene_tuned=_tune_scenes(recipe, material, work, say),
        clips=judged,
        fold_of=fold_numbers(kept, FOLDS),
        answers=out / "state" / "folds",
    )
    return Prepared(bench, material, _data_digests(kept, root))


def _material(store: FeatureStore, clips: tuple[AnnotatedVideo, ...], copies: tuple[int, ...], work: Path) -> Material:
    bank = load_bank(work / "bank.safetensors")
    if bank is None:
        bank = bank_of(store, clips, copies, WindowConfig())
        save_bank(work / "bank.safetensors", bank)
    descriptions = load_descriptions(work / "descriptions.jsonl")
    if descriptions is None:
        descriptions = describe_windows(store, clips, bank)
        save_descriptions(work / "descriptions.jsonl", descriptions)
    return Material(clips, bank, descriptions)


def _tune_scenes(recipe: CompactTraining, material: Material, work: Path, say: Say) -> Path | None:
    """The scene-tuned weights' file: the stage has seen no label, so all folds share it."""
    if recipe.scene_tuning is None:
        return None
    prefix = recipe.digest("task_tuning", "votes", "voting")
    path = work / f"scene-tuned-{prefix}.safetensors"
    if not path.exists():
        say("scene tuning")
        model = tune_scenes(recipe, material, work / f"scene-{prefix}", _steps("scene", say))
        # safetensors takes no tensors that share memory, as tied weights do
        write_atomically(path, save({name: value.clone() for name, value in model.state_dict().items()}))
    return path


def _data_digests(clips: tuple[AnnotatedVideo, ...], root: Path) -> dict[str, str]:
    """One SHA-256 a data set, over its clips' paths and contents."""
    digests = {name: hashlib.sha256() for name in sorted({clip.set_name for clip in clips})}
    for clip in sorted(clips, key=lambda clip: clip.path):
        digests[clip.set_name].update(clip.path.encode() + hashlib.sha256(clip.file(root).read_bytes()).digest())
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _steps(stage: str, say: Say) -> Callable[[StepReport], None]:
    pace, last = Pace(0), float("inf")

    def on_step(report: StepReport) -> None:
        nonlocal pace, last
        if report.step <= last:  # a stage may train several parts, one after the other
            pace = Pace(report.steps)
            if report.step:
                say(f"{stage} tuning: resuming, {report.step} of {report.steps} steps done")
        last = report.step
        told = pace.report(report.step + 1)
        if pace.due(report.step + 1):
            say(f"{stage} tuning: step {told}, loss {report.loss:.3f}")

    return on_step
