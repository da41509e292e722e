"""How something is said, ten milliseconds at a time: log-mel bands, loudness, zero crossings, pitch.

Pitch is the strongest peak of the autocorrelation, corrected for the window's own; longer periods cost a little, or a
voice would be heard an octave too low. Source: Boersma 1993.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnisila.media.audio import RATE_HZ

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
    bend = (left - 2 * top + right).clamp(max=-1e-9)
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
