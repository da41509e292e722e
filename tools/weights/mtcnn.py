"""MTCNN's three networks in one file."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from omnisila.scenes.nets.mtcnn import MTCNN
from tools.weights.store import Package, Source, drawn_picture, halved, save, save_reference

PACKAGE = Package(
    "PyPI", "facenet-pytorch", "2.6.0",
    "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
)  # fmt: skip
FOLDER = "facenet_pytorch/data"
NETWORKS = {"pnet": "proposal", "rnet": "refinement", "onet": "output"}
HEADS = {
    "pnet": {"conv4_1": "proposal_face", "conv4_2": "proposal_box"},
    "rnet": {"dense5_1": "refinement_face", "dense5_2": "refinement_box"},
    "onet": {"dense6_1": "output_face", "dense6_2": "output_box", "dense6_3": "output_landmarks"},
}
DENSE = {"rnet": 4, "onet": 5}


def converted(raw: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Our state dict from the three published ones."""
    state: dict[str, Tensor] = {}
    for network, ours in NETWORKS.items():
        for name, value in raw[network].items():
            layer, kind = name.split(".")
            if layer in HEADS[network]:
                state[f"{HEADS[network][layer]}.{kind}"] = value
            elif layer == f"dense{DENSE.get(network)}":
                state[f"{ours}.dense.{kind}"] = value
            elif layer == f"prelu{DENSE.get(network)}":
                state[f"{ours}.dense_rectifier.{kind}"] = value
            else:
                part = "convolutions" if layer.startswith("conv") else "rectifiers"
                state[f"{ours}.{part}.{int(layer[-1]) - 1}.{kind}"] = value
    return state


def original_output(raw: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published output network (face probability), layer by layer."""
    for index, pool in ((1, 3), (2, 3), (3, 2), (4, 0)):
        x = F.prelu(F.conv2d(x, raw[f"conv{index}.weight"], raw[f"conv{index}.bias"]), raw[f"prelu{index}.weight"])
        if pool:
            x = F.max_pool2d(x, pool, 2, ceil_mode=True)
    x = x.permute(0, 3, 2, 1).reshape(len(x), -1)
    x = F.prelu(x @ raw["dense5.weight"].T + raw["dense5.bias"], raw["prelu5.weight"])
    return (x @ raw["dense6_1.weight"].T + raw["dense6_1.bias"]).softmax(1)


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original output network, over the face probability."""
    folder = PACKAGE.unpacked(cache) / FOLDER
    raw = {network: torch.load(folder / f"{network}.pt", weights_only=True) for network in NETWORKS}
    state = converted(raw)
    net = MTCNN().eval()
    net.load_state_dict(halved(state))
    x = (drawn_picture(48, 48) - 127.5) / 128
    theirs = original_output(raw["onet"], x)
    save_reference("mtcnn", {"face": theirs})
    difference = (net.output_face(net.output(x)).softmax(1) - theirs).abs().max().item()
    source = Source(PACKAGE, f"{FOLDER}/onet.pt", "MIT")
    save("mtcnn", state, source, cache, difference, "one drawn picture, output network")
    return difference
