"""What windows show in words, from the extractors' own output: answers for scene tuning, and likely causes.

Nothing here is annotated. Descriptions state what was measured; a cause is the part of them that goes with the window's
label more than with others.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.causes.attribution import Clause, clauses
from omnisila.data.causes.evidence import seen_in
from omnisila.data.clips.features import FeatureStore, Job
from omnisila.files import write_atomically
from omnisila.schema import SceneName
from omnisila.training.bank import FeatureBank

MAX_CLAUSES = 4  # of a description or a cause, the best ones

WindowClauses = tuple[Clause, ...]


def describe_windows(
    store: FeatureStore, clips: Sequence[AnnotatedVideo], bank: FeatureBank
) -> tuple[WindowClauses, ...]:
    """For each window of a bank the clauses that are true of it, best supported first.

    Raises:
        OmnisilaError: a clip's features are missing.
    """
    found: list[WindowClauses] = []
    shard, at = None, None
    for window in range(len(bank)):
        job = Job(clips[int(bank.clip[window])], int(bank.copy[window]))
        if job != at:
            shard, at = store.shard(job), job
        assert shard is not None
        span = bank.span(window)
        found.append(clauses(*seen_in([shard], [span])))
    return tuple(found)


def save_descriptions(path: Path, descriptions: Sequence[WindowClauses]) -> None:
    """Write descriptions as JSON lines, one a window.

    Raises:
        OutputError: they cannot be written.
    """
    write_atomically(path, "".join(json.dumps([list(clause) for clause in window]) + "\n" for window in descriptions))


def load_descriptions(path: Path) -> tuple[WindowClauses, ...] | None:
    """Descriptions that were saved; None where there are none, or damaged ones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(tuple(Clause(*clause) for clause in json.loads(line)) for line in lines)
    except (OSError, ValueError, TypeError):
        return None


def scene_answer(described: WindowClauses, scene: SceneName) -> tuple[str, ...]:
    """The answer to "Please describe the ...": the best supported clauses of that scene."""
    return tuple(clause.text for clause in described if clause.scene == scene)[:MAX_CLAUSES]


class CauseTable:
    """How much more often a clause is true of a label's windows than of others', learnt from training windows.

    Args:
        smoothing: windows added to both sides of every ratio, so that a clause seen once is no cause.
    """

    def __init__(self, descriptions: Sequence[WindowClauses], labels: Sequence[str], smoothing: float = 5.0) -> None:
        self._total = Counter(labels)
        self._smoothing = smoothing
        self._with: Mapping[str, Counter[str]] = defaultdict(Counter)
        for described, label in zip(descriptions, labels, strict=True):
            for clause in described:
                self._with[label][clause.text] += 1
        self._anywhere: Counter[str] = Counter()
        for counts in self._with.values():
            self._anywhere.update(counts)

    def surprise(self, text: str, label: str) -> float:
        """log of the clause's frequency under the label over its frequency elsewhere."""
        inside, outside = self._total[label], self._total.total() - self._total[label]
        hits = self._with[label][text] if label in self._with else 0
        rate = (hits + self._smoothing * 0.1) / (inside + self._smoothing)
        other = (self._anywhere[text] - hits + self._smoothing * 0.1) / (outside + self._smoothing)
        return float(np.log(rate / other))

    def cause(self, described: WindowClauses, label: str) -> tuple[str, ...]:
        """The clauses of a window that go with its label, the most telling first; the best supported one if none do."""
        told = sorted(
            ((self.surprise(clause.text, label), clause.text) for clause in described),
            key=lambda item: (-item[0], item[1]),
        )
        telling = tuple(text for surprise, text in told if surprise > 0)[:MAX_CLAUSES]
        return telling or tuple(clause.text for clause in described[:1])
