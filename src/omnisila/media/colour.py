"""High dynamic range and wide gamut to the colours of an ordinary screen: BT.2100's PQ and HLG, BT.2020 to BT.709."""

from functools import cache
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc
from jaxtyping import Float, UInt8, UInt16

WHITE_NITS = 203.0  # diffuse white in PQ and in HLG on a screen of 1000 nits; becomes the SDR screen's peak. BT.2408
PEAK_NITS = 1000.0  # what is brighter is shown as white: HLG's nominal peak, and that of most PQ masters. BT.2100
_HLG_GAMMA = 1.2  # of the whole system at 1000 nits. BT.2100 table 5
_GAINS = 4096
_SDR_GAMMA = 2.4  # BT.1886
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # SMPTE ST 2084
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073  # BT.2100 table 5
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TRANSFERS = {ColorTrc.SMPTE2084: "HDR (PQ)", ColorTrc.ARIB_STD_B67: "HDR (HLG)"}
_TO_BT709 = {  # linear RGB of wider primaries to that of BT.709
    ColorPrimaries.BT2020: np.array(  # BT.2087
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
    ),
    ColorPrimaries.SMPTE432: np.array(  # Display P3
        [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32
    ),
}


class Colour(NamedTuple):
    """How code values stand for light: libav's numbers of the transfer characteristic and of the primaries."""

    transfer: int
    primaries: int

    @classmethod
    def of(cls, frame: VideoFrame) -> "Colour":
        return cls(frame.color_trc, frame.color_primaries)

    @property
    def is_sdr(self) -> bool:
        """Whether an ordinary screen shows the code values right as they are."""
        return self.transfer not in _TRANSFERS and self.primaries not in _TO_BT709

    def __str__(self) -> str:
        for transfer, name in _TRANSFERS.items():
            if self.transfer == transfer:
                return name
        return "SDR" if self.is_sdr else "a wide colour gamut"

    def to_sdr(self, codes: UInt16[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """Full-range R'G'B' codes as BT.709 ones for a BT.1886 screen.

        Highlights roll off by BT.2390's EETF, applied to the strongest of R, G and B so that hues stay; colours that
        BT.709 cannot show are clipped. Without a high dynamic range only the primaries are converted.
        """
        light = _light(self.transfer)[codes >> 4]
        if self.transfer == ColorTrc.ARIB_STD_B67:
            light *= PEAK_NITS * (light @ _BT2020_LUMA)[..., None] ** (_HLG_GAMMA - 1.0)
        if self.transfer in _TRANSFERS:
            strongest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
            light *= _gain()[np.sqrt(strongest * (_GAINS**2 / PEAK_NITS)).astype(np.int16)][..., None]
        matrix = _TO_BT709.get(ColorPrimaries(self.primaries))
        if matrix is not None:
            light = light @ matrix.T
        light = np.clip(light * (1.0 / WHITE_NITS), 0.0, 1.0)
        return (255.0 * light ** (1.0 / _SDR_GAMMA) + 0.5).astype(np.uint8)


def pq_nits(code_frac: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Luminance that a PQ code value in 0..1 stands for. Source: SMPTE ST 2084 equation 4.1."""
    power = code_frac ** (1.0 / _M2)
    return 10_000.0 * (np.maximum(power - _C1, 0.0) / (_C2 - _C3 * power)) ** (1.0 / _M1)


def pq_code(nits: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """The inverse of ``pq_nits``."""
    power = (nits / 10_000.0) ** _M1
    return ((_C1 + _C2 * power) / (1.0 + _C3 * power)) ** _M2


def hlg_scene_light(code_frac: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Scene light in 0..1 that an HLG code value in 0..1 stands for. Source: BT.2100 table 5."""
    return np.where(code_frac <= 0.5, code_frac**2 / 3.0, (np.exp((code_frac - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)


def eetf_nits(nits: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Luminance of a master of ``PEAK_NITS`` on a screen that reaches ``WHITE_NITS``. Source: BT.2390 section 5.4.1."""
    peak, top = pq_code(np.array([PEAK_NITS, WHITE_NITS], np.float32))
    code, top = np.minimum(pq_code(nits) / peak, 1.0), top / peak
    knee = 1.5 * top - 0.5
    t = np.maximum(code - knee, 0.0) / (1.0 - knee)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    return pq_nits(np.where(code < knee, code, rolled) * peak)


@cache
def _light(transfer: int) -> Float[np.ndarray, "4096"]:
    """Light of every 12-bit code value: scene light in 0..1 of HLG, otherwise nits."""
    code_frac = np.linspace(0.0, 1.0, 4096)
    if transfer == ColorTrc.SMPTE2084:
        light = np.minimum(pq_nits(code_frac), PEAK_NITS)
    elif transfer == ColorTrc.ARIB_STD_B67:
        light = hlg_scene_light(code_frac)
    else:
        light = WHITE_NITS * code_frac**_SDR_GAMMA
    return light.astype(np.float32)


@cache
def _gain() -> Float[np.ndarray, "4097"]:
    """The EETF as a factor, by the square root of the luminance: darkness, where the eye is keen, gets most entries."""
    nits = PEAK_NITS * (np.arange(1, _GAINS + 1) / _GAINS) ** 2
    return np.concatenate([[1.0], eetf_nits(nits) / nits]).astype(np.float32)
