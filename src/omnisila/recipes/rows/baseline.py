"""The seven Video-LLMs of the papers' tables, tuned on the questions alone, each at the rates of its authors.

What is trained are adapters on the language model; projectors and towers stay as they are published. Where the authors
publish no adapters (VideoChat, Video-ChatGPT) those of the papers are used. Sources: the training scripts in each
repository; Omni-SILA 4.2, Hawkeye 4.2.
"""

from typing import Any

from omnisila.models.lora import PRESETS, LoRAConfig
from omnisila.models.pretrained_llm import VIDEO_LLAVA_7B, VideoBackboneConfig
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.zero_shot import TunedConfig
from omnisila.recipes.rows.full import TUNED, FullTraining
from omnisila.recipes.rows.table import BASELINES
from omnisila.scenes.extractor import Layouts
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.training.answering import AnsweringConfig


class BaselineTraining(FullTraining):
    """Task tuning of a Video-LLM without scenes; extractors only cut its windows and stand beside its findings."""

    sem: FullSEMConfig | SEMConfig = SEMConfig()
    scene_tuning: AnsweringConfig | None = None

    def scene_side(self, layouts: Layouts, llm: TransformersVideoLLM) -> TunedConfig:  # no scenes
        return TunedConfig()


def _recipe(
    name: str, lora: LoRAConfig, epochs: int, batch_size: int, frames: int = 8, **rates: Any
) -> BaselineTraining:
    part_size = min(batch_size, 8)
    return BaselineTraining(
        name=BASELINES[name].title,
        backbone=VideoBackboneConfig(lora=lora),
        window=WindowConfig(window_s=1.0, rate_hz=8.0, frames=frames),
        task_tuning=AnsweringConfig(epochs=epochs, batch_size=batch_size, part_size=part_size),
        loop=TUNED.replace(optim=TUNED.optim.replace(**rates)),
    )


RECIPES = {
    "videochat": _recipe("videochat", PRESETS["paper"], 3, 32, learning_rate=2e-5, weight_decay=0.02, warmup_frac=0.2),
    "video-chatgpt": _recipe("video-chatgpt", PRESETS["paper"], 3, 32, learning_rate=2e-5),
    "valley": _recipe("valley", LoRAConfig(rank=16, alpha=32), 3, 32, learning_rate=5e-4, betas=(0.9, 0.95)),
    "pandagpt": _recipe(
        "pandagpt",
        LoRAConfig(rank=32, alpha=32, dropout=0.1, projections=("q_proj", "k_proj", "v_proj", "o_proj")),
        epochs=2,
        batch_size=64,
        learning_rate=5e-4,
        weight_decay=1e-3,
        warmup_frac=0.1,
        betas=(0.9, 0.95),
    ),
    "mplug-owl": _recipe(
        "mplug-owl",
        LoRAConfig(rank=8, alpha=32, projections=("q_proj", "v_proj")),
        epochs=3,
        batch_size=256,
        frames=4,
        learning_rate=2e-5,
        weight_decay=1e-4,
        warmup_frac=50 / 4236,
    ),
    "chat-univi": _recipe("chat-univi", PRESETS["code"], 2, 128, learning_rate=2e-5),
    "video-llava": _recipe("video-llava", LoRAConfig(rank=128, alpha=256), 1, 128, learning_rate=2e-4),
}


def baseline_recipe(name: str, checkpoint: str | None) -> BaselineTraining:
    """A baseline's recipe on a checkpoint of it: a folder or hub id; Video-LLaVA has one by default."""
    recipe = RECIPES[name]
    source = checkpoint or VIDEO_LLAVA_7B
    return recipe.replace(backbone=recipe.backbone.replace(source=source))
