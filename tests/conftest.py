"""What every test folder may use: shape checks on all of omnisila, and small real files of every good and bad kind."""

import os
import resource
import signal
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import av
import jaxtyping
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception
from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")  # machines may be busy
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that processes of the tests can be interrupted


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check a function's annotations on each call; one that says ``Self`` cannot be checked outside its class."""
    if function.__module__.startswith("omnisila.cli"):
        return function  # typer's option annotations are not types, and no tensor passes there
    try:
        return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)  # 4 is a float, as for type checkers
    except BeartypeDecorHintPep673Exception:
        return function


# The hook takes the checker by its import path, and must stand before anything imports omnisila.
sys.modules["omnisila_shape_checks"] = ModuleType("omnisila_shape_checks")
sys.modules["omnisila_shape_checks"].checked = _checked  # type: ignore[attr-defined]
jaxtyping.install_import_hook("omnisila", "omnisila_shape_checks.checked")

pytest_plugins = ["tests.chat_server", "tests.video_llava", "tests.reaction_clips", "tests.published_baselines"]

DEPRECATIONS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
OURS = r"(omnisila|tools|benchmarks|tests)\b"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--show-deprecations",
        action="store_true",
        help="deprecations inside other packages are shown; those that our code raises or causes stay errors",
    )


def pytest_configure(config: pytest.Config) -> None:
    for kind in DEPRECATIONS if config.getoption("--show-deprecations") else ():  # later lines come first
        config.addinivalue_line("filterwarnings", f"default::{kind}")
        config.addinivalue_line("filterwarnings", f"error::{kind}:{OURS}")


TICKS_HZ = 12_000  # divides into whole ticks at 12, 24, 25 and 30 frames a second
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".ts": "libx264", ".flv": "libx264",
          ".h264": "libx264", ".webm": "libvpx", ".avi": "mpeg4", ".wmv": "wmv2"}  # fmt: skip
NEAR_LOSSLESS = {
    "libx264": {"crf": "4", "preset": "ultrafast", "bf": "2", "g": "12"},
    "libvpx": {"crf": "4", "b": "4M", "deadline": "realtime", "cpu-used": "8", "g": "12"},
    "mpeg4": {"qmin": "1", "qmax": "2", "g": "12"},
}


def level(index: int) -> int:
    """The grey level of frame ``index`` as ``counted`` paints it: tells frames apart after lossy coding."""
    return 20 + 10 * (index % 22)


def counted(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A grey picture whose level counts frames, with a red block in its top left quarter."""
    picture = np.full((height_px, width_px, 3), level(index), np.uint8)
    picture[: height_px // 3, : width_px // 3] = (220, 20, 20)
    return picture


def write_video(
    path: Path,
    *,
    frames: int = 24,
    rate_hz: int = 12,
    width_px: int = 64,
    height_px: int = 48,
    times_s: Sequence[float] | None = None,
    start_s: float = 0.0,
    codec: str | None = None,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    audio_s: float = 0.0,
    turn_deg: int = 0,
    mirror: bool = False,
    paint: Callable[[int, int, int], np.ndarray] = counted,
    sample_aspect: str | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write a small real video; the container is told by the suffix.

    Args:
        times_s: presentation times of the frames, for variable rates; by default ``index / rate_hz``.
        start_s: added to all times.
        audio_s: length of a sound track, 0 for none.
        turn_deg: a display flag that asks players to turn the picture clockwise.
        mirror: a display flag that asks players to mirror it left to right.
        sample_aspect: the shape of a pixel, such as "2:1".
    """
    codec = codec or CODECS[path.suffix]
    tick = Fraction(1, rate_hz) if path.suffix == ".avi" else Fraction(1, TICKS_HZ)
    times_s = [index / rate_hz for index in range(frames)] if times_s is None else times_s
    with av.open(str(path), "w", options=muxer_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate_hz, options=options or NEAR_LOSSLESS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, pixel_format
        stream.codec_context.time_base = tick
        if sample_aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(*map(int, sample_aspect.split(":")))
        if turn_deg or mirror:
            stream.set_display_rotation(-turn_deg, hflip=mirror)
        sound = container.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000) if audio_s else None
        for index, time_s in enumerate(times_s):
            picture = VideoFrame.from_ndarray(paint(index, width_px, height_px), "rgb24")
            picture = picture.reformat(width_px, height_px, pixel_format)
            picture.pts, picture.time_base = round((start_s + time_s) / tick), tick
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if sound is not None:
            _mux_tone(container, sound, audio_s)
    return path


def _mux_tone(container: Any, stream: Any, seconds: float) -> None:
    samples = np.sin(np.arange(int(seconds * 48_000)) * 2 * np.pi * 440 / 48_000).astype(np.float32)[None]
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 48_000, 0
    resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=48_000)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode())


