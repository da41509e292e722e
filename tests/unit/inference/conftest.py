"""Reaction runs with untrained models."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from omnisila.models.reaction_run import ReactionModelConfig, ReactionRecord, ReactionRun


@pytest.fixture
def reaction_run() -> Callable[..., ReactionRun]:
    """``reaction_run(config, widths, features=...)``: a run named tiny; by default a modality is its own stream."""

    def make(config: ReactionModelConfig, widths: Mapping[str, int], **more: Any) -> ReactionRun:
        torch.manual_seed(0)
        given = {"streams": {name: name for name in widths}, "train_mean": (0.5,) * 7, **more}
        record = ReactionRecord(name="tiny", model=config, widths=dict(widths), **given)
        return ReactionRun(config.build(widths).eval(), record)

    return make
