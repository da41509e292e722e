"""How much faster Hawkeye's graphs are batched than in plain loops over frames and people, and that both agree.

    python -m benchmarks.hawkeye_graphs --threads 1 --out benchmarks/results/hawkeye_graphs.json

Both run in one process on the same random inputs, in turns; the ratio of their best times is what counts, for it does
not depend on what else the machine does. The loops use the same weights: joints through lists of neighbours, triplets
through lists of nodes and edges, frame by frame. Times are of a batch without gradients.
"""

import argparse
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaModel

from benchmarks.keeping import keep_result
from omnisila.models.asg import LIMBS, GraphAttention
from omnisila.models.graph_inputs import JOINTS, JointReading, PatchGrid, TripletReading, Triplets
from omnisila.models.hawkeye import Hawkeye, HawkeyeConfig
from omnisila.models.org import MaskGTN, triplet_graph
from omnisila.scenes import action, relation
from omnisila.scenes.extractor import Entities

FRAMES, PEOPLE, TRIPLETS = 8, 5, 5
CLASSES, PREDICATES = 151, 51
MIN_OVERLAP = 0.5
NEIGHBOURS = [sorted({k} | {b for a, b in LIMBS if a == k} | {a for a, b in LIMBS if b == k}) for k in range(JOINTS)]


def attention_loop(module: GraphAttention, h: Tensor, visible: Tensor) -> Tensor:
    """Eq. (1) person by person and joint by joint."""
    found = torch.zeros_like(h)
    for place in torch.cartesian_prod(*(torch.arange(size) for size in h.shape[:-2])).tolist():
        nodes, seen = h[tuple(place)], visible[tuple(place)].tolist()
        projected = module.w(nodes)
        for k in range(JOINTS):
            near = [j for j in NEIGHBOURS[k] if seen[j]]
            gathered = torch.zeros_like(nodes[k])
            if near:
                scores = projected[near] @ projected[k] / math.sqrt(h.shape[-1])
                gathered = scores.softmax(0) @ nodes[near]
            found[(*place, k)] = F.relu(module.w_out(torch.cat([gathered, nodes[k]])))
    return found


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes."""
    width, height = (max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0.0) for i in (0, 1))
    shared = width * height
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union if union else 0.0


def relations_loop(module: MaskGTN, nodes: Tensor, triplets: Triplets) -> Tensor:
    """The graph of each frame from its triplets, and Eq. (4) over lists of neighbours."""
    found = torch.zeros_like(nodes)
    count = triplets.mask.shape[-1]
    for batch in range(len(nodes)):
        for frame in range(nodes.shape[1]):
            there = [k for k in range(count) if bool(triplets.mask[batch, frame, k])]
            ends = [*there, *(count + k for k in there)]
            classes = triplets.end_classes[batch, frame].argmax(-1).tolist()
            boxes = triplets.end_boxes[batch, frame].tolist()
            leader = {end: end for end in ends}
            for end in sorted(ends):
                for other in sorted(ends):
                    if classes[end] == classes[other] and overlap(boxes[end], boxes[other]) >= MIN_OVERLAP:
                        first, last = sorted((leader[end], leader[other]))
                        leader = {one: first if led == last else led for one, led in leader.items()}
            near = {node: {node} for node in {*leader.values(), *(2 * count + k for k in there)}}
            for k in there:
                for end in (leader[k], leader[count + k]):
                    near[end].add(2 * count + k)
                    near[2 * count + k].add(end)
            h = {node: nodes[batch, frame, node] for node in near}
            for layer in module.layers:
                mixed = {
                    i: sum((h[j] / math.sqrt(len(near[i]) * len(near[j])) for j in near[i]), torch.zeros_like(h[i]))
                    for i in near
                }
                h = {i: F.relu(layer(value)) for i, value in mixed.items()}
            for node, value in h.items():
                found[batch, frame, node] = module.ffn(value)
    return found


def timed(batched: Callable[[], Tensor], loop: Callable[[], Tensor], repeats: int) -> dict[str, float]:
    """Best milliseconds of both, in turns, their ratio, and the largest difference of their results."""
    best = {"batched_ms": math.inf, "loop_ms": math.inf}
    difference = float((batched() - loop()).abs().max())
    for _ in range(repeats):
        for name, call in (("batched_ms", batched), ("loop_ms", loop)):
            began = time.perf_counter()
            call()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - began))
    ratio = best["loop_ms"] / best["batched_ms"]
    rounded = {name: round(value, 3) for name, value in best.items()}
    return {**rounded, "loop_over_batched": round(ratio, 1), "largest_difference": float(f"{difference:.1e}")}


@torch.no_grad()
def measure(batch: int, width: int, repeats: int) -> dict[str, dict[str, float]]:
    """Both graphs at one width."""
    attention, gtn = GraphAttention(width), MaskGTN(width, 2, 2 * width)
    h = torch.randn(batch, FRAMES, PEOPLE, JOINTS, width)
    visible = torch.rand(batch, FRAMES, PEOPLE, JOINTS) < 0.8
    corners = torch.rand(batch, FRAMES, 2 * TRIPLETS, 2) * 0.5
    classes = torch.randint(4, (batch, FRAMES, 2 * TRIPLETS))  # few kinds, so that objects meet again
    triplets = Triplets(
        F.one_hot(classes, CLASSES).float(),
        torch.rand(batch, FRAMES, TRIPLETS, PREDICATES),
        torch.cat([corners, corners + 0.5], dim=-1),
        torch.rand(batch, FRAMES, TRIPLETS) < 0.8,
    )
    nodes = torch.randn(batch, FRAMES, 3 * TRIPLETS, width)
    return {
        "graph_attention": timed(lambda: attention(h, visible), lambda: attention_loop(attention, h, visible), repeats),
        "mask_gtn": timed(
            lambda: gtn(nodes, triplet_graph(triplets, MIN_OVERLAP)),
            lambda: relations_loop(gtn, nodes, triplets),
            repeats,
        ),
    }


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def hawkeye_7b() -> Hawkeye:
    """The paper's sizes behind CLIP L/14 and before a language model of width 4096."""
    config = HawkeyeConfig(
        visual_features=1024,
        grid=PatchGrid(rows=16, columns=16, class_tokens=1),
        joints=JointReading.of(action.LAYOUT),
        triplets=TripletReading.of(relation.LAYOUT),
    )
    return config.build(cast("Any", SimpleNamespace(width=4096)))


