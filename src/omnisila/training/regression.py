"""Regression of reaction intensities: MSE, AdamW, and the epoch that is best on clips held out of the training split.

The split that results are reported on is never looked at: ViPER's public code picks its epoch there, which flatters it.
Source: emotional-reaction paper 5.1.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field, ValidationError
from safetensors.torch import load_file, save
from torch import Tensor

from omnisila.config import Config, Frozen
from omnisila.digests import digest
from omnisila.errors import TrainingError
from omnisila.files import write_atomically
from omnisila.models.reaction import ReactionBatch, ReactionModel
from omnisila.training.loop import LoopConfig, StepReport, train
from omnisila.training.optim import OptimConfig

BEST, EPOCHS = "best.safetensors", "epochs.json"
FITTED = 512  # clips that standardisation is taken from


# Truth and predictions, one column an emotion.
Measure = Callable[[Float[Tensor, "clips emotions"], Float[Tensor, "clips emotions"]], float]


@runtime_checkable
class Clips(Protocol):
    """Clips by place, read when they are needed."""

    def batch(self, places: Int[Tensor, "places"]) -> ReactionBatch: ...


class Labelled(NamedTuple):
    """Training clips with their true intensities; ``groups`` names whom (or what) each is of."""

    clips: Clips
    truth: Float[Tensor, "clips emotions"]
    groups: tuple[str, ...]


class RegressionConfig(Config):
    """How a reaction model is trained.

    Attributes:
        patience: epochs without a better one on the held-out clips after which training ends; 0: never.
        held_out_frac: share of the training clips that only chooses the epoch.
    """

    epochs: int
    learning_rate: float
    batch: int = 32
    weight_decay: float = 0.01  # AdamW's usual; the paper names none
    patience: int = 5
    held_out_frac: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0

    def loop(self, clips: int) -> LoopConfig:
        """The training loop over so many clips: a state is kept at the end of each epoch."""
        per_epoch = self.steps_per_epoch(clips)
        optim = OptimConfig(
            learning_rate=self.learning_rate, weight_decay=self.weight_decay, warmup_frac=0.0, ema_decay=0.0,
            betas=(0.9, 0.999),
        )  # fmt: skip
        return LoopConfig(steps=self.epochs * per_epoch, seed=self.seed, save_every=per_epoch, optim=optim)

    def steps_per_epoch(self, clips: int) -> int:
        """Batches that show every clip once."""
        return -(-clips // self.batch)


PROBE_TRAINING = RegressionConfig(epochs=50, learning_rate=1e-4, batch=256)  # emotional-reaction paper 5.1
VIPER_TRAINING = RegressionConfig(epochs=20, learning_rate=1e-5, batch=16)  # emotional-reaction paper 5.1


class Epoch(Frozen):
    """One epoch's mean loss, and how good its answers to the held-out clips are."""

    number: int
    loss: float
    score: float


