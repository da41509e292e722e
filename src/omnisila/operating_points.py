"""The stored choice of thresholds: the content of a run folder's ``calibration.json``.

``evaluation.calibration`` fits it on a validation split; the analyzer reads it. It lives below both.
"""

from typing import Literal

from pydantic import Field

from omnisila.config import Frozen
from omnisila.errors import InputError
from omnisila.schema import Probability
from omnisila.spans import SpanShape, Thresholds

Method = Literal["empirical", "conformal"]
ALARMS_ARE_STRETCHES = (
    "A false alarm is a stretch that touches no event. A stricter miss rate flags more time, in which stretches grow "
    "together and into events, so their number can fall; the flagged share of eventless time cannot."
)
VALIDITY = "These thresholds hold only for footage like the validation split they were fitted on."


class OperatingPoint(Frozen):
    """Thresholds fitted for a wanted false-negative rate, and what they did on the validation split.

    ``thresholds`` names the curves that are thresholded: ``spans.ANOMALY_CURVE`` or single labels. Rates are ``None``
    where the split holds nothing to measure them on.

    Attributes:
        fnr_target: the wanted false-negative rate.
        method: ``empirical``: the split's own mean per-video rate is at most the target; ``conformal``: the expected
            per-video rate on new videos, exchangeable with the split's, is at most the target.
        fnr_micro: missed share of all eventful frames of the split.
        fnr_macro: mean over the split's eventful videos of each one's missed share.
        false_alarms_per_hour: spans that touch no event, per hour of eventless time; can fall as more is flagged
            (``ALARMS_ARE_STRETCHES``).
        false_alarm_frac: flagged share of eventless time, which only grows as the target falls; None also in records of
            earlier versions.
        videos: eventful videos that the fit rests on.
    """

    fnr_target: Probability
    method: Method
    thresholds: dict[str, Thresholds]
    fnr_micro: Probability | None
    fnr_macro: Probability | None
    false_alarms_per_hour: float | None = Field(ge=0)
    false_alarm_frac: Probability | None = None
    videos: int = Field(ge=1)


class LabelSetCalibration(Frozen):
    """What one label set's curves need to become findings; ``thresholds`` are those of a run that asks for no rate."""

    temperature: float = Field(gt=0)
    shape: SpanShape
    thresholds: dict[str, Thresholds]
    operating_points: tuple[OperatingPoint, ...] = ()

    def at_most(self, max_fnr: float, method: Method = "conformal") -> OperatingPoint:
        """The fitted point with the largest target that does not exceed ``max_fnr``: never more is missed than asked.

        Raises:
            InputError: nothing was fitted for so small a rate; the message gives the smallest there is.
        """
        points = sorted(
            (point for point in self.operating_points if point.method == method), key=lambda point: point.fnr_target
        )
        kept = [point for point in points if point.fnr_target <= max_fnr]
        if kept:
            return kept[-1]
        smallest = (
            f"The smallest it was fitted for is {points[0].fnr_target:g}." if points else "It was fitted for none."
        )
        raise InputError(
            f"false-negative rate {max_fnr:g}: this model's {method} calibration has no thresholds for it. "
            f"{smallest} Ask for a larger rate, or calibrate on more videos."
        )


class Shortcuts(Frozen):
    """What a model leaves out to be faster; thresholds hold only for what they were fitted with.

    Attributes:
        first: digest of the model that scores every window before it, so that it need not; None: it scores all itself.
        kept_tokens: share of a window's video tokens that the language model reads.
        first_threshold: it scores the windows near those that the first gives at least this score of an event.
    """

    first: str | None = None
    first_threshold: Probability = 0.0
    kept_tokens: float = Field(default=1.0, gt=0, le=1)

    @property
    def suffix(self) -> str:
        """What tells results apart by them; empty where nothing is left out."""
        first = f"+first{self.first_threshold:g}@{self.first[:6]}" if self.first else ""
        return first + (f"+tokens{self.kept_tokens:g}" if self.kept_tokens < 1 else "")


class Calibration(Frozen):
    """The whole of ``calibration.json``.

    Attributes:
        label_sets: by name of the label set.
        split: which footage the thresholds were fitted on, in words.
        grid_hz: the frame grid on which rates were measured.
        note: what a command prints when it uses the record.
        shortcuts: what the model left out when they were fitted.
    """

    label_sets: dict[str, LabelSetCalibration]
    split: str
    grid_hz: float = Field(gt=0)
    note: str = VALIDITY
    shortcuts: Shortcuts = Shortcuts()
