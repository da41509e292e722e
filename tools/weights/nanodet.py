"""NanoDet: convolutions renamed by their number in the graph."""

from pathlib import Path

import torch

from omnisila.scenes.nets.nanodet import NanoDet
from tools.weights.packages import HUMAN_MODELS
from tools.weights.store import Source, drawn_picture, halved, save, save_reference
from tools.weights.tfjs import Graph

GRAPH, WEIGHTS = "package/models/nanodet.json", "package/models/nanodet.bin"
LICENCE = "Apache-2.0 (NanoDet by RangiLyu), MIT (package)"


def module_names() -> list[str]:
    """Our convolutions in the order in which the graph numbers its own."""
    names = ["stem.0"]
    for stage, repeats in enumerate((1, 2, 2, 3)):
        names.append(f"stages.{stage}.entry.0")
        names += [f"stages.{stage}.pairs.{pair}.{which}.0" for pair in range(repeats) for which in (0, 1)]
        names.append(f"stages.{stage}.exit.0")
    names += [f"lateral.{level}" for level in range(3)]
    return names + [f"heads.{level}.{part}" for level in range(3) for part in ("0.0", "1")]


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original graph, over probabilities and distance logits."""
    graph = Graph(HUMAN_MODELS.unpacked(cache) / GRAPH)
    kernels = {}
    for name, node in graph.nodes.items():
        if node["op"] == "Conv2D":
            number = int(name.rsplit("convolution", 1)[1].removeprefix("_") or 0)
            following = next(n for n in graph.nodes.values() if n["op"] == "Add" and name in n["input"])
            bias = next(source for source in following["input"] if source in graph.weights)
            kernels[number] = (graph.weights[node["input"][1]].permute(3, 2, 0, 1), graph.weights[bias].flatten())
    state = {}
    for number, name in enumerate(module_names()):
        state[f"{name}.weight"], state[f"{name}.bias"] = kernels[number]
    net = NanoDet().eval()
    net.load_state_dict(halved(state))
    x = (drawn_picture(416, 416) - 110) / 58
    raw = net(x)
    theirs = {tuple(output.shape[1:]): output for output in graph.run(x).values()}
    probabilities = torch.cat([theirs[cells, 80] for cells in (2704, 676, 169)], dim=1)
    distances = torch.cat([theirs[cells, 44] for cells in (2704, 676, 169)], dim=1)
    save_reference("nanodet", {"best": probabilities.amax(2), "distances": distances.mean(2)})
    difference = max(
        (raw.probabilities - probabilities).abs().max().item(), (raw.distances - distances).abs().max().item()
    )
    source = Source(HUMAN_MODELS, (GRAPH, WEIGHTS), LICENCE)
    save("nanodet", state, source, cache, difference, "one drawn picture")
    return difference
