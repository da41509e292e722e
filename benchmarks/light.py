"""What each way to make a large model lighter saves: operations of a 7B model counted, seconds of a small one measured.

    python -m benchmarks.light --out benchmarks/results/light.json

The small model has Video-LLaVA's form and random weights: ratios of its seconds say what is saved, its posteriors
nothing of quality. Best of several repeats, all in one process. The cascade's loss is read off the embedded compact
model's own table, which was fitted on folds by source.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig

from benchmarks.icm_7b_floors import Decoder, branched_pairs, tower_flops, window_tokens
from benchmarks.icm_7b_networks import LABELS, TINY, TRUE, video_llava
from benchmarks.keeping import keep_result
from omnisila import weights
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.models.kept_prompt import KeptPrompt
from omnisila.models.likelihood import Asked, answer_likelihood, answers_likelihood
from omnisila.models.run_files import run_calibration
from omnisila.models.tokens import batch_prompts
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.zero_shot import ZeroShot
from omnisila.scenes.extractor import Entities
from omnisila.spans import ANOMALY_CURVE

FRAMES = 8
RATIOS = (1.0, 0.5, 0.25, 0.125)
SMALL = TINY._replace(
    text={
        "vocab_size": 1088, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6,
        "num_attention_heads": 4, "max_position_embeddings": 2048,
    },
    vision={
        "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "image_size": 112, "patch_size": 14,
    },
)  # fmt: skip


def best_s(work: Callable[[], object], repeats: int) -> float:
    """Least seconds of several runs, after one that is not counted."""
    work()
    seconds: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def counted_7b(llm: TransformersVideoLLM) -> dict[str, Any]:
    """TFLOP of one window at Video-LLaVA-7B's shapes, and bytes of its projections.

    Args:
        llm: tells how many tokens words take; its visual tokens are replaced by the true number.
    """
    decoder = Decoder.of(LlamaConfig(**TRUE.text))
    vision: Any = CLIPVisionConfig(**TRUE.vision)
    visual = FRAMES * ((vision.image_size // vision.patch_size) ** 2 + 1)
    words = len(llm.prompt_ids("", 0, 0))
    branches = window_tokens(llm, FRAMES)[1]

    def scoring(visual: int) -> float:
        prompt, told = words + visual, sum(branches)
        return decoder.forward(prompt + told, branched_pairs(prompt, branches), told) / 1e12

    alone = sum(decoder.forward(words + visual + b, branched_pairs(words + visual, [b]), b) for b in branches) / 1e12
    return {
        "visual_tokens": visual,
        "answer_tokens": sum(branches),
        "tower_tflop": {"8 frames": FRAMES * tower_flops(vision, decoder.width) / 1e12,
                        "4 new of 8": FRAMES // 2 * tower_flops(vision, decoder.width) / 1e12},
        "language_tflop": {f"{ratio:g} of the video tokens": scoring(round(ratio * visual)) for ratio in RATIOS},
        "language_tflop_label_by_label": alone,
        "language_gigabytes": {f"{bits} bits": decoder.weights * bits / 8e9 for bits in (16, 8, 4)},
    }  # fmt: skip


@torch.inference_mode()
def measured(llm: TransformersVideoLLM, repeats: int) -> dict[str, Any]:
    """Seconds of a small model's window, and what merging changes in its posterior."""
    frames = drawn_frames(llm.backbone.size_px)
    visual, model = llm.backbone.encode(frames), ZeroShot(llm)
    asked = [
        Asked(render_instruction(Instruction("identify", labels)), tuple(map(render_label, labels.labels)))
        for labels in LABELS.values()
    ]
    merging: dict[str, dict[str, float]] = {}
    full = answers_likelihood(model, {}, visual, asked)[0].log_probs.log_softmax(-1)
    for ratio in RATIOS:
        llm.merge_tokens(ratio)
        said = answers_likelihood(model, {}, visual, asked)[0].log_probs.log_softmax(-1)
        seconds = best_s(lambda: answers_likelihood(model, {}, visual, asked), repeats)
        divergence = (full.exp() * (full - said)).sum(-1).mean()
        merging[f"{ratio:g}"] = {"seconds": seconds, "posterior_kl_nats": float(divergence)}
    llm.merge_tokens(1.0)

    def label_by_label() -> None:
        for question in asked:
            for answer in question.answers:
                answer_likelihood(model, {}, visual, [question.instruction], [answer])

    return {
        "merging": merging,
        "labels": {"one pass": merging["1"]["seconds"], "one by one": best_s(label_by_label, repeats)},
        "tower": {
            "8 frames": best_s(lambda: llm.backbone.encode(frames), repeats),
            "4 new of 8": best_s(lambda: llm.backbone.encode(frames[:, : FRAMES // 2]), repeats),
        },
        "questions": asking_s(llm, visual, repeats),
    }


def asking_s(llm: TransformersVideoLLM, visual: Entities, repeats: int) -> dict[str, float]:
    """Seconds of identify, locate and attribute about one stretch, with and without what the last question read."""
    texts = [
        render_instruction(Instruction(task, labels, labels.reportable[0] if task == "attribute" else None))
        for labels in LABELS.values()
        for task in ("identify", "locate", "attribute")
    ]
    prompts = [batch_prompts([llm.prompt_ids(text, FRAMES, 0)], llm.pad_id) for text in texts]

    def ask(is_kept: bool) -> None:
        kept = KeptPrompt(llm)
        for tokens in prompts:
            embeds = llm.embed(tokens.ids, visual)
            if is_kept:
                kept.generate(embeds, tokens, 4)
            else:
                llm.generate(embeds, tokens, 4)

    return {"kept": best_s(lambda: ask(True), repeats), "anew": best_s(lambda: ask(False), repeats)}


def drawn_frames(size_px: tuple[int, int]) -> torch.Tensor:
    """A still background of noise with a block that moves."""
    frames = torch.randint(0, 256, (1, 1, *size_px, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frames = frames.repeat(1, FRAMES, 1, 1, 1)
    for number in range(FRAMES):
        left = number * (size_px[1] - 28) // FRAMES
        frames[0, number, 14:42, left : left + 28] = 255
    return frames


def ruled_out() -> dict[str, list[dict[str, float]]]:
    """What the compact model as the first misses and rules out, at thresholds of its smoothed curve."""
    calibration = run_calibration(weights.FOLDER / "compact")
    assert calibration is not None
    found: dict[str, list[dict[str, float]]] = {}
    for name, fitted in calibration.label_sets.items():
        points = [point for point in fitted.operating_points if point.method == "empirical" and point.fnr_target <= 0.2]
        found[name] = [
            {
                "threshold": point.thresholds[ANOMALY_CURVE].on,
                "fnr_macro": point.fnr_macro or 0.0,
                "eventless_time_ruled_out": 1 - (point.false_alarm_frac or 0.0),
            }
            for point in points
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    llm = video_llava(SMALL, torch.device("cpu"), torch.float32)
    result = {
        "counted_at_7b": counted_7b(llm),
        "measured_small": measured(llm, arguments.repeats),
        "compact_as_first": ruled_out(),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
    }
    keep_result(result, arguments.out)


if __name__ == "__main__":
    main()
