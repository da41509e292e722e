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
    "Copyright (c) 2019 Timothy Esler",
)  # fmt: skip
FOLDER = "facenet_pytorch/data"
NETWORKS = {"pnet": "proposal", "rnet": "refinement", "onet": "output"}
HEADS = {
    "pnet": {"conv4_1": "proposal_face", "conv4_2": "proposal_box"},
    "rnet": {"dense5_1": "refinement_face", "dense5_2": "refinement_box"},
    "onet": {"dense6_1": "output_face", "dense6_2": "output_box", "dense6_3": "output_landmarks"},
}
DENSE = {"rnet": 4, "onet": 5}
POOLS = {"pnet": (2, 0, 0), "rnet": (3, 3, 0), "onet": (3, 3, 2, 0)}
SIDES_PX = {"pnet": 12, "rnet": 24, "onet": 48}


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


def original(raw: dict[str, Tensor], network: str, x: Tensor) -> dict[str, Tensor]:
    """The outputs of a published network under our names, layer by layer."""
    for index, pool in enumerate(POOLS[network], start=1):
        x = F.prelu(F.conv2d(x, raw[f"conv{index}.weight"], raw[f"conv{index}.bias"]), raw[f"prelu{index}.weight"])
        if pool:
            x = F.max_pool2d(x, pool, 2, ceil_mode=True)
    if network in DENSE:
        dense = DENSE[network]
        x = x.permute(0, 3, 2, 1).reshape(len(x), -1)
        x = F.prelu(x @ raw[f"dense{dense}.weight"].T + raw[f"dense{dense}.bias"], raw[f"prelu{dense}.weight"])
    outputs: dict[str, Tensor] = {}
    for theirs, ours in HEADS[network].items():
        weight, bias = raw[f"{theirs}.weight"], raw[f"{theirs}.bias"]
        outputs[ours] = x @ weight.T + bias if weight.dim() == 2 else F.conv2d(x, weight, bias)
    return outputs


@torch.inference_mode()
def convert(cache: Path) -> float:
    """Write the weights; the difference to the original networks, over all their outputs before the softmax."""
    folder = PACKAGE.unpacked(cache) / FOLDER
    raw = {network: torch.load(folder / f"{network}.pt", weights_only=True) for network in NETWORKS}
    state = converted(raw)
    net = MTCNN().eval()
    net.load_state_dict(halved(state))
    reference: dict[str, Tensor] = {}
    differences: list[float] = []
    for network, part in NETWORKS.items():
        x = (drawn_picture(SIDES_PX[network], SIDES_PX[network]) - 127.5) / 128
        features = net.get_submodule(part)(x)
        for head, wanted in original(raw[network], network, x).items():
            reference[head] = wanted
            differences.append((net.get_submodule(head)(features) - wanted).abs().max().item())
    save_reference("mtcnn", reference)
    source = Source(PACKAGE, tuple(f"{FOLDER}/{network}.pt" for network in NETWORKS), "MIT")
    save("mtcnn", state, source, cache, max(differences), "one drawn picture a network")
    return max(differences)
