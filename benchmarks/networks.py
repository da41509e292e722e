"""The small networks in torch and in ONNX Runtime: milliseconds a picture on one thread, and how far they are apart.

    python -m benchmarks.networks [--out benchmarks/results/networks.json]

Each network looks at eight random pictures ten times, both ways in turn; the quickest time counts.
"""

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.keeping import keep_result
from tools.export_graphs import NETWORKS

PICTURES, ROUNDS = 8, 10


def quickest_ms(work: Callable[[], tuple[Tensor, ...]]) -> float:
    """Milliseconds a picture."""
    times_s: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - began)
    return round(min(times_s) / PICTURES * 1e3, 2)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="The small networks in torch and in ONNX Runtime.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "command": "python -m benchmarks.networks --out benchmarks/results/networks.json",
        "machine": f"1 thread, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "onnxruntime")},
    }
    for kind in NETWORKS:
        network = kind.pretrained()
        pictures = torch.rand(PICTURES, 3, kind.input_px, kind.input_px, generator=torch.Generator().manual_seed(0))
        pictures = pictures * 255 if kind.name in ("expression", "movenet") else pictures * 2 - 1
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        by_torch, by_graph = network.maps(pictures), network.run(pictures)
        apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(by_torch, by_graph, strict=True))
        result[kind.name] = {
            "torch_ms": quickest_ms(lambda network=network, pictures=pictures: network.maps(pictures)),
            "onnxruntime_ms": quickest_ms(lambda network=network, pictures=pictures: network.run(pictures)),
            "largest_difference": float(f"{apart:.1e}"),
        }
    keep_result(result, arguments.out)


if __name__ == "__main__":
    main()
