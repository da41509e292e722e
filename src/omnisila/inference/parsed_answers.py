"""What an answer's text says, as a prediction."""

from collections.abc import Sequence

from omnisila.data.instructions import Located, parse_intensities, parse_label, parse_located
from omnisila.labels import label_set
from omnisila.schema import Example, Finding, Prediction, Span


def parsed_answer(example: Example, answer: str, name: str) -> Prediction:
    """An answer's text as a prediction; what is not of the form stays raw with ``parse_ok`` false."""
    labels = label_set(example.labels)
    findings: tuple[Finding, ...] | None = ()
    if example.task == "identify":
        label = parse_label(answer, labels)
        whole = Span(start_s=example.start_s, end_s=example.end_s)
        said = () if label == labels.quiet else (Located(label, whole),) if label is not None else None
        findings = None if said is None else located_findings(said, labels.name)
    elif example.task == "locate":
        located = parse_located(answer, labels)
        findings = None if located is None else located_findings(located, labels.name)
    elif example.task == "react":
        intensities = parse_intensities(answer, labels)
        parse_ok = intensities is not None
        return Prediction(example_id=example.id, system=name, answer=answer, intensities=intensities, parse_ok=parse_ok)
    return Prediction(
        example_id=example.id, system=name, answer=answer, findings=findings or (), parse_ok=findings is not None
    )


def located_findings(located: Sequence[Located], labels: str, score: float = 1.0) -> tuple[Finding, ...]:
    """What was located as findings of one label set, all with one score."""
    score = min(max(score, 0.0), 1.0)
    return tuple(Finding(span=span, label=label, labels=labels, score=score, cause=None) for label, span in located)
