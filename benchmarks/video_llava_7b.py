"""A Video-LLaVA of true 7B shapes, as anybody analyses with it: load, windows, labels, a cause; seconds and memory.

    python -m benchmarks.video_llava_7b --out benchmarks/results/video_llava_7b.json    one window on a processor
    python -m benchmarks.video_llava_7b --seconds 60                                    a minute of video on a GPU
    python -m benchmarks.video_llava_7b --layers 8 12                                   two depths, drawn out to 32
    python -m benchmarks.video_llava_7b --tiny                                          toy shapes

The checkpoint is written as the published one is: configuration of ``LanguageBind/Video-LLaVA-7B-hf`` in bfloat16,
random weights, shard by shard, so that no more than one of them (2 GB) is ever held; it takes 15 GB of disk and is
deleted afterwards. Its tokenizer has about one token a word. What runs is ``omnisila.inference.load`` and the analyzer
that it gives: precision is chosen as for users, which is bfloat16 from 7 layers on (4 GB).
Random weights do not end an answer, so a cause is
written to its limit of tokens.

Memory is the process's largest resident set, which counts pages of the weight files that are mapped while they are
read; ``anonymous`` counts only what is the process's own.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig, VideoLlavaConfig, VideoLlavaForConditionalGeneration

from benchmarks.keeping import keep_result
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.devices import default_device
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.attributing import MAX_CAUSE_TOKENS
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import IMPLICIT
from omnisila.models.tokenizer import VIDEO, as_transformers, token_id, train_tokenizer
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.windows import windows

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script, its folder alone would be searched

from benchmarks.icm_7b import rounded
from benchmarks.icm_7b_networks import TINY, TRUE, Shapes
from benchmarks.icm_7b_stages import FULL, TOY, Clock, drawn_video

SHARD_BYTES = 2_000_000_000
SPREAD = 0.02  # of random weights


def write_checkpoint(shapes: Shapes, folder: Path) -> int:
    """A checkpoint of those shapes as ``save_pretrained`` lays it out, one shard in memory at a time; its bytes."""
    texts = [render_instruction(Instruction("identify", IMPLICIT)), *map(render_label, IMPLICIT.labels)]
    tokenizer = train_tokenizer([*texts, "USER: ASSISTANT:"])
    as_transformers(tokenizer).save_pretrained(folder)
    config = VideoLlavaConfig(
        text_config=LlamaConfig(**shapes.text),
        vision_config=CLIPVisionConfig(**shapes.vision),
        video_token_index=token_id(tokenizer, VIDEO),
        image_token_index=shapes.text["vocab_size"] - 1,
        dtype="bfloat16",
    )
    config.architectures = ["VideoLlavaForConditionalGeneration"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        model = VideoLlavaForConditionalGeneration(config)
    random = torch.Generator().manual_seed(0)
    places: dict[str, str] = {}
    held: dict[str, torch.Tensor] = {}
    written = 0

    def write() -> None:
        name = f"model-{len(set(places.values())):05d}.safetensors"
        save_file(held, folder / name, metadata={"format": "pt"})
        places.update(dict.fromkeys(held, name))
        held.clear()

    for key, tensor in model.state_dict().items():
        made = torch.empty(tensor.shape, dtype=torch.bfloat16).normal_(0, SPREAD, generator=random)
        held[key] = made + 1 if "norm" in key and key.endswith("weight") else made
        written += made.numel() * 2
        if sum(each.numel() * 2 for each in held.values()) > SHARD_BYTES:
            write()
    write()
    index = {"metadata": {"total_size": written}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return written


def measured(shapes: Shapes, seconds: int, cause_tokens: int) -> dict[str, Any]:
    """Load, features, labels of every window and one cause, in a folder that is gone afterwards."""
    clock, size = Clock(default_device()), TOY if shapes.text == TINY.text else FULL
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        with clock.stage("write"):
            stored = write_checkpoint(shapes, folder)
        video = drawn_video(folder / "drawn.mp4", size._replace(seconds=seconds))
        with clock.stage("load"):
            settings = AnalyzerConfig(labels=(IMPLICIT.name,))
            analyzer = cast("Analyzer", load(str(folder), settings, FeatureCache(folder / "cache")))
        anonymous = {"load": anonymous_gib()}
        with clock.stage("features"):
            extracted = analyzer.extract_features(video)
        with clock.stage("locate"):
            scored = analyzer.score_windows(extracted)
        anonymous["locate"] = anonymous_gib()
        window = next(windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s))
        asked = render_instruction(Instruction("attribute", IMPLICIT, IMPLICIT.labels[0]))
        with clock.stage("attribute"):
            inputs = analyzer.see(extracted)([window])
            analyzer.run.model.generate(inputs.scenes, inputs.visual, [asked], max_tokens=cause_tokens)
        anonymous["attribute"] = anonymous_gib()
        video_llm = analyzer.run.pretrained
        assert video_llm is not None
        tokens = len(video_llm.prompt_ids(asked, analyzer.window.frames, 0))
    return {
        "layers": shapes.text["num_hidden_layers"],
        "stored_gb": stored / 1e9,
        "precision": str(video_llm.model.dtype),
        "windows": len(scored.spans),
        "tokens_of_a_prompt": tokens,
        "tokens_of_the_cause": cause_tokens,
        "posterior_sum": float(scored.posteriors[IMPLICIT.name][0].sum()),
        "seconds": clock.seconds,
        "seconds_per_minute_of_video": (clock.seconds["features"] + clock.seconds["locate"]) * 60 / seconds,
        "peak_gpu_gib": clock.peak_gib,
        "anonymous_gib": anonymous,
        "peak_process_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def anonymous_gib() -> float:
    """The process's own memory now, without mapped files; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def extrapolated(few: dict[str, Any], more: dict[str, Any], layers: int) -> dict[str, Any]:
    """What so many layers take, by the straight line through two depths."""
    step = (layers - few["layers"]) / (more["layers"] - few["layers"])

    def line(name: str, under: str) -> float:
        first, other = (found[under][name] for found in (few, more))
        return first + step * (other - first)

    return {
        "layers": layers,
        "seconds": {name: line(name, "seconds") for name in few["seconds"]},
        "anonymous_gib": {name: line(name, "anonymous_gib") for name in few["anonymous_gib"]},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A Video-LLaVA of true 7B shapes, from load to cause.")
    parser.add_argument("--tiny", action="store_true", help="toy shapes")
    parser.add_argument("--layers", type=int, nargs="+", help="of the language model; two depths are extrapolated")
    parser.add_argument("--seconds", type=int, default=1, help="of the drawn video, a window each")
    parser.add_argument("--cause-tokens", type=int, default=MAX_CAUSE_TOKENS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    shapes = TINY if options.tiny else TRUE
    depths = options.layers or [shapes.text["num_hidden_layers"]]
    runs = []
    for depth in depths:
        of_depth = shapes._replace(text={**shapes.text, "num_hidden_layers": depth})
        runs.append(measured(of_depth, options.seconds, options.cause_tokens))
        print(json.dumps(rounded(runs[-1])), file=sys.stderr)
    given = " ".join(sys.argv[1:] if arguments is None else arguments)
    result: dict[str, Any] = {
        "command": f"python -m benchmarks.video_llava_7b {given}".strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {torch.get_num_threads()} threads",
        "load_average": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("omnisila", "torch", "transformers")},
        "runs": runs,
    }
    if len(runs) == 2:
        result["extrapolated"] = extrapolated(runs[0], runs[1], TRUE.text["num_hidden_layers"])
    keep_result(rounded(result), options.out)


if __name__ == "__main__":
    main()
