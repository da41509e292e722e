"""The expression network; its package ships weights without a graph, so the original is written out here."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from omnisila.scenes.nets.expression import ExpressionNet
from tools.weights.packages import FACE_API
from tools.weights.store import Source, drawn_picture, halved, save, save_reference
from tools.weights.tfjs import read_weights

MANIFEST = "package/model/face_expression_model-weights_manifest.json"
FILE = "package/model/face_expression_model.bin"


def converted(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict from the published weights."""
    state = {"classifier.weight": raw["fc/weights"].T, "classifier.bias": raw["fc/bias"]}
    for stage in range(4):
        for index in range(4):
            theirs, ours = f"dense{stage}/conv{index}/", f"stages.{stage}.convolutions.{index}"
            if f"{theirs}filters" in raw:
                state[f"{ours}.weight"] = raw[f"{theirs}filters"].permute(3, 2, 0, 1)
                state[f"{ours}.bias"] = raw[f"{theirs}bias"]
            else:
                state[f"{ours}.0.weight"] = raw[f"{theirs}depthwise_filter"].permute(2, 3, 0, 1)
                state[f"{ours}.1.weight"] = raw[f"{theirs}pointwise_filter"].permute(3, 2, 0, 1)
                state[f"{ours}.1.bias"] = raw[f"{theirs}bias"]
    return state


def original(raw: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published network, sum by sum."""

    def conv(x: Tensor, name: str, stride: int) -> Tensor:
        pad = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        x = F.pad(x, pad)
        if f"{name}filters" in raw:
            x = F.conv2d(x, raw[f"{name}filters"].permute(3, 2, 0, 1), stride=stride)
        else:
            x = F.conv2d(x, raw[f"{name}depthwise_filter"].permute(2, 3, 0, 1), stride=stride, groups=x.shape[1])
            x = F.conv2d(x, raw[f"{name}pointwise_filter"].permute(3, 2, 0, 1))
        return x + raw[f"{name}bias"].view(1, -1, 1, 1)

    for stage in range(4):
        name = f"dense{stage}/conv"
        first = conv(x, f"{name}0/", 2).relu()
        second = conv(first, f"{name}1/", 1)
        third = conv((first + second).relu(), f"{name}2/", 1)
        fourth = conv((first + second + third).relu(), f"{name}3/", 1)
        x = (first + second + third + fourth).relu()
    return (F.avg_pool2d(x, 7).flatten(1) @ raw["fc/weights"] + raw["fc/bias"]).softmax(1)


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original, over probabilities."""
    raw = read_weights(FACE_API.unpacked(cache) / MANIFEST)
    state = converted(raw)
    net = ExpressionNet().eval()
    net.load_state_dict(halved(state))
    x = drawn_picture(112, 112)
    theirs = original(raw, (x - torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1)) / 255)
    save_reference("expression", {"probabilities": theirs})
    difference = (net(x).probabilities - theirs).abs().max().item()
    save("expression", state, Source(FACE_API, (MANIFEST, FILE), "MIT"), cache, difference, "one drawn picture")
    return difference
