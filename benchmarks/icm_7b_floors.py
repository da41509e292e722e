"""How much arithmetic the full model's stages take, from the shapes: what no implementation gets below."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.icm_7b_networks import LABELS, language_side
from benchmarks.icm_7b_stages import TURNS
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.attributing import MAX_CAUSE_TOKENS
from omnisila.media.video import VideoReader
from omnisila.models.checkpoint import Run
from omnisila.models.lora import adapter_parameters
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.chunked import SceneEnrichedModeling
from omnisila.scenes.full.action import FullActionExtractor
from omnisila.scenes.full.background import FullBackgroundExtractor
from omnisila.scenes.full.face import FullFaceExtractor
from omnisila.scenes.full.relation import RelTRScene


class Decoder(NamedTuple):
    """A language model's sizes."""

    width: int
    dense: int
    layers: int
    key_value_width: int
    vocabulary: int

    @classmethod
    def of(cls, text: Any) -> "Decoder":
        """Of a transformers text configuration."""
        kept_frac = (text.num_key_value_heads or text.num_attention_heads) / text.num_attention_heads
        return cls(
            text.hidden_size,
            text.intermediate_size,
            text.num_hidden_layers,
            round(text.hidden_size * kept_frac),
            text.vocab_size,
        )

    @property
    def weights(self) -> int:
        """Of all projections: what each token is multiplied with. 6.48e9 for Vicuna 7B."""
        attention = 2 * self.width**2 + 2 * self.width * self.key_value_width
        return self.layers * (attention + 3 * self.width * self.dense)

    def looking(self, pairs: int) -> int:
        """FLOPs of attention where so many (token, token it sees) pairs meet."""
        return 4 * self.width * self.layers * pairs

    def forward(self, tokens: int, pairs: int, predictions: int) -> int:
        """FLOPs of a pass: two a weight and token, attention, and logits where they are asked for."""
        return 2 * self.weights * tokens + self.looking(pairs) + 2 * self.width * self.vocabulary * predictions

    def training(self, tokens: int, predictions: int, adapters: int) -> int:
        """FLOPs of one clip's forward and backward with frozen weights: gradients of activations, none of weights.

        Recomputation by gradient checkpointing is not in it. Attention's backward is twice its forward.
        """
        pairs = causal_pairs(tokens)
        frozen = 4 * self.weights * tokens + 4 * self.width * self.vocabulary * predictions
        return frozen + 3 * self.looking(pairs) + 6 * adapters * tokens


def causal_pairs(tokens: int) -> int:
    """How many (token, token it sees) pairs a plain sequence has."""
    return tokens * (tokens + 1) // 2


def branched_pairs(prompt: int, branches: list[int]) -> int:
    """The same for a prompt with branches that see it and themselves."""
    return causal_pairs(prompt) + sum(causal_pairs(branch) + branch * prompt for branch in branches)


def tower_flops(vision: Any, width: int) -> int:
    """FLOPs of one frame: CLIP without its last layer, and the two-layer projector to the language model's width."""
    patches = (vision.image_size // vision.patch_size) ** 2
    tokens, features, layers = patches + 1, vision.hidden_size, vision.num_hidden_layers - 1
    embedding = 2 * patches * 3 * vision.patch_size**2 * features
    layer = 2 * tokens * (4 * features**2 + 2 * features * vision.intermediate_size) + 4 * tokens**2 * features
    return embedding + layers * layer + 2 * tokens * (features * width + width**2)


def scene_flops(sem: SceneEnrichedModeling, frame: torch.Tensor) -> dict[str, float]:
    """FLOPs of each scene's networks for one frame of that size, counted as they run.

    Faces cost only their first look at the pyramid where the frame shows none.
    """
    images = frame.unsqueeze(0)

    def counted(look: Any) -> float:
        with FlopCounterMode(display=False) as counter:
            look()
        return float(counter.get_total_flops())

    relation, scenes = sem.objects, sem.extractors
    assert isinstance(relation, RelTRScene)
    action, face, background = scenes["action"], scenes["face"], scenes["background"]
    assert isinstance(action, FullActionExtractor)
    assert isinstance(face, FullFaceExtractor)
    assert isinstance(background, FullBackgroundExtractor)
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.6]]).repeat(relation.config.objects.max_objects, 1)
    return {
        "relation": counted(lambda: relation.net.relations(images)),
        "action": counted(lambda: action.detect(images)),
        "face": counted(lambda: face(images)),
        "background": counted(lambda: background(images, [boxes])),
    }


