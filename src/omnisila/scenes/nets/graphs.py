"""Networks that ONNX Runtime runs on the processor.

Each has a graph, ``weights/graphs/NAME.onnx``, which ``tools/export_graphs.py`` writes from the torch network. It holds
no weights: a session is given those of the network itself.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import onnxruntime
import torch
from torch import Tensor, nn

from omnisila.weights import FOLDER
from omnisila.weights.embedded import into

GRAPHS = FOLDER / "graphs"
STEPS = 2  # of extraction that run side by side (``chunked``) and share the cores
BATCH = 2  # pictures at once: more leave the processor's cache, fewer leave cores idle


class GraphNetwork(nn.Module):
    """A network whose ``maps`` ONNX Runtime computes too: up to three times as fast,
    equal within 1e-4 of the largest value (``tests/equivalence/test_graphs.py``).

    On any other device, in a copy, and where nothing was loaded by ``pretrained``, ``maps`` itself is called. Weights
    that are changed afterwards are not seen by the graph.
    """

    name: ClassVar[str]  # of its weights and its graph
    input_px: ClassVar[int]  # side of the pictures
    _session: onnxruntime.InferenceSession | None = None

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the graph computes of a batch."""
        raise NotImplementedError

    @classmethod
    def pretrained(cls) -> Self:
        """With the embedded weights and the graph."""
        network = into(cls(), cls.name)
        network._session = open_session(cls.name, dict(network.named_parameters()))
        return network

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # a session stays in its process

    def run(self, x: Tensor, prepare: Callable[[Tensor], Tensor] = lambda part: part) -> tuple[Tensor, ...]:
        """``maps`` of a batch by the quickest way on its device; prepared in parts, which takes less memory."""
        if self._session is None or x.device.type != "cpu":
            return self.maps(prepare(x))
        given = self._session.get_inputs()[0].name
        parts = [self._session.run(None, {given: prepare(part).contiguous().numpy()}) for part in x.split(BATCH)]
        return tuple(
            torch.from_numpy(part[0]) if len(part) == 1 else torch.cat([*map(torch.from_numpy, part)])
            for part in zip(*parts, strict=True)
        )


def open_session(name: str, weights: dict[str, Tensor]) -> onnxruntime.InferenceSession:
    """A session of a graph with those weights."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(torch.get_num_threads() // STEPS, 1)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    held = {key: onnxruntime.OrtValue.ortvalue_from_numpy(value.contiguous().numpy()) for key, value in weights.items()}
    options.add_external_initializers(list(held), list(held.values()))
    return onnxruntime.InferenceSession(str(GRAPHS / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
