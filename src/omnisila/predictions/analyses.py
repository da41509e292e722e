"""What ``omnisila analyze`` wrote, as predictions: its JSON answers the examples of the videos that it analysed.

Findings answer locate examples. The curve answers identify examples: their label is the likeliest over their time.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from omnisila.config import first_fault
from omnisila.data.instructions import Located, render_located
from omnisila.errors import RecordError
from omnisila.inference.parsed_answers import posterior_prediction
from omnisila.predictions.places import Place
from omnisila.predictions.spans import VideoNames
from omnisila.schema import Analysis, Example, Prediction
from omnisila.systems import System


def read_analysis(path: Path) -> Analysis | None:
    """The analysis that a file holds; None for a file of another kind.

    Raises:
        RecordError: it is an analysis, but a damaged one.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not {"schema_version", "anomaly_curve"} <= content.keys():
        return None
    return parse_analysis(text, str(path))


def parse_analysis(text: str, name: str = "analysis JSON") -> Analysis:
    """The analysis that a text holds.

    Raises:
        RecordError: not such an analysis; the message names the first field that is wrong.
    """
    try:
        return Analysis.model_validate_json(text)
    except ValidationError as error:
        fault = first_fault(error, at="the file")
        raise RecordError(f"{name}: {fault}. Give a file that omnisila wrote.") from None


def answer_by_analyses(
    found: Sequence[tuple[Path, Analysis]],
    examples: Sequence[Example],
    system: str | None,
    others: Iterable[Example] = (),
) -> System:
    """The predictions that analyses of one model make.

    Args:
        examples: what was asked; tasks other than locate and identify stay without prediction.
        system: what the system is to be called; by default the model's name with its digest.
        others: examples that are not asked now; analyses of their videos are passed over.

    Raises:
        RecordError: analyses of several models, or two of one video.
    """
    name = system or _model_of(found)
    asked: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        asked[example.video].append(example)
    names, elsewhere = VideoNames(asked), VideoNames(example.video for example in others)
    source: dict[str, Path] = {}
    predictions: list[Prediction] = []
    strangers: list[str] = []
    for path, analysis in found:
        place = Place(str(path), "an analysis of one of the examples' videos")
        video = names.find(analysis.video.path, place)
        if video is None:
            if elsewhere.find(analysis.video.path, place) is None:
                strangers.append(analysis.video.path)
            continue
        if video in source:
            raise RecordError(f"{path}: an analysis of {video}, as {source[video]} is. Keep one of them.")
        source[video] = path
        predictions += _answers(analysis, asked[video], name)
    return System(name, tuple(predictions), tuple(strangers))


def _model_of(found: Sequence[tuple[Path, Analysis]]) -> str:
    models = dict.fromkeys(f"{analysis.model.name}@{analysis.model.digest[:12]}" for _, analysis in found)
    if len(models) > 1:
        raise RecordError(
            f"{found[0][0].parent}: analyses of {', '.join(models)}, wanted one model's. Give each a folder."
        )
    return next(iter(models))


def _answers(analysis: Analysis, examples: Sequence[Example], system: str) -> Iterator[Prediction]:
    located = [example for example in examples if example.task == "locate" and example.labels in analysis.labels]
    features_s = analysis.timings_s.get("features", 0.0)
    spent_s = sum(seconds for stage, seconds in analysis.timings_s.items() if "/" not in stage) - features_s
    for example in located:
        findings = tuple(finding for finding in analysis.findings if finding.labels == example.labels)
        answer = render_located([Located(finding.label, finding.span) for finding in findings])
        seconds = features_s + spent_s / len(located) if analysis.timings_s else None
        yield Prediction(example_id=example.id, system=system, answer=answer, findings=findings, seconds=seconds)
    for example in examples:
        if example.task == "identify" and (posterior := _posterior(analysis, example)):
            yield posterior_prediction(example, system, posterior)


def _posterior(analysis: Analysis, example: Example) -> dict[str, float]:
    """Each label's mean probability over the example's time; empty where nothing of it was scored."""
    total: defaultdict[str, float] = defaultdict(float)
    scored_s = 0.0
    for point in analysis.anomaly_curve:
        shared_s = min(point.end_s, example.end_s) - max(point.start_s, example.start_s)
        if shared_s > 0 and example.labels in point.posterior:
            scored_s += shared_s
            for label, share in point.posterior[example.labels].items():
                total[label] += shared_s * share
    return {label: min(share / scored_s, 1.0) for label, share in total.items()}
