"""A killed run, resumed, ends with the very weights of a run that was left alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from omnisila.errors import TrainingError
from omnisila.training.loop import STATE_FILE, LoopConfig, StepReport, train
from omnisila.training.optim import OptimConfig

CONFIG = LoopConfig(steps=20, save_every=4, optim=OptimConfig(learning_rate=0.01, ema_decay=0.9))


class KilledError(Exception):
    """Stands for the end of the process."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def loss_of(module: nn.Module) -> Callable[[int, torch.Generator], Iterator[Tensor]]:
    def step_loss(_: int, random: torch.Generator) -> Iterator[Tensor]:
        for _part in range(2):
            x = torch.randn(8, 3, generator=random)
            yield (module(x)[:, 0] - x.sum(1)).square().mean() / 2

    return step_loss


def kill_at(step: int) -> Callable[[StepReport], None]:
    def on_step(report: StepReport) -> None:
        if report.step == step:
            raise KilledError

    return on_step


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("killed_at", [0, 3, 4, 10, 19])
def test_resumed_is_straight(tmp_path: Path, killed_at: int):
    straight = network()
    losses: list[float] = []
    train(straight, loss_of(straight), CONFIG, on_step=lambda report: losses.append(report.loss))
    killed = network()
    with pytest.raises(KilledError):
        train(killed, loss_of(killed), CONFIG, tmp_path, kill_at(killed_at))
    resumed = network()
    again: dict[int, float] = {}
    train(resumed, loss_of(resumed), CONFIG, tmp_path, lambda report: again.update({report.step: report.loss}))
    assert torch.equal(weights(resumed), weights(straight))
    assert list(again.values()) == losses[killed_at // 4 * 4 :]
    assert losses[-1] < losses[0]


def test_the_caller_s_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    module = network()
    torch.manual_seed(5)
    train(module, loss_of(module), CONFIG)
    assert torch.equal(torch.rand(3), expected)


def test_a_state_of_another_run_is_refused(tmp_path: Path):
    module = network()
    train(module, loss_of(module), CONFIG, tmp_path)
    with pytest.raises(TrainingError, match="other settings, data or another model"):
        train(network(), loss_of(module), CONFIG.replace(seed=1), tmp_path)
    with pytest.raises(TrainingError, match="belongs to a run"):
        train(network(), loss_of(module), CONFIG, tmp_path, material="corrected labels")
    (tmp_path / STATE_FILE).write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="cannot be resumed from"):
        train(network(), loss_of(module), CONFIG, tmp_path)


def test_a_loss_that_is_no_number_says_what_to_change():
    module = network()

    def broken(step: int, random: torch.Generator) -> Iterator[Tensor]:
        return (loss * (float("nan") if step == 2 else 1.0) for loss in loss_of(module)(step, random))

    with pytest.raises(TrainingError, match=r"step 3 of 20: the loss is nan.*Lower learning_rate \(now 0\.01\)"):
        train(module, broken, CONFIG)
    assert weights(module).isfinite().all()
