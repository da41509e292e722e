"""Seconds, memory and utilisation of the full ICM, with random weights of the true shapes: speed does not need others.

    python -m benchmarks.icm_7b --out benchmarks/results/icm_7b.json        on one GPU
    python -m benchmarks.icm_7b --sam huge --video FILE                     SAM-H; a video of yours
    python -m benchmarks.icm_7b --tiny --out benchmarks/results/icm_7b_tiny.json    toy sizes, on the processor

Measured are the code paths that users take: the extractors into an empty cache, ``Analyzer.score_windows``,
``Analyzer.attribute_span``, ``Chat.ask``, ``training.loop.train`` over ``Answering``. Scenes are as crowded as the
configuration allows (``icm_7b_networks``), adapters are not merged, and answers run to their limit, because random
weights do not end them; the tokenizer has about one token a word. The drawn video shows no face, so the face network
and its expert rest.

Floors, for a minute of 1080p at windows of 1 s x 8 frames; P are the language model's 6.48e9 weights in projections,
d = 4096 and L = 32 its width and layers, T the tokens of a window:

    tokens of a window    8 x 257 of pictures, 8 of scenes and 10 of words, behind which 15 answers stand, each with its
                          question, about 9 tokens: T = 2.2e3
    language model        2PT + 4dL x pairs that see each other: 28.6 + 1.3 TFLOP, x 60 windows =      1.8 PFLOP
    tower, projector      23 of CLIP's 24 layers and two of the projector: 166 GFLOP, x 480 frames =    80 TFLOP
    HigherHRNet-W32       173 GFLOP at 512 x 960, 8 a second, x 480 =                                   83 TFLOP
    RelTR                 208 GFLOP at 750 x 1333, 8 a second, x 480 =                                 100 TFLOP
    SAM-B, ViT-B/16       972 + 16 boxes x 3.6 + 35 GFLOP, 1 a second, x 60 =                           64 TFLOP
    (SAM-H                5.96 TFLOP instead of 0.97, x 60 =                                           358 TFLOP)
    all                   2.1 PFLOP: 2.1 s at an H200's 989 TFLOP/s (bfloat16, dense), 4.3 s at half of it
    a cause               27 TFLOP to read, and 13 GB of weights a written token: 2.7 ms at 4.8 TB/s, x 128 = 0.35 s
    chat                  as much to read once, x 136 tokens of three answers = 0.4 s
    training              4PT (gradients of activations, none of frozen weights) + 3 x attention + tower: 59 to 62 TFLOP
                          a clip, and 28 more for checkpointing: 5.5 clips a second at half of the peak, 8 if nothing
                          were recomputed

Decoding is not in the floors: all of the video is decoded once for the extractors and once more for the pictures of the
windows, on the processor.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.keeping import keep_result
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.settings import AnalyzerConfig
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.chunked import SceneEnrichedModeling

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, its folder alone would be searched

from benchmarks.icm_7b_floors import arithmetic, floors
from benchmarks.icm_7b_networks import LABELS, TRUE_WITH_SAM_HUGE
from benchmarks.icm_7b_networks import run as random_run
from benchmarks.icm_7b_stages import FULL, TOY, Clock, Size, analysed, chatted, drawn_video, trained


def rounded(values: Any) -> Any:
    """Three significant digits, however deep."""
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    return float(f"{values:.3g}") if isinstance(values, float) else values


def measured(size: Size, video: Path | None, device: torch.device, peak_tflops: float, bandwidth_tbs: float) -> dict:
    """All of it, in a folder that is gone afterwards."""
    clock = Clock(device)

    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        shown = video or drawn_video(folder / "drawn.mp4", size)
        tell("the video is ready")
        with clock.stage("build"):
            run, recipe = random_run(size.shapes, folder, device, tell)
        cache = FeatureCache(folder / "cache")
        with clock.stage("build/extractors"):
            analyzer = Analyzer(run, AnalyzerConfig(labels=tuple(LABELS)), cache)
        extracted = analysed(analyzer, shown, size.findings, clock)
        tell("analysed")
        chatted(run, shown, cache, clock)
        tell("chatted")
        footage = folder / "footage"
        footage.mkdir()
        (footage / shown.name).symlink_to(shown.resolve())
        training = trained(run, recipe, footage / shown.name, extracted, cache, size, clock)
        flops = arithmetic(run, analyzer, shown, extracted.info.duration_s, training)
        sem = analyzer.sem.loaded
        assert isinstance(sem, SceneEnrichedModeling)
        networks = [part for part in (sem.objects, *sem.extractors.values()) if isinstance(part, nn.Module)]
        parts = {"video_llm": run.model.video_llm, "all": run.model, "extractors": nn.ModuleList(networks)}
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    clip_s = training["clips_per_second"]
    model, again = flops["tflop_per_training_clip"], flops["tflop_recomputed_per_training_clip"]
    return rounded(
        {
            "video": f"{extracted.info.width_px} x {extracted.info.height_px}, {extracted.info.duration_s:g} s",
            "parameters": parameters,
            "seconds": clock.seconds,
            "seconds_per_minute_of_video": clock.seconds["file to findings"] * 60 / extracted.info.duration_s,
            "peak_gpu_gib": clock.peak_gib,
            "peak_process_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "findings": size.findings,
            "training": training
            | {"model_flop_utilisation": clip_s * model / peak_tflops,
               "with_recomputation": clip_s * (model + again) / peak_tflops},
            "arithmetic": flops,
            "floor_seconds": floors(flops, size.findings, peak_tflops, bandwidth_tbs),
        }
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Speed of the full ICM with random weights of the true shapes.")
    parser.add_argument("--tiny", action="store_true", help="toy sizes on the processor")
    parser.add_argument("--video", type=Path, help="instead of a drawn one; at least a few seconds long")
    parser.add_argument("--sam", choices=["base", "huge"], default="base")
    parser.add_argument("--findings", type=int, help="how many get a cause")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="the device's; an H200's bfloat16, dense")
    parser.add_argument("--bandwidth-tbs", type=float, default=4.8, help="of its memory; an H200's")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    size = TOY if options.tiny else FULL
    if options.sam == "huge" and not options.tiny:
        size = size._replace(shapes=TRUE_WITH_SAM_HUGE)
    if options.findings:
        size = size._replace(findings=options.findings)
    if not options.tiny and not torch.cuda.is_available():
        raise SystemExit("no GPU: the true shapes need one. Give --tiny.")
    device = torch.device("cpu" if options.tiny else "cuda")
    result = {
        "command": " ".join(["python -m benchmarks.icm_7b", *(sys.argv[1:] if arguments is None else arguments)]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}"
        + (f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ""),
        "versions": {name: version(name) for name in ("omnisila", "torch", "transformers", "av")},
        "peak": {"tflops": options.peak_tflops, "terabytes_per_second": options.bandwidth_tbs},
        **measured(size, options.video, device, options.peak_tflops, options.bandwidth_tbs),
    }
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
