"""The networks that ONNX Runtime runs give what their torch forms give (tools/export_graphs.py)."""

import pytest
import torch

from tools.export_graphs import NETWORKS
from tools.weights.store import drawn_picture

TOLERANCE = 1e-4  # of the largest value of each output; 1.1e-5 was seen


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.name)
@torch.inference_mode()
def test_a_graph_gives_what_torch_gives(kind: type) -> None:
    network = kind.pretrained()
    drawn = drawn_picture(kind.input_px, kind.input_px)
    pictures = torch.cat([drawn, drawn.flip(3), drawn.flip(2), drawn / 2, 255 - drawn])  # two runs, the last of one
    if kind.name in ("efficientnet_lite", "nanodet"):
        pictures = (pictures - 127) / 128  # their callers normalise
    for by_graph, by_torch in zip(network.run(pictures), network.maps(pictures), strict=True):
        assert by_graph.shape == by_torch.shape
        assert float((by_graph - by_torch).abs().max()) <= TOLERANCE * float(by_torch.abs().max())
