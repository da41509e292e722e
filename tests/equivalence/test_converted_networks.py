"""Converted networks give what the original graphs gave on the same drawn picture (tools/convert_weights.py)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.nets.expression import ExpressionNet
from omnisila.scenes.nets.face_landmarks import Blendshapes, FaceLandmarks
from omnisila.scenes.nets.movenet import MoveNet
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.nets.nanodet import NanoDet
from tools.weights.face_blendshapes import drawn_points
from tools.weights.store import drawn_picture

REFERENCES = Path(__file__).parents[1] / "fixtures" / "nets"


def encoder_mean() -> torch.Tensor:
    return EfficientNetLite0.pretrained()((drawn_picture(224, 224) - 127) / 128).mean(dim=(2, 3))


def expression_probabilities() -> torch.Tensor:
    return ExpressionNet.pretrained()(drawn_picture(112, 112)).probabilities


def joints() -> torch.Tensor:
    return MoveNet.pretrained()(drawn_picture(192, 192)).joints


def landmarks() -> torch.Tensor:
    return FaceLandmarks.pretrained()(drawn_picture(256, 256)).points


def blendshapes() -> torch.Tensor:
    return Blendshapes.pretrained()(drawn_points())


# name -> our output, its name in the reference, and how far fp16 weights may move it
CASES = {
    "efficientnet_lite": (encoder_mean, "mean", 0.04),
    "expression": (expression_probabilities, "probabilities", 1e-3),
    "face_blendshapes": (blendshapes, "coefficients", 1e-4),
    "face_landmarks": (landmarks, "points", 1e-4),
    "movenet": (joints, "joints", 1e-6),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_agree_with_the_original_graph(name: str) -> None:
    ours, output, tolerance = CASES[name]
    wanted = load_file(REFERENCES / f"{name}.safetensors")[output]
    torch.testing.assert_close(ours(), wanted, atol=tolerance, rtol=0.0)


def test_nanodet_agrees_with_the_original_graph() -> None:
    raw = NanoDet.pretrained()((drawn_picture(416, 416) - 110) / 58)
    reference = load_file(REFERENCES / "nanodet.safetensors")
    torch.testing.assert_close(raw.probabilities.amax(2), reference["best"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(raw.distances.mean(2), reference["distances"], atol=1e-4, rtol=0.0)


@pytest.mark.parametrize(("part", "side_px"), [("proposal", 12), ("refinement", 24), ("output", 48)])
def test_mtcnn_agrees_with_the_original_networks(part: str, side_px: int) -> None:
    net = MTCNN.pretrained()
    features = net.get_submodule(part)((drawn_picture(side_px, side_px) - 127.5) / 128)
    reference = load_file(REFERENCES / "mtcnn.safetensors")
    heads = [head for head in reference if head.startswith(part)]
    assert len(heads) >= 2
    for head in heads:
        torch.testing.assert_close(net.get_submodule(head)(features), reference[head], atol=2e-3, rtol=0.0)