def looks(sem: SceneEnrichedModeling, seconds: float) -> dict[str, float]:
    """How often each scene's networks look in so many seconds of video."""
    return {name: sem.rate_hz(name) * seconds for name in ("action", "relation", "face", "background")}


def window_tokens(llm: TransformersVideoLLM, frames: int) -> tuple[int, list[int]]:
    """Tokens of a window's prompt up to the question, and of each answer with its question, as they are scored."""
    shared = len(llm.prompt_ids("", frames))
    branches: list[int] = []
    for labels in LABELS.values():
        question = len(llm.prompt_ids(render_instruction(Instruction("identify", labels)), frames)) - shared
        branches += [question + len(llm.answer_ids(render_label(label))) - 1 for label in labels.labels]
    return shared, branches


def arithmetic(run: Run, analyzer: Analyzer, video: Path, seconds: float, training: dict[str, float]) -> dict[str, Any]:
    """TFLOP of each stage for the video, of a clip in training, and bytes read for a written token."""
    llm = language_side(run)
    decoder, frames = Decoder.of(llm.model.config.get_text_config()), analyzer.window.frames
    count = seconds / analyzer.window.window_s
    prompt, branches = window_tokens(llm, frames)
    tokens = prompt + sum(branches)
    scoring = decoder.forward(tokens, branched_pairs(prompt, branches), sum(branches))
    tower = tower_flops(llm.model.config.vision_config, llm.width)
    frame = next(iter(VideoReader(video).at_rate(1.0, long_side_px=run.record.sem.long_side_px))).image
    per_look, often = scene_flops(analyzer.sem.loaded, frame), looks(analyzer.sem.loaded, seconds)  # type: ignore[arg-type]
    adapters = sum(parameter.numel() for parameter in adapter_parameters(llm.model))
    clip_tokens = round(training["tokens_per_clip"])
    clip = decoder.training(clip_tokens, round(training["answer_tokens_per_clip"]), adapters) + frames * tower
    again = decoder.forward(clip_tokens, causal_pairs(clip_tokens), 0)
    return {
        "tokens_per_window": tokens,
        "tflop": {
            **{f"features/{name}": per_look[name] * often[name] / 1e12 for name in per_look},
            "locate/pictures": count * frames * tower / 1e12,
            "locate/language model": count * scoring / 1e12,
            "chat/first reading": decoder.forward(prompt, causal_pairs(prompt), 1) / 1e12,
        },
        "tflop_per_training_clip": clip / 1e12,
        "tflop_recomputed_per_training_clip": again / 1e12,
        "gigabytes_per_written_token": decoder.weights * torch.finfo(llm.model.dtype).bits / 8e9,
    }  # fmt: skip


def floors(flops: dict[str, Any], findings: int, peak_tflops: float, bandwidth_tbs: float) -> dict[str, float]:
    """Seconds below which no implementation gets, at the peak."""
    parts = {name: tflop / peak_tflops for name, tflop in flops["tflop"].items()}
    written_s = flops["gigabytes_per_written_token"] / 1e3 / bandwidth_tbs
    read_s = parts["chat/first reading"]
    parts["attribute"] = findings * (read_s + MAX_CAUSE_TOKENS * written_s)
    parts["chat/writing"] = sum(TURNS.values()) * written_s
    parts["file to findings"] = sum(value for name, value in parts.items() if not name.startswith("chat"))
    parts["chat"] = read_s + parts["chat/writing"]
    return parts