@torch.no_grad()
def cost_at_7b(text_tokens: int = 64) -> dict[str, float]:
    """Operations of one window in 10^9, and what Hawkeye adds to a Video-LLaVA of the same language model, in percent.

    Args:
        text_tokens: of instruction and answer.
    """
    with torch.device("meta"):
        language = LlamaModel(LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32))
        tower = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, patch_size=14
            )
        )
        frames = operations(lambda: tower(torch.zeros(FRAMES, 3, 224, 224)))

        def reading(tokens: int) -> int:
            return operations(lambda: language(inputs_embeds=torch.zeros(1, tokens + text_tokens, 4096)))

        plain = frames + reading(FRAMES * 257)
    whole = hawkeye_7b()
    widths = {"action": action.LAYOUT.feature_width, "relation": relation.LAYOUT.feature_width}
    scenes = {
        name: Entities(torch.zeros(1, FRAMES, 5, width), torch.ones(1, FRAMES, 5, dtype=torch.bool))
        for name, width in widths.items()
    }
    visual = Entities(torch.zeros(1, FRAMES, 257, 1024), torch.ones(1, FRAMES, 257, dtype=torch.bool))
    scene_side = operations(lambda: whole.perceive(scenes, visual))
    counts = {"as_published": FRAMES * (257 + whole.org.nodes), "pooled_by_frame": FRAMES}
    with torch.device("meta"):
        added = {name: (frames + scene_side + reading(count)) / plain - 1 for name, count in counts.items()}
    return {
        "tower_gflop": round(frames / 1e9),
        "scene_side_gflop": round(scene_side / 1e9),
        "video_llava_gflop": round(plain / 1e9),
        **{f"added_percent_{name}": round(100 * share, 1) for name, share in added.items()},
        "scene_side_million_parameters": round(parameters(whole) / 1e6),
    }


def parameters(module: nn.Module) -> int:
    """Numbers that training moves."""
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8, help="windows of 8 frames, 5 people and 5 triplets")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    result = {
        "command": f"python -m benchmarks.hawkeye_graphs --threads {options.threads} --batch {options.batch}",
        "machine": {"processor": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()},
        "versions": {"torch": torch.__version__},
        "width_96": measure(options.batch, 96, options.repeats),
        "width_1024": measure(options.batch, 1024, options.repeats),
        "beside_7b": cost_at_7b(),
    }
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
