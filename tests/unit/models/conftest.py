"""A tiny ICM with real parts, and windows with absences for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes.extractor import Entities, SceneInputs

FEATURES = {"face": 5, "action": 6, "relation": 7, "background": 8}
ENTITIES = {"face": 3, "action": 3, "relation": 2, "background": 1}
VISUAL = 10


class Windows(NamedTuple):
    scenes: SceneInputs
    visual: Entities


class Tiny(NamedTuple):
    icm: ICMConfig
    compact: CompactConfig
    model: ICM


def tiny(**changes: object) -> Tiny:
    """A model of a few thousand parameters; ``changes`` are those of an ablation's ``ICMConfig``."""
    torch.manual_seed(0)
    texts = [text for sets in (IMPLICIT, EXPLICIT) for text in (*sets.labels, sets.identify)]
    compact = CompactConfig(visual_features=VISUAL, width=24, num_layers=2, num_heads=2, feedforward=32)
    expert = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)
    icm = ICMConfig.model_validate(
        {"features": FEATURES, "expert": expert, "iec": IECConfig(centres=4)} | changes,
    )
    model = icm.build(compact.build(train_tokenizer(texts, 300))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # fresh weights say nothing distinct
    return Tiny(icm, compact, model)


def windows(batch: int = 3, frames: int = 8, seed: int = 1) -> Windows:
    """Random windows; each entity of each frame is present in three of five cases."""
    random = torch.Generator().manual_seed(seed)

    def entities(count: int, width: int) -> Entities:
        mask = torch.rand(batch, frames, count, generator=random) < 0.6
        return Entities(torch.randn(batch, frames, count, width, generator=random) * mask.unsqueeze(-1), mask)

    scenes = {name: entities(ENTITIES[name], width) for name, width in FEATURES.items()}
    return Windows(scenes, entities(1, VISUAL))


@pytest.fixture
def make_tiny() -> Callable[..., Any]:
    """``make_tiny(sbm=None)`` builds a tiny ICM, here without its router."""
    return tiny


@pytest.fixture
def make_windows() -> Callable[..., Any]:
    """``make_windows(batch=3)`` gives random windows with absences."""
    return windows
