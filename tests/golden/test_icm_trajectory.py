"""Twenty training steps of a tiny ICM: the loss takes the stored path, and a batch of 4 is 4 batches of 1."""

import pytest
import torch

from omnisila.labels import IMPLICIT
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.likelihood import answer_likelihood, label_language_loss, label_loss
from omnisila.models.sbm import router_balance_loss
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes.extractor import Entities
from omnisila.scenes.windows import WindowBatch

LABELS = ("Fighting", "Theft", "Normal")
TRUTH = torch.tensor([0, 1, 2, 2])
LOSSES = [
    6.9536, 6.7932, 6.6636, 6.5573, 6.4664, 6.3839, 6.3053, 6.2276, 6.1472, 6.0596,
    5.9646, 5.8704, 5.7837, 5.7070, 5.6298, 5.5595, 5.4981, 5.4278, 5.3635, 5.2874,
]  # fmt: skip


def tiny_icm() -> ICM:
    torch.manual_seed(0)
    compact = CompactConfig(visual_features=8, width=32, num_layers=2, num_heads=2, feedforward=48)
    expert = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)
    features = {"face": 5, "action": 7, "relation": 6, "background": 4}
    config = ICMConfig.model_validate({"features": features, "expert": expert, "iec": IECConfig(centres=6)})
    return config.build(compact.build(train_tokenizer([*IMPLICIT.labels, IMPLICIT.identify], 400)))


def random_windows(batch: int) -> WindowBatch:
    """Windows with absent faces, people and objects; each frame has its background, so each counts as one token."""
    random = torch.Generator().manual_seed(1)

    def entities(count: int, width: int, present: float) -> Entities:
        mask = torch.rand(batch, 4, count, generator=random) < present
        return Entities(torch.randn(batch, 4, count, width, generator=random) * mask.unsqueeze(-1), mask)

    scenes = {
        "face": entities(2, 5, 0.3),
        "action": entities(3, 7, 0.7),
        "relation": entities(2, 6, 0.5),
        "background": entities(1, 4, 1.1),
    }
    return WindowBatch(scenes, entities(1, 8, 1.1))


def only(windows: WindowBatch, row: int) -> WindowBatch:
    scenes = {name: Entities(one.values[[row]], one.mask[[row]]) for name, one in windows.scenes.items()}
    return WindowBatch(scenes, Entities(windows.visual.values[[row]], windows.visual.mask[[row]]))


def loss_of(icm: ICM, windows: WindowBatch, truth: torch.Tensor) -> torch.Tensor:
    likelihood = answer_likelihood(icm, windows.scenes, windows.visual, [IMPLICIT.identify] * len(truth), LABELS)
    return (
        label_language_loss(likelihood.log_probs, truth, likelihood.token_counts)
        + label_loss(likelihood.log_probs, truth)
        + router_balance_loss(likelihood.perception.probabilities, icm.feature_widths)
    )


def test_twenty_steps_take_the_stored_path() -> None:
    icm, windows = tiny_icm(), random_windows(4)
    icm.fit_standardisation(windows.scenes)
    icm.video_llm.fit_standardisation(windows.visual)  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(icm.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_of(icm, windows, TRUTH)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(LOSSES, rel=1e-3)


def test_one_batch_of_four_has_the_gradient_of_four_batches_of_one() -> None:
    windows, together, apart = random_windows(4), tiny_icm(), tiny_icm()
    loss_of(together, windows, TRUTH).backward()
    for row in range(4):
        (loss_of(apart, only(windows, row), TRUTH[[row]]) / 4).backward()
    for (name, first), second in zip(together.named_parameters(), apart.parameters(), strict=True):
        assert torch.allclose(first.grad, second.grad, atol=1e-5), name  # type: ignore[arg-type]
