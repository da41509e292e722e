"""A cascade: a first model scores every window, and a larger one sees the candidates alone.

The time near a candidate counts too: smoothing a curve reads its neighbours. Source: Viola and Jones 2001, section 4;
decision D250.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.inference.scoring import Scored, Scorer
from omnisila.schema import Span
from omnisila.spans import anomaly_scores


class Candidates(NamedTuple):
    """Windows of a video that may hold an event."""

    start_s: Float[np.ndarray, "candidates"]
    end_s: Float[np.ndarray, "candidates"]
    margin_s: float

    def is_near(self, span: Span) -> bool:
        """Whether one of them lies in a span or within the margin beside it."""
        near = (self.start_s < span.end_s + self.margin_s) & (self.end_s > span.start_s - self.margin_s)
        return bool(near.any())


def candidates(scorer: Scorer, scored: Scored, threshold: float, margin_s: float) -> Candidates:
    """The windows that the first model gives at least this score of an event of any of its label sets."""
    start_s, end_s = (np.array([getattr(span, side) for span in scored.spans]) for side in ("start_s", "end_s"))
    scores = [
        anomaly_scores(scored.posteriors[name], scorer.run.record.labels[name], labels)
        for name, labels in scorer.label_sets.items()
    ]
    found = np.max(scores, axis=0) >= threshold
    return Candidates(start_s[found], end_s[found], margin_s)
