"""TensorFlow.js graph models: their weights, and a plain interpreter that computes the original graph op by op.

The interpreter is the reference that converted networks are compared with; it is slow and simple on purpose.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_DTYPES = {"float32": np.float32, "int32": np.int32, "float16": np.float16, "uint8": np.uint8, "uint16": np.uint16}


def read_weights(manifest_path: Path) -> dict[str, Tensor]:
    """All weights of a model or weights manifest, dequantised."""
    content = json.loads(manifest_path.read_text())
    groups = content if isinstance(content, list) else content["weightsManifest"]
    weights: dict[str, Tensor] = {}
    for group in groups:
        buffer = b"".join(_shard(manifest_path.parent / name).read_bytes() for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            quantization = entry.get("quantization")
            stored = np.dtype(_DTYPES[quantization["dtype"] if quantization else entry["dtype"]])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(buffer, stored, count, offset).reshape(entry["shape"])
            offset += values.nbytes
            if quantization and "scale" in quantization:
                values = values.astype(np.float32) * quantization["scale"] + quantization["min"]
            weights[entry["name"]] = torch.tensor(values.astype(_DTYPES[entry["dtype"]]))
    return weights


def _shard(path: Path) -> Path:
    """Some packages name a shard without the suffix that the file on disk has."""
    return path if path.exists() else path.with_name(path.name.replace("-shard1", ".bin"))


class Graph:
    """A graph model that runs as it was published."""

    def __init__(self, path: Path) -> None:
        topology = json.loads(path.read_text())
        self.weights = read_weights(path)
        self.nodes: dict[str, dict[str, Any]] = {node["name"]: node for node in topology["modelTopology"]["node"]}
        self.outputs = [name.split(":")[0] for name in topology["signature"]["outputs"]]
        self.input = next(name for name, node in self.nodes.items() if node["op"] == "Placeholder")

    def constants_of(self, op: str) -> list[tuple[Tensor, ...]]:
        """The constant inputs of every node of that op, in the graph's order of evaluation."""
        return [
            tuple(self.weights[name] for name in node["input"] if name in self.weights)
            for node in self.nodes.values()
            if node["op"] == op
        ]

    @torch.inference_mode()
    def run(self, x: Tensor, outputs: list[str] | None = None) -> dict[str, Tensor]:
        """Evaluate the outputs, or the nodes named."""
        values: dict[str, Any] = {self.input: x}
        pending = list(outputs or self.outputs)
        while pending:  # depth first without recursion: graphs are hundreds of nodes deep
            name = pending[-1]
            node = self.nodes[name]
            if name in values:
                pending.pop()
                continue
            if node["op"] == "Const":
                values[name] = self.weights[name]
                continue
            sources = [source.lstrip("^").split(":") for source in node.get("input", [])]
            missing = [source[0] for source in sources if source[0] not in values]
            if missing:
                pending += missing
                continue
            inputs = [
                values[source[0]][int(source[1]) if len(source) > 1 else 0]
                if isinstance(values[source[0]], list)
                else values[source[0]]
                for source in sources
            ]
            values[name] = self._evaluate(node, inputs)
        return {name: values[name] for name in outputs or self.outputs}

    def _evaluate(self, node: dict[str, Any], inputs: list[Any]) -> Any:
        op, a = node["op"], inputs
        match op:
            case "Identity":
                return a[0]
            case "Transpose":
                return a[0].permute(*a[1].tolist())
            case "Add" | "AddV2" | "BiasAdd":
                return a[0] + a[1]
            case "AddN":
                return sum(a)
            case "Sub":
                return a[0] - a[1]
            case "Mul":
                return a[0] * a[1]
            case "RealDiv":
                return a[0] / a[1]
            case "FloorDiv":
                return torch.div(a[0], a[1], rounding_mode="floor")
            case "SquaredDifference":
                return (a[0] - a[1]) ** 2
            case "Sqrt":
                return a[0].sqrt()
            case "Conv2D" | "DepthwiseConv2dNative":
                return _convolution(node, a[0], a[1])
            case "_FusedConv2D" | "FusedDepthwiseConv2dNative":
                y, rest = _convolution(node, a[0], a[1]), iter(a[2:])
                for fused in _strings(node, "fused_ops"):
                    y = {"BiasAdd": lambda y: y + next(rest), "Relu": torch.relu, "Relu6": F.relu6}[fused](y)
                return y
            case "Conv2DBackpropInput":
                return _transposed_convolution(node, *a)
            case "LeakyRelu":
                return F.leaky_relu(a[0], node["attr"]["alpha"]["f"])
            case "Relu":
                return a[0].relu()
            case "Relu6":
                return F.relu6(a[0])
            case "Sigmoid":
                return a[0].sigmoid()
            case "Pad" | "PadV2":
                pads = [side for pair in reversed(a[1].tolist()) for side in pair]
                return F.pad(a[0], pads, value=float(a[2]) if op == "PadV2" else 0.0)
            case "ConcatV2":
                return torch.cat(a[:-1], int(a[-1]))
            case "SplitV":
                return list(torch.split(a[0], a[1].tolist(), int(a[2])))
            case "Reshape":
                return a[0].reshape(a[1].tolist())
            case "MaxPool" | "AvgPool":
                return _pool(node, a[0], op)
            case "ResizeBilinear":
                return _resize(node, a[0], a[1].tolist())
            case "SparseToDense":
                return torch.zeros(a[1].tolist(), dtype=a[2].dtype)  # these graphs only ever give it no entries
            case "Cast":
                wanted = {"DT_FLOAT": torch.float32, "DT_INT32": torch.int32, "DT_INT64": torch.int64}
                return a[0].to(wanted[node["attr"]["DstT"]["type"]])
            case "ExpandDims":
                return a[0].unsqueeze(int(a[1]))
            case "Squeeze":
                for axis in sorted(_integers(node, "squeeze_dims"), reverse=True):
                    a[0] = a[0].squeeze(axis)
                return a[0]
            case "ArgMax":
                return a[0].argmax(int(a[1]))
            case "GatherNd":
                return a[0][tuple(a[1].long().movedim(-1, 0))]
            case "Unpack":
                return list(a[0].unbind(int(node["attr"].get("axis", {}).get("i", 0))))
            case "Pack":
                return torch.stack(a, int(node["attr"].get("axis", {}).get("i", 0)))
        raise SystemExit(f"node {node['name']}: op {op} is not known to the interpreter")


