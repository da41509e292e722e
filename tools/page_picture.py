"""The picture of a report in README: a drawn clip is analysed, and Chromium takes a picture of its page.

``python tools/page_picture.py docs/images/page.png`` needs ``chromium`` in the path. The clip moves over the portrait
of an astronaut (NASA, public domain): her suit, her smiling face from about 4 to 10 s, her suit again.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

PORTRAIT = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "astronaut.jpg"
RATE_HZ, FRAMES = 12, 144
WIDTH_PX, HEIGHT_PX = 320, 240
WINDOW = (1280, 1370)  # px of the page: up to the end of the time line


@cache
def portrait() -> Image.Image:
    return Image.open(PORTRAIT)


def paint(index: int, width_px: int, height_px: int) -> np.ndarray:
    """Frame ``index`` of the clip, as uint8 (height, width, 3)."""
    photograph, time_s = portrait(), index / RATE_HZ
    whole_px = photograph.height
    share = float(np.clip(time_s - 3.5, 0, 1) - np.clip(time_s - 8.5, 0, 1))
    at_face = 3 * share**2 - 2 * share**3
    width = (1 + at_face / 2) * whole_px * (0.35 + 0.1 * np.sin(time_s / 2))
    height = width * height_px / width_px
    left = (0.03 + 0.22 * at_face) * whole_px
    top = (1 - at_face) * (0.98 * whole_px - height) + at_face * 0.02 * whole_px
    view = photograph.transform(
        (width_px, height_px),
        Image.Transform.EXTENT,
        (left, top, left + width, top + height),
        Image.Resampling.BICUBIC,
    )
    return np.array(view)


def draw(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index in range(FRAMES):
            container.mux(stream.encode(VideoFrame.from_ndarray(paint(index, WIDTH_PX, HEIGHT_PX), format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="where the PNG goes")
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "astronaut.mp4")
        analyze = [sys.executable, "-m", "omnisila", "analyze", "astronaut.mp4", "--labels", "explicit", "--out", "out"]
        subprocess.run(analyze, cwd=folder, check=True)
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=4000"]
        browser += [f"--window-size={WINDOW[0]},{WINDOW[1]}", "--screenshot=page.png", "out/astronaut.mp4.html"]
        subprocess.run(browser, cwd=folder, check=True)
        with Image.open(Path(folder) / "page.png") as page:
            page.convert("RGB").resize((960, 960 * WINDOW[1] // WINDOW[0])).quantize(192).save(out, optimize=True)


if __name__ == "__main__":
    main()
