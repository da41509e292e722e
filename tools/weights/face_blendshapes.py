"""Blendshapes: the mixer's layers in the order in which the graph evaluates them."""

from pathlib import Path

import torch
from torch import Tensor

from omnisila.scenes.nets.face_landmarks import POINTS, READ, Blendshapes
from tools.weights.face_landmarks import SOURCE, member
from tools.weights.store import halved, save, save_reference
from tools.weights.tflite import Model


def converted(model: Model, net: Blendshapes) -> dict[str, Tensor]:
    """Our state dict; the graph's 1 x 1 convolutions are linear layers, its only vectors of a width are scales."""
    width = net.head.in_features
    names = ["gather", "embed"]
    for block in range(len(net.blocks)):
        names += [f"blocks.{block}.{part}" for part in ("tokens.0", "tokens.2", "channels.0", "channels.2")]
    state: dict[str, Tensor] = {}
    for name, (_, values) in zip([*names, "head"], model.constants("CONV_2D"), strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = values[0].flatten(1), values[1]
    scales = [values[0] for _, values in model.constants("MUL") if len(values) == 1 and values[0].shape == (width,)]
    places = [
        f"blocks.{block}.{part}" for block in range(len(net.blocks)) for part in ("before_tokens", "before_channels")
    ]
    state |= {f"{place}.weight": scale for place, scale in zip(places, scales, strict=True)}
    ((_, (answer,)),) = model.constants("CONCATENATION")
    return {**state, "answer": answer.view(1, 1, width)}


def drawn_points() -> Tensor:
    """Points on a spiral, (1, 478, 2) in pixels: no face, but the same on every machine."""
    turn = torch.linspace(0, 40, POINTS)
    return torch.stack([200 + 3 * turn * turn.cos(), 180 + 4 * turn * turn.sin()], 1)[None]


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original graph."""
    model = member(cache, "face_blendshapes.tflite")
    net = Blendshapes().eval()
    state = converted(model, net)
    net.load_state_dict(halved(state))
    points = drawn_points()
    (theirs,) = model.run(points[:, READ])
    save_reference("face_blendshapes", {"coefficients": theirs[None]})
    difference = (net(points)[0] - theirs).abs().max().item()
    save("face_blendshapes", state, SOURCE, cache, difference, "one set of drawn points")
    return difference
