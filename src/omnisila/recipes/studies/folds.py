"""Out-of-fold answers of a recipe: every clip is judged by a model that never saw its footage.

Each (recipe, seed, fold) is one small file, so that a killed measurement goes on where it stopped; the recipe is part
of the file's name, so that answers of different recipes never mix.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save
from torch import Tensor

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.errors import TrainingError
from omnisila.files import write_atomically
from omnisila.labels import label_set
from omnisila.models.likelihood import Asked, answers_likelihood
from omnisila.models.scene_model import SceneModel
from omnisila.pace import Pace, Say
from omnisila.pool import Pool
from omnisila.recipes.rows.compact import CompactTraining, Material, started_from, tune_task
from omnisila.recipes.rows.voting import voting_data
from omnisila.training.bank import FeatureBank, load_bank
from omnisila.training.descriptions import load_descriptions
from omnisila.training.voting import fit_votes

BATCH_WINDOWS = 64


class FoldJob(NamedTuple):
    """One model to train: a recipe (with its seed) and the fold that is held out."""

    recipe: CompactTraining
    fold: int


class Workbench(NamedTuple):
    """Files that every worker reads: they are mapped, so two workers share one copy in memory."""

    bank: Path
    descriptions: Path
    scene_tuned: Path | None
    clips: tuple[AnnotatedVideo, ...]
    fold_of: tuple[int, ...]
    answers: Path

    def material(self) -> Material:
        """What training reads.

        Raises:
            TrainingError: the files are not there.
        """
        bank, descriptions = load_bank(self.bank), load_descriptions(self.descriptions)
        if bank is None or descriptions is None:
            raise TrainingError(f"{self.bank}: no feature bank. Run omnisila train again from the start.")
        return Material(self.clips, bank, descriptions)

    def file(self, job: FoldJob) -> Path:
        recipe = job.recipe
        made = f"seed{recipe.seed}-{recipe.language_digest}"
        name = f"{recipe.name.replace(' ', '-')}-{made}-fold{job.fold}.safetensors"
        return self.answers / name

    def holds(self, recipe: CompactTraining, folds: int) -> bool:
        return all(self.file(FoldJob(recipe, fold)).exists() for fold in range(folds))


def run_jobs(bench: Workbench, jobs: Sequence[FoldJob], workers: int, say: Say = lambda _: None) -> None:
    """Train and answer what is missing, in processes of one thread each.

    Raises:
        OmnisilaError: a process was killed from outside; the answers of finished jobs are kept.
        TrainingError: training diverged.
    """
    missing = [job for job in jobs if not bench.file(job).exists()]
    before = len(jobs) - len(missing)
    pace = Pace(len(jobs))
    if before:
        say(f"held-out answers: resuming, {before} of {len(jobs)} models done")
    with Pool(_worker, (bench,), workers, name=_job_text) as pool:
        for done, (number, _) in enumerate(pool.results(missing), before + 1):
            say(f"{_job_text(missing[number])}: {pace.report(done)}")


def _job_text(job: FoldJob) -> str:
    return f"{job.recipe.name}, seed {job.recipe.seed}, fold {job.fold}"


def out_of_fold(
    bench: Workbench, recipe: CompactTraining, folds: int
) -> dict[str, Float[np.ndarray, "windows labels"]]:
    """What the language side says: log-likelihoods of each label set's labels for every unaugmented window.

    In the bank's order of windows.
    """
    parts = [load_file(bench.file(FoldJob(recipe, fold))) for fold in range(folds)]
    order = torch.cat([part["windows"] for part in parts]).argsort()
    return {name: torch.cat([part[name] for part in parts])[order].numpy() for name in recipe.labels}


def out_of_fold_with_votes(
    bench: Workbench, material: Material, recipe: CompactTraining, folds: int, locating: bool = False
) -> dict[str, Float[np.ndarray, "windows labels"]]:
    """``out_of_fold`` with votes weighed in that never saw the window's footage; they take a minute, and are kept.

    Args:
        locating: as ``LabelVotes.weigh``.
    """
    said = out_of_fold(bench, recipe, folds)
    if recipe.votes is None:
        return said
    made = f"seed{recipe.seed}-{recipe.digest()}-{'located' if locating else 'votes'}"
    file = bench.answers / f"{recipe.name.replace(' ', '-')}-{made}.safetensors"
    if file.exists():
        return {name: values.numpy() for name, values in load_file(file).items()}
    windows = judged_windows(material.bank)
    data = voting_data(recipe, material, windows, recipe.votes.build().reads)
    fold_of = np.array(bench.fold_of)[material.bank.clip[windows].numpy()]
    # each fold overwrites its own windows
    weighed = {name: torch.from_numpy(values).clone() for name, values in said.items()}
    for fold in range(folds):
        votes, unseen = recipe.votes.build(), np.flatnonzero(fold_of == fold)
        fit_votes(votes, data.at(np.flatnonzero(fold_of != fold)), recipe.voting)
        places, summary = torch.from_numpy(unseen), data.at(unseen).summaries
        for name, labels in recipe.labels.items():
            weighed[name][places] = votes.weigh(weighed[name][places], labels, summary, locating)
    write_atomically(file, save({name: values.contiguous() for name, values in weighed.items()}))
    return {name: values.numpy() for name, values in weighed.items()}


class Answers(NamedTuple):
    """Out-of-fold log-likelihoods with what is needed to judge them."""

    clips: Sequence[AnnotatedVideo]
    bank: FeatureBank
    windows: Sequence[int]
    fold_of: Sequence[int]
    log_probs: dict[str, Float[np.ndarray, "windows labels"]]
    located: dict[str, Float[np.ndarray, "windows labels"]]
    trained: dict[str, tuple[str, ...]]


def load_answers(
    bench: Workbench, material: Material, recipe: CompactTraining, folds: int, alone: bool = False
) -> Answers:
    """What a recipe answers out of fold.

    Args:
        alone: what its language side says, without votes.
    """
    windows = judged_windows(material.bank).tolist()
    if alone:
        said = located = out_of_fold(bench, recipe, folds)
    else:
        said, located = (out_of_fold_with_votes(bench, material, recipe, folds, locating) for locating in (False, True))
    return Answers(material.clips, material.bank, windows, bench.fold_of, said, located, recipe.labels)


def judged_windows(bank: FeatureBank) -> Int[Tensor, "windows"]:
    """The unaugmented windows: those that measurements count."""
    return torch.nonzero(bank.copy == 0)[:, 0]


@torch.inference_mode()
def label_log_probs(
    model: SceneModel, bank: FeatureBank, windows: Int[Tensor, "windows"], labels: Mapping[str, Sequence[str]]
) -> dict[str, Float[Tensor, "windows labels"]]:
    """How likely each label of each label set is as the language side's answer to each window."""
    asked = [
        Asked(
            render_instruction(Instruction("identify", label_set(name))),
            tuple(render_label(label) for label in answers),
        )
        for name, answers in labels.items()
    ]
    found: dict[str, list[Tensor]] = {name: [] for name in labels}
    for part in windows.split(BATCH_WINDOWS):
        batch = bank.batch(part)
        for name, item in zip(labels, answers_likelihood(model, batch.scenes, batch.visual, asked), strict=True):
            found[name].append(item.log_probs)
    return {name: torch.cat(parts).float() for name, parts in found.items()}


def _worker(bench: Workbench) -> Callable[[FoldJob], None]:
    material = bench.material()
    tuned = load_file(bench.scene_tuned) if bench.scene_tuned is not None else {}
    fold_of = torch.tensor(bench.fold_of)

    def answer(job: FoldJob) -> None:
        model = started_from(job.recipe, material, tuned)
        training = torch.nonzero(fold_of != job.fold)[:, 0].tolist()
        tune_task(job.recipe, material, model, training)
        windows = judged_windows(material.bank)
        held_out = windows[fold_of[material.bank.clip[windows]] == job.fold]
        answers = label_log_probs(model, material.bank, held_out, job.recipe.labels)
        write_atomically(bench.file(job), save({"windows": held_out, **answers}))

    return answer
