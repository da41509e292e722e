"""How alike people rate: Krippendorff's alpha, and the plain difference of their ratings."""

import itertools
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.errors import needing

LOWEST, HIGHEST = 1, 6  # Omni-SILA 4.3: completely wrong, completely correct


class Agreement(NamedTuple):
    """How alike the raters are; None, with a note, where it cannot be measured.

    ``alpha`` is Krippendorff's: 1 is full agreement, 0 what chance gives. ``mean_difference`` is
    that of two ratings of one cause. ``causes`` have at least two ratings.
    """

    alpha: float | None
    mean_difference: float | None
    causes: int
    note: str | None


def agreement(
    values: Float[np.ndarray, "causes raters"], level: Literal["ordinal", "nominal"] = "ordinal"
) -> Agreement:
    """How alike raters rate; NaN is no rating.

    Args:
        values: whole numbers from ``LOWEST`` to ``HIGHEST``.
        level: ``nominal`` where the numbers only tell answers apart, such as verdicts.

    Raises:
        InputError: krippendorff is not installed.
    """
    given = (~np.isnan(values)).sum(axis=1)
    paired = values[given >= 2]
    if not len(paired):
        who = "a single rater" if values.shape[1] == 1 else "no cause has two ratings"
        return Agreement(None, None, 0, f"{who}: agreement needs two ratings of one cause")
    differences = [
        np.abs(first - other)[~np.isnan(first - other)] for first, other in itertools.combinations(paired.T, 2)
    ]
    mean_difference = float(np.concatenate(differences).mean())
    if len(np.unique(paired[~np.isnan(paired)])) == 1:
        note = "all ratings are the same number: chance would agree as well"
        return Agreement(None, mean_difference, len(paired), note)
    with needing("krippendorff", "the agreement of raters", "evaluate"):
        import krippendorff
    domain = np.arange(LOWEST, HIGHEST + 1)
    alpha = float(krippendorff.alpha(paired.T, value_domain=domain, level_of_measurement=level))
    return Agreement(alpha, mean_difference, len(paired), None)
