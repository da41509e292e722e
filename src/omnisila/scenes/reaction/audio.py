"""What is heard around each frame: x-vectors of a user's WavLM, or the embedded statistics of prosody.

Prosody is how something is said, ten milliseconds at a time: log-mel bands, loudness, zero crossings, pitch. Pitch is
the strongest peak of the autocorrelation, corrected for the window's own; longer periods cost a little, or a voice
would be heard an octave too low. Source: Boersma 1993; ViPER's audio token, emotional-reaction paper 4.3.
"""

import math
import warnings
from functools import cache
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

from omnisila.media.audio import RATE_HZ, Sound
from omnisila.scenes.reaction.clip import Modality
from omnisila.weights.checkpoint_files import PREPARATION, model_folder
from omnisila.weights.pretrained import load_pretrained, read_settings

HOP = 160  # samples, 10 ms
HOP_S = HOP / RATE_HZ
MELS = 40
COLUMNS = (*(f"mel_{band}" for band in range(MELS)), "energy_db", "zero_crossings", "log_f0", "voicing")
LOG_F0, VOICING = COLUMNS.index("log_f0"), COLUMNS.index("voicing")
VOICED = 0.45  # least autocorrelation at the period for a hop to count as voiced

_FRAME, _FFT = 400, 512
_LOW_HZ, _HIGH_HZ = 50.0, 7600.0
_PITCH_FRAME, _PITCH_FFT = 1024, 2048
_SHORTEST, _LONGEST = RATE_HZ // 500, RATE_HZ // 60  # periods in samples
_OCTAVE_COST = 0.02
_FLOOR = 1e-10  # -100 dB
_QUIET_DB = -60.0  # no pitch is looked for below
_HOPS_AT_ONCE = 3000

_WINDOW = 16_000  # samples; ViPER cuts longer windows and fills shorter ones up
_BATCH = 8
_LEAST_STEPS = 2
_NEAR_S = 0.5  # of sound around a frame, at least: less holds no syllable
_ROUNDED_S = 0.1  # frame times are float32: days into a recording they are this far off


class SoundStatistics:
    """Means and spreads of log-mel bands and prosody near the frame, then over the whole clip.

    Pitch is averaged over voiced hops only; unvoiced stretches have a pitch of 0.
    """

    kind = "prosody"
    width = 4 * len(COLUMNS)

    def encode(self, sound: Sound, times_s: Float[Tensor, "frames"]) -> Modality:
        if sound.heard_s is None or not sound.present:
            return Modality.absent(len(times_s), self.width)
        values = hops(sound.samples)
        last_s = (len(values) - 1) * HOP_S
        heard = torch.tensor([time_s - sound.start_s for time_s in sound.heard_s], dtype=torch.float64)
        from_s, until_s = self._near(times_s.double() - sound.start_s, last_s * _lasts(sound, times_s))
        from_s, until_s = from_s.clamp(min=float(heard[0])), until_s.clamp(max=float(heard[1]))
        mask = until_s > from_s
        clip = _statistics(values, heard[:1], heard[1:])
        near = _statistics(values, from_s, until_s)
        return Modality.where(torch.cat([near, clip.expand(len(near), -1)], 1), mask)

    def _near(self, times_s: Float[Tensor, "frames"], last_s: float) -> tuple[Tensor, Tensor]:
        """Twice the distance of frames, so that neighbours share half."""
        half_s = max(last_s / max(len(times_s) - 1, 1), _NEAR_S / 2)
        return times_s - half_s, times_s + half_s


