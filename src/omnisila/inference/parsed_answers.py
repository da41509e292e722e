"""What an answer's text says, as a prediction."""

from collections.abc import Mapping, Sequence

from omnisila.data.instructions import Located, parse_label, parse_located, render_label, render_located
from omnisila.inference.stated_intensities import stated_intensities
from omnisila.labels import label_set
from omnisila.schema import Example, Finding, Prediction, Span


def parsed_answer(example: Example, answer: str, name: str) -> Prediction:
    """An answer's text as a prediction of the system ``name``; what is not of the form stays raw, ``parse_ok`` false.

    The text of ``attribute`` and ``describe`` is free.
    """
    said = Prediction(example_id=example.id, system=name, answer=answer)
    if example.task == "react":
        intensities = stated_intensities(answer)
        return said.replace(intensities=intensities or None, parse_ok=bool(intensities))
    if example.task not in ("identify", "locate"):
        return said
    labels = label_set(example.labels)
    located: Sequence[Located] | None
    if example.task == "locate":
        located = parse_located(answer, labels)
    else:
        label = parse_label(answer, labels)
        whole = Span(start_s=example.start_s, end_s=example.end_s)
        located = None if label is None else [Located(label, whole)] if label != labels.quiet else []
    return said.replace(findings=located_findings(located or (), labels.name), parse_ok=located is not None)


def located_findings(located: Sequence[Located], labels: str, score: float = 1.0) -> tuple[Finding, ...]:
    """What was located as findings of one label set, all with one score."""
    score = min(max(score, 0.0), 1.0)
    return tuple(Finding(span=span, label=label, labels=labels, score=score, cause=None) for label, span in located)


def posterior_prediction(example: Example, name: str, posterior: Mapping[str, float]) -> Prediction:
    """A posterior over an example's labels as the answer to identify; the likeliest label is said."""
    labels = label_set(example.labels)
    shares = {label: min(max(share, 0.0), 1.0) for label, share in posterior.items()}
    best = max(shares, key=shares.__getitem__)
    located = () if best == labels.quiet else (Located(best, Span(start_s=example.start_s, end_s=example.end_s)),)
    return Prediction(
        example_id=example.id,
        system=name,
        answer=render_label(best),
        findings=located_findings(located, labels.name, shares[best]),
        anomaly=1.0 - shares[labels.quiet] if labels.quiet in shares else None,
        posterior=shares,
    )


def located_within(example: Example, name: str, findings: Sequence[Finding]) -> Prediction:
    """What was found in the example's stretch of the video; spans are cut to it."""
    mine: list[Finding] = []
    for finding in findings:
        start_s, end_s = max(finding.span.start_s, example.start_s), min(finding.span.end_s, example.end_s)
        if finding.labels == example.labels and start_s < end_s:
            mine.append(finding.replace(span=Span(start_s=start_s, end_s=end_s)))
    answer = render_located([Located(finding.label, finding.span) for finding in mine])
    return Prediction(example_id=example.id, system=name, answer=answer, findings=tuple(mine))
