"""How long reaction models train: a probe on all of Hume-Reaction's training clips, and a step of ViPER at full size.

    python -m benchmarks.reaction_models --threads 1 --parts probe --out benchmarks/results/reaction_models_probe.json

Features are random, of the real number and shape: 15,806 clips with 4096 pooled numbers each, read from a table on the
disk; ViPER reads 32 frames of 2080 numbers, in training in batches of 16, for which it takes about 15 GB. The probe's
time is that of a whole training with all 50 epochs, held-out measurement and states to resume from; patience would end
it sooner. CPU seconds stand beside the wall clock, which other work on the machine lengthens. GPU: --device cuda.
"""

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from benchmarks.keeping import keep_result
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import EMOTIONS, FRAMES, WIDTHS, ReactionBatch, ReactionModel
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.scenes.reaction.clip import Modality
from omnisila.training.optim import OptimConfig
from omnisila.training.reaction_tables import feature_rows, write_stream
from omnisila.training.regression import PROBE_TRAINING, Labelled, RegressionConfig, fit, mean_squared_error

# smallest first: a process's peak memory on the processor never falls
PARTS = ("temporal", "probe", "viper")
CLIPS, POOLED = 15_806, 4096  # emotional-reaction paper, section 3; Video-LLaVA-7B's width


def negative_error(truth: torch.Tensor, guesses: torch.Tensor) -> float:
    """Random features correlate with nothing; their error chooses an epoch as well."""
    return -float((truth - guesses).square().mean())


def probe(config: RegressionConfig, clips: int, device: torch.device) -> dict[str, float]:
    """Seconds to write the table, to open it, and to train on it."""
    random = torch.Generator().manual_seed(0)
    ids = [str(number) for number in range(clips)]
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.perf_counter()
        tokens = ((clip, Modality.of_clip(torch.randn(POOLED, generator=random))) for clip in ids)
        write_stream(folder / "pooled-2.safetensors", tokens)
        written = time.perf_counter()
        known = feature_rows(folder, {"pooled": "pooled-2"}, ids)
        opened, computing = time.perf_counter(), time.process_time()
        model = ProbeConfig().build(known.widths).to(device)
        data = Labelled(known, torch.rand(clips, EMOTIONS, generator=random), tuple(ids))
        fitted = fit(model, data, config, negative_error, folder / "state", material="random features")
        trained, computed = time.perf_counter(), time.process_time() - computing
    return {
        "epochs": len(fitted.epochs),
        "write_s": round(written - began, 2),
        "open_s": round(opened - written, 3),
        "train_s": round(trained - opened, 1),
        "train_cpu_s": round(computed, 1),
    }


def step(build: Callable[[], ReactionModel], clips: int, device: torch.device, repeats: int) -> dict[str, float]:
    """Milliseconds of a training step (the best of several), and the most memory it took."""
    model = build().to(device).train()
    optimisation = OptimConfig(learning_rate=1e-5, ema_decay=0.0).build(model, 1000)
    batch = ReactionBatch(
        {name: torch.randn(clips, FRAMES, width) for name, width in model.widths.items()},
        {name: torch.ones(clips, FRAMES, dtype=torch.bool) for name in model.widths},
    ).to(device)
    truth = torch.rand(clips, EMOTIONS, device=device)
    taken: list[tuple[float, float]] = []
    for number in range(repeats + 1):
        began, computing = time.perf_counter(), time.process_time()
        mean_squared_error(model(batch), truth).backward()
        optimisation.step(number)  # reads the gradients' norm, so a GPU has finished
        taken.append((time.perf_counter() - began, time.process_time() - computing))
    peak = (
        torch.cuda.max_memory_allocated(device) / 2**20
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    )
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "clips": clips,
        "step_ms": round(1e3 * min(wall for wall, _ in taken[1:]), 1),
        "step_cpu_ms": round(1e3 * min(cpu for _, cpu in taken[1:]), 1),
        "peak_mib": round(peak),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--batch", type=int, default=16, help="clips of a step of the temporal model and of ViPER")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    result = {
        "command": f"python -m benchmarks.reaction_models --threads {options.threads} --device {options.device} "
        f"--clips {options.clips} --batch {options.batch} --parts {' '.join(options.parts)}",
        "machine": {
            "processor": platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        },
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    measures = {
        "temporal": lambda: step(lambda: TemporalAVConfig().build(WIDTHS), options.batch, device, options.repeats),
        "probe": lambda: probe(PROBE_TRAINING.replace(patience=0), options.clips, device),
        "viper": lambda: step(lambda: ViPERConfig().build(WIDTHS), options.batch, device, options.repeats),
    }
    result |= {part: measures[part]() for part in PARTS if part in options.parts}
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