def write_bad_file(path: Path, kind: str) -> Path:
    """Write a file that is not, or not wholly, a video.

    Kinds: ``empty`` (0 bytes), ``text``, ``sound`` (audio only), ``cut`` (mp4 without its index), ``damaged`` (mp4 with
    noise in its middle, 10 s of which about 2 s are lost), ``short`` (mkv of 10 s that ends half-way), ``unknown``
    (a codec nobody knows), ``hollow`` (a video stream without a single picture).
    """
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("This is no video.\nIt only says so in its name.\n" * 20)
    elif kind == "sound":
        _write_sound(path)
    elif kind in ("cut", "damaged", "unknown"):
        source = path.with_name(f"whole-{path.stem}.mp4")
        data = bytearray(write_video(source, frames=120, paint=_busy, options={"g": "24", "crf": "30"}).read_bytes())
        source.unlink()
        if kind == "cut":
            data = data[: len(data) // 2]
        elif kind == "unknown":
            data = data.replace(b"avc1", b"xyz1")
        else:
            _spoil(data)
        path.write_bytes(data)
    elif kind == "short":
        source = path.with_name(f"whole-{path.stem}.mkv")
        data = write_video(source, frames=120, paint=_busy, options={"g": "24", "crf": "30"}).read_bytes()
        source.unlink()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "hollow":
        with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
            stream: Any = container.add_stream("libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            container.start_encoding()
    else:
        raise ValueError(f"no bad file of kind {kind!r}")
    return path


def _busy(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A drifting random texture: every frame costs bytes, so that damage in the file's middle is damage in time."""
    texture = np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    return np.roll(texture, 2 * index, axis=1)


def _spoil(data: bytearray) -> None:
    middle, length = len(data) // 2, len(data) // 10
    data[middle : middle + length] = np.random.default_rng(1).bytes(length)


def _write_sound(path: Path) -> None:
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(16_000))
        return
    with av.open(str(path), "w") as container:
        _mux_tone(container, container.add_stream("aac", rate=48_000), 1.0)


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """``make_video("a.mp4", frames=24, ...)`` writes a small real video into the test's folder: see ``write_video``."""

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_video(path, **options)

    return make


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    """``write_video`` for footage that several tests share: ``write_clip(path, frames=24, ...)``."""
    return write_video


@pytest.fixture
def make_bad_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """``make_bad_file("a.mp4", "damaged")`` writes a file that cannot be read, or not wholly: ``write_bad_file``."""

    def make(name: str, kind: str) -> Path:
        return write_bad_file(tmp_path / name, kind)

    return make


@pytest.fixture
def frame_level() -> Callable[[int], int]:
    """The grey level by which a frame that ``make_video`` wrote is known again."""
    return level


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """``with full_disk():`` no file gets longer than 2 KB, so that writing fails midway as on a full disk."""

    @contextmanager
    def full() -> Iterator[None]:
        limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)

    return full


@contextmanager
def partly_locked(name: str, content: bytes) -> Iterator[Path]:
    """A folder with a file in ``a``, and one in ``locked``, which cannot be listed."""
    with TemporaryDirectory() as made:  # that anybody may enter
        root = Path(made)
        root.chmod(0o755)
        for folder in ("a", "locked"):
            (root / folder).mkdir()
            (root / folder / name).write_bytes(content)
        before = os.geteuid()
        (root / "locked").chmod(0o700 if before == 0 else 0)
        try:
            if before == 0:  # from whom nothing is locked
                os.seteuid(65534)
            yield root
        finally:
            if before == 0:
                os.seteuid(before)
            (root / "locked").chmod(0o700)
