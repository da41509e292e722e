"""What is heard around each frame: x-vectors of a user's WavLM, or the embedded statistics of prosody.

Source: ViPER's audio token, emotional-reaction paper 4.3.
"""

import warnings
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

from omnisila.media.audio import RATE_HZ, Sound
from omnisila.scenes.reaction.features import Modality
from omnisila.scenes.reaction.prosody import COLUMNS, HOP_S, LOG_F0, VOICED, VOICING, hops
from omnisila.weights.checkpoint_files import PREPARATION, model_folder
from omnisila.weights.pretrained import load_pretrained, read_settings

_WINDOW = 16_000  # samples; ViPER cuts longer windows and fills shorter ones up
_BATCH = 8
_LEAST_STEPS = 2
_NEAR_S = 0.5  # of sound around a frame, at least: less holds no syllable
_ROUNDED_S = 0.1  # frame times are float32: days into a recording they are this far off


@runtime_checkable
class SoundEncoder(Protocol):
    """The sound of a clip to one vector a frame."""

    @property
    def kind(self) -> str:
        """What the numbers are."""
        ...

    @property
    def width(self) -> int: ...

    def encode(self, sound: Sound, times_s: Float[Tensor, "frames"]) -> Modality:
        """Of the clip's sound; masked where none is heard near a frame.

        Args:
            sound: of the whole clip.
            times_s: equidistant, from the sound's start to the clip's end, before which the sound may be cut off.
        """
        ...


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
            WeightsError: it is not there, or no WavLM with an x-vector head.
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
            values[begin : begin + len(part)] = self._embedded(self._prepared(part).to(device)).cpu()
        heard = [(time_s - sound.start_s) * RATE_HZ for time_s in sound.heard_s]
        mask = torch.tensor([start < heard[1] and start + length > heard[0] for start in starts])
        return Modality.where(values, mask & values.isfinite().all(1))  # a window shorter than the network's has none

    def _embedded(self, inputs: Any) -> Float[Tensor, "windows width"]:
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

    def _prepared(self, windows: list[np.ndarray]) -> Any:
        return self._preparation(
            windows,
            sampling_rate=RATE_HZ,
            max_length=_WINDOW,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )


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
