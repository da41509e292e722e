"""How fast clips of emotional reactions are turned into the embedded features, against real time.

    python -m benchmarks.reaction_features --out benchmarks/results/reaction_features.json [VIDEO ...]

Clips like webcam recordings are made: a head (of a photograph in the tests' folder) that moves before a wall, 30 frames
a second, H.264 with an AAC track. One process on one thread does them one after another; clips do not depend on each
other, so as many processes do as many times more. Real time is compared with processor seconds, since the machine may
be shared: ``times_real_time_two_cores`` is twice the clips' length over them, for two processes side by side. The first
clip only warms up. Each video that is given is measured beside them as one clip.
"""

import argparse
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

from benchmarks.keeping import keep_result
from omnisila import __version__
from omnisila.media.video import probe
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache, extract
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor

PHOTOGRAPH = Path(__file__).parents[1] / "tests" / "fixtures" / "astronaut.jpg"
SIZES = ((640, 480), (1280, 720))
RATE_HZ = 30
SOUND_HZ = 48_000


def write_clip(path: Path, width_px: int, height_px: int, seconds: float, number: int) -> Path:
    """A clip of its own for each number."""
    head = Image.fromarray(np.array(Image.open(PHOTOGRAPH))[18:98, 72:152]).resize((height_px // 2, height_px // 2))
    wall = np.random.default_rng(number).integers(100, 140, (height_px, width_px, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        sound: Any = container.add_stream("aac", rate=SOUND_HZ)
        for index in range(round(seconds * RATE_HZ)):
            picture = Image.fromarray(wall)
            picture.paste(head, (width_px // 3 + int(20 * np.sin(index / 9)), height_px // 4))
            container.mux(stream.encode(VideoFrame.from_image(picture)))
        container.mux(stream.encode())
        time_s = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
        voice = 0.3 * np.sin(2 * np.pi * (150 + number) * time_s) * (np.sin(2 * np.pi * time_s) > 0)
        frame = AudioFrame.from_ndarray(voice.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SOUND_HZ, 0
        resampler = av.AudioResampler(format=sound.format, layout=sound.layout, rate=SOUND_HZ)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(sound.encode(part))
        container.mux(sound.encode())
    return path


def measured(paths: list[Path], extractor: ReactionFeatureExtractor, cache: ReactionCache) -> dict[str, Any]:
    """Speed of the first and of a second pass over clips."""
    seconds = sum(probe(path).duration_s for path in paths)
    stages: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    for outcome in extract(paths, extractor, cache):
        if outcome.features is None or outcome.state != "extracted":
            raise SystemExit(f"{outcome.clip.path}: {outcome.state}, {outcome.reason}")
        for stage, spent_s in outcome.features.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + spent_s / len(paths)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    again = time.perf_counter()
    known = [outcome.state for outcome in extract(paths, extractor, cache)]
    again_s = time.perf_counter() - again
    if set(known) != {"known"}:
        raise SystemExit(f"a second pass found {known}")
    return {
        "clips": len(paths),
        "seconds_a_clip": round(seconds / len(paths), 2),
        "wall_s_a_clip": round(wall_s / len(paths), 2),
        "cpu_s_a_clip": round(cpu_s / len(paths), 2),
        "times_real_time_one_core": round(seconds / cpu_s, 1),
        "times_real_time_two_cores": round(2 * seconds / cpu_s, 1),
        "stages_wall_s": {stage: round(spent_s, 3) for stage, spent_s in stages.items()},
        "known_clips_per_s": round(len(paths) / again_s, 1),
        "cached_kb_a_clip": round(sum(file.stat().st_size for file in cache.root.rglob("*.safetensors")) / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    extractor = ReactionFeatureConfig.embedded().build()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        extractor.features(Clip(write_clip(folder / "warm.mp4", *SIZES[0], 1.0, 0)))
        for width_px, height_px in SIZES:
            paths = [
                write_clip(folder / f"{height_px}-{number}.mp4", width_px, height_px, options.seconds, number)
                for number in range(options.clips)
            ]
            name = f"made, {width_px}x{height_px}"
            results[name] = measured(paths, extractor, ReactionCache(folder / f"cache-{height_px}"))
            results[name]["cached_kb_a_clip"] //= len(paths)
        for number, video in enumerate(options.videos):
            results[video.name] = measured([video], extractor, ReactionCache(folder / f"cache-given-{number}"))
    stated = " ".join(video.name for video in options.videos)
    result = {
        "command": f"python -m benchmarks.reaction_features --clips {options.clips} --seconds {options.seconds:g} "
        f"--out {options.out} {stated}".rstrip(),
        "machine": f"one of 2 cores, {platform.machine()}, {platform.system()}, shared with other work",
        "versions": {"omnisila": __version__, "torch": torch.__version__, "av": av.__version__},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "results": results,
    }
    keep_result(result, options.out)


if __name__ == "__main__":
    main()
