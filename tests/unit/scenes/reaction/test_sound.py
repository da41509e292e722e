"""Prosody against tones of known pitch; statistics against plain means; x-vectors against the plain model."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

from omnisila.errors import WeightsError
from omnisila.media.audio import RATE_HZ, Sound
from omnisila.scenes.reaction.audio import COLUMNS, HOP_S, LOG_F0, MELS, VOICING, SoundStatistics, SpeakerVectors, hops

TIMES = torch.linspace(0, 2, 32)


def voice(hz: float, seconds: float = 1.0, level: float = 0.3) -> Tensor:
    """A sound with ten overtones, as a voice has."""
    time_s = torch.arange(round(seconds * RATE_HZ)) / RATE_HZ
    parts = [torch.sin(2 * math.pi * hz * k * time_s) / k for k in range(1, 11) if k * hz < RATE_HZ / 2]
    return level * torch.stack(parts).sum(0)


def sound(samples: Tensor, heard_s: tuple[float, float] | None = None) -> Sound:
    return Sound(0.0, samples, heard_s or (0.0, len(samples) / RATE_HZ))


@pytest.mark.parametrize("hz", [75.0, 110.0, 157.3, 220.0, 330.0, 450.0])
def test_pitch_is_found_to_one_percent(hz: float) -> None:
    found = hops(voice(hz))[10:-10]
    assert (found[:, VOICING] > 0.9).all()
    assert found[:, LOG_F0].exp().tolist() == pytest.approx([hz] * len(found), rel=0.01)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = 0.3 * torch.randn(RATE_HZ, generator=torch.Generator().manual_seed(0))
    assert (hops(noise)[:, LOG_F0] > 0).float().mean() < 0.05
    assert not hops(torch.zeros(RATE_HZ))[:, [LOG_F0, VOICING]].any()


def test_loudness_zero_crossings_and_bands() -> None:
    tone = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(RATE_HZ) / RATE_HZ)
    row = dict(zip(COLUMNS, hops(tone)[50].tolist(), strict=True))
    assert row["energy_db"] == pytest.approx(10 * math.log10(0.125), abs=0.1)
    assert row["zero_crossings"] == pytest.approx(2000 / RATE_HZ, abs=0.005)
    bands = [row[f"mel_{band}"] for band in range(MELS)]
    mel = 2595 * math.log10(1 + 1000 / 700)
    low, high = 2595 * math.log10(1 + 50 / 700), 2595 * math.log10(1 + 7600 / 700)
    assert int(np.argmax(bands)) == pytest.approx((mel - low) / (high - low) * (MELS + 1) - 1, abs=1)


def test_a_long_sound_is_measured_as_its_parts_are() -> None:
    samples = torch.cat([voice(120, 20), voice(240, 20)])
    whole = hops(samples)
    assert len(whole) == 4001
    torch.testing.assert_close(whole[2990:3010], hops(samples[28 * RATE_HZ :])[190:210], atol=1e-4, rtol=1e-3)


def test_statistics_are_plain_means_near_the_frame_and_of_the_clip() -> None:
    samples = torch.cat([voice(120), voice(240)])
    said = SoundStatistics().encode(sound(samples), TIMES)
    assert said.mask.all()
    assert said.values.shape == (32, SoundStatistics.width)
    values, columns = hops(samples), len(COLUMNS)
    near = values[round(0.75 / HOP_S) : round(1.25 / HOP_S)]
    at_1_s = SoundStatistics().encode(sound(samples), torch.tensor([0.5, 1.0, 1.5])).values[1]
    half = 2 / 2  # three frames over 2 s: neighbours share half
    near = values[round((1 - half) / HOP_S) : round((1 + half) / HOP_S)]
    plain = torch.ones(columns, dtype=torch.bool)
    plain[LOG_F0] = False
    torch.testing.assert_close(at_1_s[:columns][plain], near.mean(0)[plain], atol=0.02, rtol=0.01)
    torch.testing.assert_close(at_1_s[columns : 2 * columns][plain], near.std(0)[plain], atol=0.02, rtol=0.01)
    pitch = said.values[:, LOG_F0].exp()
    assert pitch[2].item() == pytest.approx(120, rel=0.02)
    assert pitch[-3].item() == pytest.approx(240, rel=0.02)
    assert (said.values[:, 2 * columns :] == said.values[:1, 2 * columns :]).all()


def test_unvoiced_stretches_do_not_lower_the_pitch() -> None:
    samples = torch.cat([voice(200), torch.zeros(RATE_HZ)])
    clip = SoundStatistics().encode(sound(samples), TIMES).values[0, 2 * len(COLUMNS) :]
    assert clip[LOG_F0].exp().item() == pytest.approx(200, rel=0.02)
    assert clip[VOICING].item() == pytest.approx(0.5, abs=0.05)


def test_frames_beyond_the_sound_are_masked(networks: Path) -> None:
    samples = torch.cat([voice(200), torch.zeros(RATE_HZ)])
    for encoder in (SoundStatistics(), SpeakerVectors.pretrained(str(networks / "wavlm"), torch.device("cpu"))):
        said = encoder.encode(sound(samples, (0.0, 1.0)), TIMES)
        assert said.mask[:16].all()
        assert not said.mask[21:].any()
        assert not said.values[~said.mask].any()
        silent = encoder.encode(sound(torch.zeros(RATE_HZ)), TIMES)
        assert not silent.present
        assert silent.values.shape == (32, encoder.width)
        assert not encoder.encode(Sound(0.0, torch.zeros(0), None), TIMES).present


def test_a_sound_that_was_read_in_part_stands_for_its_own_frames(networks: Path) -> None:
    samples = torch.cat([voice(hz, 0.5) for hz in (120, 180, 240, 300)])  # 2 s of a clip of 6 s
    padded = sound(torch.cat([samples, torch.zeros(4 * RATE_HZ)]), (0.0, 2.0))
    times_s = torch.linspace(0, 6, 32)
    for encoder in (SoundStatistics(), SpeakerVectors.pretrained(str(networks / "wavlm"), torch.device("cpu"))):
        said, wanted = encoder.encode(sound(samples), times_s), encoder.encode(padded, times_s)
        assert said.mask.tolist() == wanted.mask.tolist()
        assert said.mask.sum() < 14
        assert not said.values[~said.mask].any()
        inner = slice(0, 9)  # what surrounds these frames ends before the sound does
        torch.testing.assert_close(said.values[inner], wanted.values[inner], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("seconds", [0.02, 0.3, 3.0])
def test_short_and_long_sounds_give_finite_numbers(networks: Path, seconds: float) -> None:
    samples = voice(150, seconds)
    for encoder in (SoundStatistics(), SpeakerVectors.pretrained(str(networks / "wavlm"), torch.device("cpu"))):
        said = encoder.encode(sound(samples), torch.linspace(0, seconds, 32))
        assert said.mask.all()
        assert torch.isfinite(said.values).all()


@pytest.mark.filterwarnings("ignore:Support for mismatched")
@pytest.mark.parametrize("options", [{}, {"do_normalize": False}, {"return_attention_mask": True}])
def test_x_vectors_are_the_plain_model_s_of_viper_s_windows(
    networks: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    samples = voice(150, 6.6) + 0.2  # an offset, so that preparing matters where windows are filled up with zeros
    model = WavLMForXVector.from_pretrained(networks / "wavlm").eval()
    model.save_pretrained(tmp_path)
    prepare = Wav2Vec2FeatureExtractor(**options)
    prepare.save_pretrained(tmp_path)
    step = len(samples) / 33
    windows = [samples[round(i * step) :][: round(2 * step)].numpy() for i in range(32)]
    inputs = prepare(
        windows, sampling_rate=RATE_HZ, max_length=16_000, padding="max_length", truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        wanted = model(**inputs).embeddings
    encoder = SpeakerVectors.pretrained(str(tmp_path), torch.device("cpu"))
    said = encoder.encode(sound(samples), torch.linspace(0, 6.6, 32))
    torch.testing.assert_close(said.values, wanted, atol=1e-3 * float(wanted.abs().mean()), rtol=1e-3)


def test_a_window_too_short_for_the_network_is_masked(networks: Path, tmp_path: Path) -> None:
    WavLMForXVector.from_pretrained(networks / "wavlm").save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path)
    encoder = SpeakerVectors.pretrained(str(tmp_path), torch.device("cpu"))
    said = encoder.encode(sound(voice(150, 0.3)), torch.linspace(0, 0.3, 32))
    assert not said.mask.any()
    assert not said.values.any()


def test_another_network_is_refused(networks: Path) -> None:
    with pytest.raises(WeightsError, match="type 'vit', wanted 'wavlm'"):
        SpeakerVectors.pretrained(str(networks / "vit"), torch.device("cpu"))
