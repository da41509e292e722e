"""TensorFlow Lite models: the constants of their operations in order, and the original's outputs.

Needs ai-edge-litert, which the package itself does not.
"""

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Model:
    """One model that runs as it was published."""

    def __init__(self, content: bytes) -> None:
        litert: Any = importlib.import_module("ai_edge_litert.interpreter")

        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would pack constants away
        self._interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=plain)
        self._interpreter.allocate_tensors()
        self._names = {entry["index"]: entry["name"] for entry in self._interpreter.get_tensor_details()}
        self._operations: list[dict[str, Any]] = self._interpreter._get_ops_details()
        made = {int(place) for operation in self._operations for place in operation["outputs"]}
        widened = {
            int(operation["outputs"][0]): int(operation["inputs"][0])
            for operation in self._operations
            if operation["op_name"] == "DEQUANTIZE"
        }
        self._constant = {place: widened.get(place, place) for place in self._names if place in widened}
        self._constant |= {place: place for place in self._names if place not in made}

    def constants(self, *wanted: str) -> list[tuple[str, tuple[Tensor, ...]]]:
        """Name and constant inputs, in float32, of every operation of these kinds, in order of evaluation."""
        found: list[tuple[str, tuple[Tensor, ...]]] = []
        inputs = {int(entry["index"]) for entry in self._interpreter.get_input_details()}
        for operation in self._operations:
            if operation["op_name"] in wanted:
                places = [int(place) for place in operation["inputs"] if int(place) not in inputs]
                known = [self._constant[place] for place in places if place in self._constant]
                values = tuple(torch.tensor(self._interpreter.get_tensor(place)).float() for place in known)
                found.append((operation["op_name"], values))
        return found

    def run(self, x: Tensor) -> list[Tensor]:
        """All outputs of one input, as the model stores them."""
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x.numpy().astype(np.float32))
        self._interpreter.invoke()
        outputs = self._interpreter.get_output_details()
        return [torch.tensor(self._interpreter.get_tensor(entry["index"])) for entry in outputs]