def _integers(node: dict[str, Any], name: str, default: tuple[int, ...] = ()) -> list[int]:
    attribute = node["attr"].get(name)
    return [int(value) for value in attribute["list"].get("i", [])] if attribute else list(default)


def _strings(node: dict[str, Any], name: str) -> list[str]:
    return [base64.b64decode(value).decode() for value in node["attr"][name]["list"]["s"]]


def _padded(node: dict[str, Any], x: Tensor, kernel: list[int], strides: list[int], value: float) -> Tensor:
    if base64.b64decode(node["attr"]["padding"]["s"]) != b"SAME":
        return x
    pads: list[int] = []
    for size, extent, stride in zip(x.shape[:1:-1], kernel[::-1], strides[::-1], strict=True):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def _convolution(node: dict[str, Any], x: Tensor, weight: Tensor) -> Tensor:
    """NHWC input, HWIO weight."""
    strides, x = _integers(node, "strides")[1:3], x.permute(0, 3, 1, 2)
    depthwise = "Depthwise" in node["op"]
    kernel = weight.permute(2, 3, 0, 1).reshape(-1, 1, *weight.shape[:2]) if depthwise else weight.permute(3, 2, 0, 1)
    x = _padded(node, x, list(weight.shape[:2]), strides, 0.0)
    return F.conv2d(x, kernel, stride=strides, groups=x.shape[1] if depthwise else 1).permute(0, 2, 3, 1)


def _transposed_convolution(node: dict[str, Any], size: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    strides = _integers(node, "strides")[1:3]
    y = F.conv_transpose2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), stride=strides)
    height, width = size.tolist()[1:3]
    top, left = (y.shape[2] - height) // 2, (y.shape[3] - width) // 2
    return y[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1)


def _pool(node: dict[str, Any], x: Tensor, op: str) -> Tensor:
    kernel, strides, x = _integers(node, "ksize")[1:3], _integers(node, "strides")[1:3], x.permute(0, 3, 1, 2)
    if op == "MaxPool":
        return F.max_pool2d(_padded(node, x, kernel, strides, -torch.inf), kernel, strides).permute(0, 2, 3, 1)
    return F.avg_pool2d(x, kernel, strides).permute(0, 2, 3, 1)


def _resize(node: dict[str, Any], x: Tensor, size: list[int]) -> Tensor:
    aligned = bool(node["attr"].get("align_corners", {}).get("b", False))
    halved = bool(node["attr"].get("half_pixel_centers", {}).get("b", False))
    x = x.permute(0, 3, 1, 2)
    if aligned or halved:
        return F.interpolate(x, size, mode="bilinear", align_corners=aligned).permute(0, 2, 3, 1)
    rows, columns = (torch.arange(wanted) * (have / wanted) for wanted, have in zip(size, x.shape[2:], strict=True))

    def between(x: Tensor, places: Tensor, dim: int) -> Tensor:
        low = places.floor().long()
        high = (low + 1).clamp(max=x.shape[dim] - 1)
        share = (places - low).reshape([-1 if d == dim else 1 for d in range(4)])
        return x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share

    return between(between(x, rows, 2), columns, 3).permute(0, 2, 3, 1)
