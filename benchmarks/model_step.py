"""How long one training step of the compact ICM takes on the CPU, by part, in float32 and bfloat16 autocast.

    python -m benchmarks.model_step --threads 2 --out benchmarks/results/model_step.json

Inputs are random with the widths of the embedded scene profile; no face in 70 % of the windows. The figure is the best
of several repeats, wall clock; CPU seconds stand beside it because other work on the machine lengthens only the former.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from benchmarks.keeping import keep_result
from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.models.compact import CompactConfig, CompactVideoLLM
from omnisila.models.experts import COMPACT_EXPERT
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.likelihood import answer_likelihood, label_loss
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes import action, background, face, relation
from omnisila.scenes.extractor import Entities

LABELS = ("Fighting", "Theft", "Traffic Accidents", "Fire", "Normal", *EXPLICIT.labels)


def entities(batch: int, count: int, width: int, present: float) -> Entities:
    """Random entities; a window has the scene with probability ``present``."""
    mask = (torch.rand(batch, 1, 1) < present).expand(batch, 8, count)
    return Entities(torch.randn(batch, 8, count, width) * mask.unsqueeze(-1), mask)


def build() -> tuple[ICM, CompactVideoLLM]:
    """The compact model, with a tokenizer of the label sets' own words."""
    texts = [text for sets in (IMPLICIT, EXPLICIT) for text in (*sets.labels, sets.identify + "\n")]
    modules = {"face": face, "action": action, "relation": relation, "background": background}
    features = {name: module.LAYOUT.feature_width for name, module in modules.items()}
    config = ICMConfig.model_validate({"features": features, "expert": COMPACT_EXPERT})
    video_llm = CompactConfig().build(train_tokenizer(texts))
    return config.build(video_llm), video_llm


def timed(step: Callable[[], object], repeats: int) -> dict[str, float]:
    """Best wall-clock and CPU milliseconds of one call."""
    step()
    seconds: list[tuple[float, float]] = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    return {"wall_ms": round(1e3 * min(wall for wall, _ in seconds)), "cpu_ms": round(1e3 * min(c for _, c in seconds))}


def measure(model: ICM, batch: int, repeats: int, half: bool) -> dict[str, dict[str, float]]:
    """Forward and backward of the scene side, of the whole step, and scoring without gradients."""
    counts = ((5, 0.3), (6, 1.0), (5, 0.7), (1, 1.0))
    sizes = zip(model.scenes, model.feature_widths, counts, strict=True)
    scenes = {name: entities(batch, count, width, share) for name, width, (count, share) in sizes}
    visual = entities(batch, 1, 2560, 1.0)
    instructions, truth = [IMPLICIT.identify] * batch, torch.randint(len(LABELS), (batch,))

    def scene_side() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            tokens = model.perceive(scenes).scene_tokens
        tokens.float().square().mean().backward()

    def whole() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            likelihood = answer_likelihood(model, scenes, visual, instructions, LABELS)
        label_loss(likelihood.log_probs, truth).backward()

    @torch.no_grad()
    def scoring() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer_likelihood(model, scenes, visual, instructions, LABELS)

    parts = {"scene_side": scene_side, "whole_step": whole, "scoring": scoring}
    return {name: timed(step, repeats) for name, step in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, video_llm = build()
    result = {
        "command": f"python -m benchmarks.model_step --threads {options.threads} --batch {options.batch}",
        "machine": {"processor": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "parameters": {
            "language_model": sum(p.numel() for p in video_llm.language_model.parameters()),
            "video_llm": sum(p.numel() for p in video_llm.parameters()),
            "all": sum(p.numel() for p in model.parameters()),
        },
        "float32": measure(model, options.batch, options.repeats, half=False),
        "bfloat16": measure(model, options.batch, options.repeats, half=True),
    }
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
