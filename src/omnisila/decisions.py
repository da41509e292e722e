"""What people decided about findings: one line of a ``decisions.jsonl``, as ``omnisila decisions export`` writes it."""

from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from omnisila.config import Frozen
from omnisila.errors import InputError
from omnisila.records import records
from omnisila.schema import Probability, Seconds

Verdict = Literal["accepted", "rejected"]
Rating = Annotated[int, Field(ge=1, le=6)]  # Omni-SILA 4.3: 1 completely wrong, 6 completely correct


class Decision(Frozen):
    """One person's latest word on one finding; the model's word stands beside it.

    Attributes:
        finding: its id (``digests.finding_id``); of one that a person added, an id of its own.
        verdict: None where the person only rated the cause or changed something.
        labels: the label set.
        label: what the model said; of an added finding, what the person said.
        new_label: what the person says instead; None where they left it.
        start_s: the person's span, to the millisecond; the model's where they left it.
        model_start_s: the model's span; None for a finding that the model missed.
        video: the path in the analysis.
        duration_s: of the video.
        score: the model's; 1 for a finding that a person added.
        cause: the model's.
        rating: of the cause, from 1 (completely wrong) to 6 (completely correct).
        analysis: SHA-256 of the analysis file that was judged.
        model: the model's name and digest.
    """

    finding: str
    verdict: Verdict | None
    labels: str
    label: str
    new_label: str | None = None
    start_s: Seconds
    end_s: Seconds
    model_start_s: Seconds | None
    model_end_s: Seconds | None
    video: str
    video_sha256: str
    duration_s: Seconds
    user: str
    decided_utc: datetime
    score: Probability
    cause: str | None = None
    rating: Rating | None = None
    analysis: str
    model: str

    @property
    def final_label(self) -> str:
        """What the finding is after the decision."""
        return self.new_label or self.label


def check_decisions(path: Path) -> None:
    """Be sure, before any long work, that a file holds decisions and nothing else.

    Raises:
        InputError: it holds none.
        RecordError: it is missing, or a line is no decision.
    """
    if not deque(records(path, Decision), maxlen=1):
        raise InputError(f"{path}: holds no decision. Export them with omnisila decisions export.")
