"""Sound of real files: one channel at 16 kHz on the pictures' clock; every way to lack it is named."""

import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.audio.frame import AudioFrame

from omnisila.errors import MediaError
from omnisila.media.audio import RATE_HZ, Sound, SoundLimits, SoundReader, read_sound

Parts = Sequence[tuple[float, np.ndarray]]


def tone(seconds: float, rate_hz: int, *, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_sound(
    path: Path, parts: Parts, rate_hz: int = 16_000, codec: str = "pcm_f32le", layout: str = "mono", form: str = "flt"
) -> Path:
    """A sound file of stretches that begin at given times; rows of an array are channels."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate_hz, layout=layout)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        for start_s, samples in parts:
            frame = AudioFrame.from_ndarray(np.atleast_2d(samples), format=form, layout=layout)
            frame.sample_rate, frame.pts = rate_hz, round(start_s * rate_hz)
            for piece in resampler.resample(frame):
                piece.pts = frame.pts
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def pitch_hz(sound: Sound) -> float:
    """The strongest frequency."""
    spectrum = torch.fft.rfft(sound.samples * torch.hann_window(len(sound.samples))).abs()
    return float(spectrum.argmax()) * RATE_HZ / len(sound.samples)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mov"])
def test_the_track_of_a_video_is_heard_at_16_khz(make_video: Callable[..., Path], name: str) -> None:
    sound = read_sound(make_video(name, audio_s=2.0), 0.0, 2.0)
    assert sound.samples.dtype == torch.float32
    assert len(sound.samples) == 2 * RATE_HZ
    assert pitch_hz(sound) == pytest.approx(440, abs=1)
    assert sound.present
    assert sound.heard_s == pytest.approx((0.0, 2.0), abs=0.05)


@pytest.mark.parametrize(
    ("codec", "rate_hz"), [("pcm_s16le", 44_100), ("pcm_u8", 22_050), ("pcm_s32le", 48_000), ("pcm_f32le", 16_000)]
)
def test_every_sample_form_and_rate_gives_the_same_sound(tmp_path: Path, codec: str, rate_hz: int) -> None:
    sound = read_sound(write_sound(tmp_path / "a.wav", [(0.0, tone(1.0, rate_hz))], rate_hz, codec))
    wanted = torch.from_numpy(tone(1.0, RATE_HZ))
    inner = slice(400, -400)  # the resampler rings at both ends
    assert len(sound.samples) == pytest.approx(RATE_HZ, abs=32)
    assert (sound.samples[inner] - wanted[: len(sound.samples)][inner]).abs().max() < 0.02
    assert sound.warnings == ()


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone(1.0, RATE_HZ, level=0.6)
    both = np.stack([left, np.zeros_like(left)], 1).reshape(1, -1)
    path = write_sound(tmp_path / "a.wav", [(0.0, both)], layout="stereo")
    assert read_sound(path).samples.abs().max() == pytest.approx(0.3, abs=0.01)


def test_pictures_that_begin_later_share_the_clock(make_video: Callable[..., Path]) -> None:
    path = make_video(start_s=1.0, audio_s=1.0)
    sound = read_sound(path, 0.0, 3.0)
    assert sound.heard_s == pytest.approx((0.0, 1.0), abs=0.05)
    assert sound.samples[: RATE_HZ // 2].abs().max() > 0.5
    assert not sound.samples[round(1.1 * RATE_HZ) :].any()
    assert any("covers 1.0 of 3.0 s" in warning for warning in sound.warnings)


def test_a_hole_in_the_timestamps_is_silence(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mkv", [(0.0, tone(1.0, RATE_HZ)), (2.0, tone(1.0, RATE_HZ))])
    sound = read_sound(path)
    assert len(sound.samples) == pytest.approx(3 * RATE_HZ, abs=64)
    assert not sound.samples[round(1.05 * RATE_HZ) : round(1.95 * RATE_HZ)].any()
    assert sound.samples[round(2.1 * RATE_HZ) :].abs().max() > 0.4


def test_timestamps_that_start_over_are_counted_on(make_video: Callable[..., Path], tmp_path: Path) -> None:
    once = make_video("once.ts", audio_s=2.0).read_bytes()
    (tmp_path / "twice.ts").write_bytes(once + once)
    sound = read_sound(tmp_path / "twice.ts")
    assert len(sound.samples) == pytest.approx(4 * RATE_HZ, rel=0.05)
    assert all(second.abs().max() > 0.5 for second in sound.samples[: 4 * RATE_HZ - 3200].split(RATE_HZ))


@pytest.mark.parametrize("channels", [1, 3, 6, 8, 11, 24])
def test_any_number_of_channels_is_heard(tmp_path: Path, channels: int) -> None:
    samples = np.repeat(tone(1.0, 48_000)[:, None], channels, 1)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    sound = read_sound(tmp_path / "a.wav")
    assert sound.samples.abs().max() == pytest.approx(0.5, abs=0.02)


def test_a_stretch_is_the_same_part_of_the_whole(tmp_path: Path) -> None:
    rising = np.linspace(0, 0.9, 20 * RATE_HZ, dtype=np.float32)  # every sample is another
    path = write_sound(tmp_path / "a.mkv", [(index, rising[index * RATE_HZ :][:RATE_HZ]) for index in range(20)])
    whole, part = read_sound(path), read_sound(path, 12.5, 14.0)
    assert part.start_s == 12.5
    torch.testing.assert_close(part.samples, whole.samples[round(12.5 * RATE_HZ) : 14 * RATE_HZ], atol=1e-4, rtol=0)


def test_a_long_file_is_read_in_small_blocks_and_no_further_than_asked(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mkv", [(index, tone(1.0, RATE_HZ)) for index in range(60)])
    reader = SoundReader(path)
    blocks = list(reader.blocks(0.0, 5.0))
    assert max(len(block.samples) for block in blocks) <= 2 * RATE_HZ
    assert reader.samples <= 8 * RATE_HZ
    limited = read_sound(path, limits=SoundLimits(max_seconds=4.0))
    assert len(limited.samples) == 4 * RATE_HZ
    assert any("up to 4 s only" in warning for warning in limited.warnings)


def test_8_khz_is_heard_and_named(tmp_path: Path) -> None:
    sound = read_sound(write_sound(tmp_path / "a.wav", [(0.0, tone(1.0, 8000))], 8000, "pcm_s16le"))
    assert pitch_hz(sound) == pytest.approx(440, abs=2)
    assert sound.warnings == ("the sound is sampled at 8000 Hz: nothing above 4000 Hz is in it",)


def test_clipping_is_named_and_a_full_tone_is_not(tmp_path: Path) -> None:
    cut = np.clip(tone(1.0, RATE_HZ, level=4.0), -1, 1)
    clipped = read_sound(write_sound(tmp_path / "a.wav", [(0.0, cut)], codec="pcm_s16le"))
    assert [warning for warning in clipped.warnings if "may be clipped" in warning]
    full = read_sound(write_sound(tmp_path / "b.wav", [(0.0, tone(1.0, RATE_HZ, level=1.0))], codec="pcm_s16le"))
    assert full.warnings == ()


@pytest.mark.parametrize("level", [0.0, 3e-5])
def test_a_silent_track_is_as_good_as_none(tmp_path: Path, level: float) -> None:
    sound = read_sound(write_sound(tmp_path / "a.wav", [(0.0, tone(1.0, RATE_HZ, level=level))]))
    assert not sound.present
    assert sound.heard_s is not None
    assert [warning for warning in sound.warnings if "silent" in warning]


def test_a_short_sound_is_named(tmp_path: Path) -> None:
    sound = read_sound(write_sound(tmp_path / "a.wav", [(0.0, tone(0.3, RATE_HZ))]))
    assert len(sound.samples) == pytest.approx(0.3 * RATE_HZ, abs=32)
    assert sound.warnings == ("the sound lasts 0.30 s only",)


def test_a_video_without_sound_says_so(make_video: Callable[..., Path]) -> None:
    sound = read_sound(make_video(), 0.0, 2.0)
    assert not sound.present
    assert sound.warnings == ("there is no sound track",)
    assert not sound.samples.any()


def test_samples_that_are_no_numbers_are_silenced_and_counted(tmp_path: Path) -> None:
    samples = tone(1.0, RATE_HZ)
    samples[100:110] = np.nan
    sound = read_sound(write_sound(tmp_path / "a.wav", [(0.0, samples)]))
    assert torch.isfinite(sound.samples).all()
    assert "10 samples of sound are no numbers" in sound.warnings


def test_a_damaged_track_gives_what_can_be_decoded(make_video: Callable[..., Path]) -> None:
    path = make_video("a.ts", audio_s=2.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    sound = read_sound(path, 0.0, 2.0)
    assert sound.present
    assert torch.isfinite(sound.samples).all()


@pytest.mark.parametrize("kind", ["empty", "text"])
def test_what_is_no_media_file_is_refused(make_bad_file: Callable[[str, str], Path], kind: str) -> None:
    with pytest.raises(MediaError):
        read_sound(make_bad_file("a.mp4", kind))
