"""Likelihoods of answers that are single letters, from what an endpoint states of its first token.

Not every server states them, and some state numbers that cannot be probabilities of what they say; both is told.
"""

import math
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

MOST_LISTED = 20  # tokens whose log-probabilities an endpoint gives at most; more is refused by most
TRUSTED = 0.5  # least probability of a letter that was asked for by name
_ROUNDING = 0.01
_SIGNS = string.whitespace + string.punctuation + "\u2581\u0120\u010a"  # with the marks of spaces of two tokenizers


class Weighed(NamedTuple):
    """How likely an answer is to begin with each of some letters; or why the endpoint does not say so.

    ``weights`` are probabilities among all tokens: what they lack to 1 belongs to other beginnings.
    """

    weights: dict[str, float]
    fault: str = ""


def letter_weights(choice: Any, letters: Sequence[str]) -> Weighed:
    """The letters' weights, unless what is stated of the first token cannot be probabilities of it."""
    stated: Sequence[Any] = (choice.logprobs.content if choice.logprobs else None) or ()
    listed = [(item.token, item.logprob) for item in stated[0].top_logprobs] if stated else []
    if not stated or len(listed) < 2:
        return Weighed({}, "it gives no log-probabilities of the tokens that an answer may begin with")
    if not all(math.isfinite(logprob) and logprob <= _ROUNDING for _, logprob in listed):
        return Weighed({}, "its log-probabilities are no numbers up to 0")
    total = sum(math.exp(logprob) for _, logprob in listed)
    if total > 1 + _ROUNDING:
        return Weighed({}, f"the probabilities that it gives add up to {total:.3g}")
    said = (choice.message.content or "").strip()
    if said and _plain(stated[0].token) not in said:
        return Weighed(
            {}, f"its log-probabilities are of another answer ({stated[0].token!r}) than it gives ({said!r})"
        )
    weights = dict.fromkeys(letters, 0.0)
    for token, logprob in listed:
        if _plain(token) in weights:
            weights[_plain(token)] += math.exp(logprob)
    absent = [letter for letter, weight in weights.items() if not weight]
    if len(absent) == len(weights):
        return Weighed({}, f"none of the {len(listed)} tokens that it lists is a letter that was asked for")
    # what is not listed is no likelier than the least of the list, and all of it together than the rest
    least = min(min(math.exp(logprob) for _, logprob in listed), max(1 - total, 0.0) / max(len(absent), 1))
    return Weighed(weights | dict.fromkeys(absent, least))


def _plain(token: str) -> str:
    """A token without marks of word beginnings, spaces and signs."""
    return token.strip(_SIGNS)
