"""Write the graphs that ONNX Runtime runs, ``weights/graphs/NAME.onnx``, from the torch networks.

    python -m tools.export_graphs

Needs onnxscript (``pip install onnxscript``). The files hold the structure alone, a few kilobytes; weights are handed
over when a session is opened. ``tests/equivalence/test_graphs.py`` compares both ways.
"""

import importlib
from typing import Any

import torch

from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.nets.expression import ExpressionNet
from omnisila.scenes.nets.graphs import GRAPHS, GraphNetwork
from omnisila.scenes.nets.movenet import MoveNet
from omnisila.scenes.nets.nanodet import NanoDet
from omnisila.weights.embedded import into

NETWORKS: tuple[type[GraphNetwork], ...] = (EfficientNetLite0, ExpressionNet, MoveNet, NanoDet)


class Maps(torch.nn.Module):
    """What is exported of a network, with the names of its weights."""

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.network.maps(x)


def main() -> None:
    onnx = importlib.import_module("onnx")  # no part of the lock
    GRAPHS.mkdir(exist_ok=True)
    for kind in NETWORKS:
        network = into(kind(), kind.name)
        batch = torch.export.Dim("batch", min=1, max=1024)
        program = torch.onnx.export(
            Maps(network), (torch.zeros(2, 3, kind.input_px, kind.input_px),), dynamo=True,
            dynamic_shapes=({0: batch},), input_names=["pictures"], verbose=False,
        )  # fmt: skip
        assert program is not None
        model: Any = program.model_proto
        names = {f"network.{key}": key for key in network.state_dict()}
        for node in model.graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
        for tensor in model.graph.initializer:
            if tensor.name in names:
                tensor.name = names[tensor.name]
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                del tensor.external_data[:]
                tensor.external_data.add(key="location", value="handed over")
        path = GRAPHS / f"{kind.name}.onnx"
        del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
        for node in model.graph.node:  # where in the sources each came from
            del node.metadata_props[:]
            node.doc_string = ""
        path.write_bytes(model.SerializeToString())
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
