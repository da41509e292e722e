"""MoveNet Lightning: convolutions renamed by their names in the graph."""

from pathlib import Path

import torch
from torch import Tensor

from omnisila.scenes.nets.movenet import MoveNet
from tools.weights.packages import HUMAN_MODELS
from tools.weights.store import Source, drawn_picture, halved, save, save_reference
from tools.weights.tfjs import Graph

GRAPH, WEIGHTS = "package/models/movenet-lightning.json", "package/models/movenet-lightning.bin"
LICENCE = "Apache-2.0 (MoveNet by Google), MIT (package)"
EXTRACTOR = "center_net_mobile_net_v2fpn_feature_extractor/model_1/"


def our_name(node: str) -> str:
    """Our module for a convolution of the graph."""
    name = node.removeprefix("StatefulPartitionedCall/").removeprefix(EXTRACTOR)
    if name.startswith("model/Conv1"):
        return "stem"
    if name.startswith("model/out_relu"):
        return "top"
    if name.startswith(("model/expanded_conv", "model/block_")):
        index = 0 if "expanded" in name else int(name.split("_")[1])
        return f"blocks.{index}." + next(part for part in ("expand_", "depthwise", "project") if part in name).rstrip(
            "_"
        )
    if name.startswith("conv2d"):
        levels = {"conv2d/": 3, "conv2d_1/": 2, "conv2d_2/": 1, "conv2d_3/": 0}
        return f"lateral.{next(level for prefix, level in levels.items() if name.startswith(prefix))}"
    if name.startswith(("separable_conv2d", "re_lu")):
        part = "depthwise" if "depthwise" in name else "pointwise"
        step = name.split("/")[0].removeprefix("separable_conv2d").removeprefix("re_lu").removeprefix("_") or "0"
        return f"pyramid.{step}.{part}"
    heads = {"kpt_heatmap": "heatmap", "kpt_regress": "regression", "center_0": "centre", "kpt_offset": "offset"}
    head = next(ours for theirs, ours in heads.items() if name.startswith(theirs))
    return f"{head}.1" if "/conv2d" in name else f"{head}.0." + ("depthwise" if "depthwise" in name else "pointwise")


def converted(graph: Graph) -> dict[str, Tensor]:
    """Our state dict from the graph's constants."""
    state: dict[str, Tensor] = {}
    for name, node in graph.nodes.items():
        if "Conv2" not in node["op"] and "Conv2dNative" not in node["op"]:
            continue
        ours, constants = our_name(name), [graph.weights[i] for i in node["input"] if i in graph.weights]
        depthwise = "Depthwise" in node["op"]
        state[f"{ours}.weight"] = constants[0].permute(*(2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        if len(constants) > 1:
            state[f"{ours}.bias"] = constants[1].flatten()
    state["centre_weight"] = next(
        graph.weights[source][..., 0]
        for node in graph.nodes.values()
        if node["op"] == "Mul" and any("Sigmoid_1" in i for i in node["input"])
        for source in node["input"]
        if source in graph.weights
    )
    return state


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original graph, over joints and scores."""
    graph = Graph(HUMAN_MODELS.unpacked(cache) / GRAPH)
    state = converted(graph)
    net = MoveNet().eval()
    net.load_state_dict(halved(state))
    x = drawn_picture(192, 192)
    theirs = next(iter(graph.run(x.permute(0, 2, 3, 1).int()).values()))[0]
    save_reference("movenet", {"joints": theirs[..., [1, 0, 2]]})
    difference = (net(x).joints - theirs[..., [1, 0, 2]]).abs().max().item()
    source = Source(HUMAN_MODELS, (GRAPH, WEIGHTS), LICENCE)
    save("movenet", state, source, cache, difference, "one drawn picture")
    return difference