class SpeakerVectors:
    """A WavLM's x-vectors of overlapping windows: 512 numbers of ``microsoft/wavlm-base-plus-sv``.

    Window i of n stands for frame i; each is 2 / (n + 1) of the clip and shares half with the next. Where only the
    beginning of the clip's sound was read, windows past it are masked.
    """

    kind = "wavlm_x_vector"

    def __init__(self, model: WavLMForXVector, preparation: Wav2Vec2FeatureExtractor) -> None:
        self._model, self._preparation = model, preparation
        self.width: int = cast("Any", model.config).xvector_output_dim

    @classmethod
    def pretrained(cls, source: str, device: torch.device) -> Self:
        """From a folder or a hub id.

        Raises:
            WeightsError: it is missing, or no WavLM with an x-vector head.
        """
        model: Any = load_pretrained(WavLMForXVector, source, whole=False).requires_grad_(False)
        return cls(model.to(device), Wav2Vec2FeatureExtractor(**read_settings(model_folder(source) / PREPARATION)))

    @torch.inference_mode()
    def encode(self, sound: Sound, times_s: Float[Tensor, "frames"]) -> Modality:
        if sound.heard_s is None or not sound.present:
            return Modality.absent(len(times_s), self.width)
        step = len(sound.samples) * _lasts(sound, times_s) / (len(times_s) + 1)
        starts = [round(index * step) for index in range(len(times_s))]
        length = max(round(2 * step), 1)
        device = next(self._model.parameters()).device
        values = torch.zeros(len(starts), self.width)
        there = [start for start in starts if start < len(sound.samples)]
        for begin in range(0, len(there), _BATCH):
            part = [sound.samples[start : start + length].numpy() for start in there[begin : begin + _BATCH]]
            values[begin : begin + len(part)] = self._embed(self._prepare(part).to(device)).cpu()
        heard = [(time_s - sound.start_s) * RATE_HZ for time_s in sound.heard_s]
        mask = torch.tensor([start < heard[1] and start + length > heard[0] for start in starts])
        return Modality.where(values, mask & values.isfinite().all(1))  # a window shorter than the network's has none

    def _embed(self, inputs: Any) -> Float[Tensor, "windows width"]:
        """Of one window each; not a number where the network's layers leave too little of it for a spread."""
        with warnings.catch_warnings():
            # transformers gives torch masks of two types, and takes the spread of a single step
            warnings.filterwarnings("ignore", "Support for mismatched|std\\(\\): degrees of freedom", UserWarning)
            vectors = self._model(**inputs).embeddings.float()
        if "attention_mask" in inputs:
            samples = inputs["attention_mask"].sum(1)
            model: Any = self._model
            steps = model._get_tdnn_output_lengths(model._get_feat_extract_output_lengths(samples))
            vectors[steps < _LEAST_STEPS] = torch.nan
        return vectors

    def _prepare(self, windows: list[np.ndarray]) -> Any:
        return self._preparation(
            windows,
            sampling_rate=RATE_HZ,
            max_length=_WINDOW,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )


# ``encode`` is given frame times that are equidistant, from the sound's start to the clip's end, before which the sound
# may be cut off; frames near which nothing is heard are masked.
SoundEncoder = SoundStatistics | SpeakerVectors


def _lasts(sound: Sound, times_s: Float[Tensor, "frames"]) -> float:
    """How long the clip is, as a multiple of its sound; 1, whatever rounds, unless the sound was cut off before."""
    sound_s, clip_s = len(sound.samples) / RATE_HZ, float(times_s[-1]) - sound.start_s
    return clip_s / sound_s if clip_s > sound_s + _ROUNDED_S else 1.0


def _statistics(
    values: Float[Tensor, "hops columns"], from_s: Float[Tensor, "windows"], until_s: Float[Tensor, "windows"]
) -> Float[Tensor, "windows statistics"]:
    """Weighted means, then spreads, of all columns over each window, by running sums."""
    weights = torch.ones_like(values)
    weights[:, LOG_F0] = (values[:, VOICING] >= VOICED).float()
    first = (from_s / HOP_S).round().long().clamp(0, len(values) - 1)
    last = torch.maximum((until_s / HOP_S).round().long().clamp(max=len(values)), first + 1)
    sums = []
    for column in (weights, weights * values, weights * values.square()):
        running = F.pad(column.double().cumsum(0), (0, 0, 1, 0))
        sums.append(running[last] - running[first])
    total = sums[0].clamp(min=1)
    mean = sums[1] / total
    spread = (sums[2] / total - mean.square()).clamp(min=0).sqrt()
    return torch.cat([mean, spread], 1).float()