class EpochHistory(Frozen):
    """The content of ``epochs.json``; ``seen`` says which run it is of."""

    seen: str
    epochs: tuple[Epoch, ...] = ()

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest score, the first of equals."""
        return max(self.epochs, key=lambda epoch: (epoch.score, -epoch.number), default=None)

    def has_ended(self, config: RegressionConfig) -> bool:
        """Whether the last epochs brought nothing better."""
        best = self.best
        return bool(config.patience and best and self.epochs[-1].number - best.number >= config.patience)


class Fitted(NamedTuple):
    """How training went: the epochs up to its end, the one whose weights were kept, and how many clips chose it."""

    epochs: tuple[Epoch, ...]
    best: Epoch
    trained_clips: int
    held_out_clips: int


def held_out(groups: Sequence[str], frac: float, seed: int = 0) -> tuple[Int[Tensor, "rest"], Int[Tensor, "held"]]:
    """Places to train on, and about ``frac`` of them held out; a group is never on both sides.

    Whole groups are drawn in an order that depends on their names and the seed alone.

    Raises:
        TrainingError: fewer than two groups.
    """
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    if len(names) < 2:
        raise TrainingError(
            f"{len(groups)} training clips of {len(names)} group(s): none can be held out to choose the epoch. "
            "Give clips of at least two people."
        )
    sizes = Counter(groups)
    chosen, count = {names[0]}, sizes[names[0]]
    for name in names[1:-1]:
        if count >= frac * len(groups):
            break
        chosen.add(name)
        count += sizes[name]
    is_held = torch.tensor([name in chosen for name in groups])
    return torch.nonzero(~is_held)[:, 0], torch.nonzero(is_held)[:, 0]


def mean_squared_error(
    predicted: Float[Tensor, "batch emotions"], truth: Float[Tensor, "batch emotions"]
) -> Float[Tensor, ""]:
    """The mean over clips and emotions. Source: emotional-reaction paper 5.1."""
    return F.mse_loss(predicted, truth)


def predict_intensities(
    model: ReactionModel, clips: Clips, places: Int[Tensor, "places"], batch: int = 64
) -> Float[Tensor, "places emotions"]:
    return torch.cat([model.intensities(clips.batch(part)) for part in places.split(batch)])


def fit(
    model: ReactionModel,
    data: Labelled,
    config: RegressionConfig,
    score: Measure,
    state_folder: Path,
    material: str,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fitted:
    """Train a model in place; it ends with the weights of its best epoch, in evaluation mode.

    A killed run goes on from its last whole epoch, to the same numbers.

    Args:
        model: untrained, where it is to be trained.
        data: the training split alone.
        score: of predictions beside the truth; the higher the better.
        state_folder: where weights and epochs are kept.
        material: what else decides the result, in any words: the model's configuration, and what the features are.

    Raises:
        TrainingError: the loss diverges, nothing can be held out, or the folder holds another run's state.
    """
    rest, held = held_out(data.groups, config.held_out_frac, config.seed)
    spread = torch.linspace(0, len(rest) - 1, min(len(rest), FITTED)).long()
    model.fit_standardisation(data.clips.batch(rest[spread]))
    text = f"{config.model_dump_json()} {type(model).__name__} {model.widths} {data.groups} {material}"
    seen = digest(text.encode() + data.truth.numpy().tobytes())
    epochs = _Epochs(model, data, config, score, rest, held, state_folder, seen, on_step, on_epoch)
    if not epochs.history.has_ended(config):
        with suppress(_EndedError):
            train(model, epochs.losses, config.loop(len(rest)), state_folder, epochs.finish_step, material=seen)
    best = epochs.restore_best()
    model.eval()
    return Fitted(epochs.history.epochs, best, len(rest), len(held))


class _EndedError(Exception):
    """Leaves the training loop when patience is at an end."""


class _Epochs:
    """Batches of each epoch, and what is done at its end."""

    def __init__(
        self,
        model: ReactionModel,
        data: Labelled,
        config: RegressionConfig,
        score: Measure,
        rest: Int[Tensor, "rest"],
        held: Int[Tensor, "held"],
        folder: Path,
        seen: str,
        on_step: Callable[[StepReport], None] | None,
        on_epoch: Callable[[Epoch], None] | None,
    ) -> None:
        self.model, self.data, self.config, self.score = model, data, config, score
        self.rest, self.held, self.folder = rest, held, folder
        self.on_step, self.on_epoch = on_step, on_epoch
        self.per_epoch = config.steps_per_epoch(len(rest))
        self.device = next(model.parameters()).device
        self.history = self._history_of(seen)
        self._losses: list[float] = []

    def losses(self, step: int, _random: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        """The loss of one step's batch: each epoch shows every clip once, in an order of its own."""
        epoch, place = divmod(step, self.per_epoch)
        order = torch.randperm(len(self.rest), generator=torch.Generator().manual_seed(self.config.seed + 7919 * epoch))
        chosen = self.rest[order[place * self.config.batch : (place + 1) * self.config.batch]]
        batch = self.data.clips.batch(chosen).to(self.device)
        yield mean_squared_error(self.model(batch), self.data.truth[chosen].to(self.device))

    def finish_step(self, report: StepReport) -> None:
        """Measure at the end of an epoch, keep the weights of the best, stop where nothing gets better."""
        if self.on_step is not None:
            self.on_step(report)
        self._losses.append(report.loss)
        if (report.step + 1) % self.per_epoch:
            return
        number = report.step // self.per_epoch
        guesses = predict_intensities(self.model, self.data.clips, self.held)
        score = self.score(self.data.truth[self.held], guesses)
        epoch = Epoch(number=number, loss=sum(self._losses) / len(self._losses), score=score)
        self._losses.clear()
        # an epoch that a killed run had measured already takes its own place again
        kept = tuple(epoch for epoch in self.history.epochs if epoch.number < number)
        self.history = self.history.replace(epochs=(*kept, epoch))
        if self.history.best == epoch:
            write_atomically(self.folder / BEST, save({k: v.contiguous() for k, v in self.model.state_dict().items()}))
        write_atomically(self.folder / EPOCHS, self.history.model_dump_json(indent=1))
        if self.on_epoch is not None:
            self.on_epoch(epoch)
        if self.history.has_ended(self.config):
            raise _EndedError

    def restore_best(self) -> Epoch:
        best = self.history.best
        if best is None:
            raise TrainingError(f"{self.folder}: no epoch was finished. Give epochs of at least 1 (epochs is 0).")
        self.model.load_state_dict(load_file(self.folder / BEST, device=str(self.device)))
        return best

    def _history_of(self, seen: str) -> EpochHistory:
        path = self.folder / EPOCHS
        try:
            history = EpochHistory.model_validate_json(path.read_bytes()) if path.exists() else EpochHistory(seen=seen)
        except ValidationError as error:
            raise TrainingError(f"{path}: no history of epochs. Delete {self.folder} to start anew.") from error
        if history.seen != seen:
            raise TrainingError(f"{path}: is of other settings or data. Give another run folder, or delete this one.")
        return history