@torch.inference_mode()
def hops(samples: Float[Tensor, "samples"]) -> Float[Tensor, "hops columns"]:
    """``COLUMNS`` at every ``HOP`` of a sound at 16 kHz, the first at its beginning; ``log_f0`` is 0 where unvoiced."""
    count = 1 + len(samples) // HOP
    padded = F.pad(samples, (_PITCH_FRAME // 2, _PITCH_FRAME // 2 + HOP))
    parts = []
    for first in range(0, count, _HOPS_AT_ONCE):
        last = min(first + _HOPS_AT_ONCE, count)
        stretch = padded[first * HOP : (last - 1) * HOP + _PITCH_FRAME]
        parts.append(_columns(stretch.unfold(0, _PITCH_FRAME, HOP)))
    return torch.cat(parts)


def _columns(wide: Float[Tensor, "hops 1024"]) -> Float[Tensor, "hops columns"]:
    margin = (_PITCH_FRAME - _FRAME) // 2
    frames = wide[:, margin : margin + _FRAME]
    power = torch.fft.rfft(frames * torch.hann_window(_FRAME), _FFT).abs().square() / _FRAME
    mels = (power @ _mel_bands() + _FLOOR).log()
    energy_db = 10 * (frames.square().mean(1) + _FLOOR).log10()
    crossings = (frames[:, 1:].sign() != frames[:, :-1].sign()).float().mean(1)
    period, voicing = _pitch(wide)
    voicing = torch.where(energy_db > _QUIET_DB, voicing, torch.zeros(()))
    log_f0 = torch.where(voicing >= VOICED, (RATE_HZ / period).log(), torch.zeros(()))
    return torch.cat([mels, torch.stack([energy_db, crossings, log_f0, voicing], 1)], 1)


def _pitch(frames: Float[Tensor, "hops 1024"]) -> tuple[Float[Tensor, "hops"], Float[Tensor, "hops"]]:
    """The period in samples, to a fraction of one, and the autocorrelation there, 0 to 1."""
    window = torch.hann_window(_PITCH_FRAME)
    centred = (frames - frames.mean(1, keepdim=True)) * window
    curve = _autocorrelation(centred) / _autocorrelation(window[None])
    lags = torch.arange(_SHORTEST, _LONGEST + 1)
    cost = _OCTAVE_COST * (lags / _SHORTEST).log2()
    middle = curve[:, lags]
    peak = (middle >= curve[:, lags - 1]) & (middle >= curve[:, lags + 1])  # an edge of the range is no period
    best = torch.where(peak, middle - cost, -math.inf).argmax(1)
    rows = torch.arange(len(frames))
    left, top, right = (curve[rows, lags[best] + step] for step in (-1, 0, 1))
    bend = (left - 2 * top + right).clamp(max=-1e-9)  # a peak bends down; a flat one would divide by zero
    shift = (0.5 * (left - right) / bend).clamp(-0.5, 0.5)
    found = peak[rows, best]
    return lags[best] + shift, torch.where(found, top, torch.zeros(())).clamp(0, 1)


def _autocorrelation(frames: Float[Tensor, "frames samples"]) -> Float[Tensor, "frames lags"]:
    power = torch.fft.rfft(frames, _PITCH_FFT).abs().square()
    curve = torch.fft.irfft(power, _PITCH_FFT)[:, : _LONGEST + 2]
    return curve / curve[:, :1].clamp(min=_FLOOR)


@cache
def _mel_bands() -> Float[Tensor, "bins bands"]:
    """Triangles equally wide on the mel scale, each of height 1."""
    mel = torch.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), MELS + 2, dtype=torch.float64)
    edges_hz = 700 * (torch.pow(10.0, mel / 2595) - 1)
    bins_hz = torch.linspace(0, RATE_HZ / 2, _FFT // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)
