"""Options that several commands take together, each stated once, and the settings that they stand for.

A command has a keyword argument of a group's type; ``with_groups`` makes each field an option. Fields are called as
those of the settings.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from omnisila.cli.arguments import split_names
from omnisila.labels import known_sets

if TYPE_CHECKING:
    from omnisila.inference.settings import AnalyzerConfig

_ADDRESS = typer.Option(help="OpenAI-compatible endpoint that has the model, such as http://localhost:8000/v1.")
RequiredBaseUrl = Annotated[str, _ADDRESS]
KeyVariable = Annotated[str, typer.Option(help='Environment variable with its key; "" for a server without keys.')]
Estimate = Annotated[bool, typer.Option("--estimate", help="Only tell what would be asked; ask none of it.")]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer is to see it: every field of a group is an option of its own."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        each.name: each.annotation for each in signature.parameters.values() if is_dataclass(each.annotation)
    }
    flat: list[inspect.Parameter] = []
    for each in signature.parameters.values():
        if each.name not in groups:
            flat.append(each.replace(kind=each.KEYWORD_ONLY))
            continue
        hints = get_type_hints(each.annotation, include_extras=True)
        flat += [
            inspect.Parameter(field.name, each.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
            for field in fields(each.annotation)
        ]

    @functools.wraps(command)
    def call(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    call.__dict__["__signature__"] = signature.replace(parameters=flat)
    call.__annotations__ = {each.name: each.annotation for each in flat}
    return call


@dataclass(frozen=True)
class RequestOptions:
    """How patiently an endpoint is asked, and what that costs: fields of ``RequestConfig``."""

    requests_per_minute: Annotated[float | None, typer.Option(help="At most so many, retries included.")] = None
    retries: Annotated[int, typer.Option(help="Of a request refused for the moment.", min=0)] = 5
    timeout_s: Annotated[float, typer.Option(help="Seconds for one try.")] = 120.0
    max_tokens: Annotated[int, typer.Option(help="Of one answer; 0 sends no limit.", min=0)] = 400
    price_in_per_million: Annotated[
        float | None, typer.Option("--price-in", help="Of a million tokens read, for the estimate.")
    ] = None
    price_out_per_million: Annotated[
        float | None, typer.Option("--price-out", help="Of a million tokens written, for the estimate.")
    ] = None

    @property
    def requests(self) -> dict[str, Any]:
        """Fields of ``RequestConfig``."""
        from omnisila.endpoint.settings import RequestConfig

        given = {name: value for name, value in vars(self).items() if name in RequestConfig.model_fields}
        return {**given, "max_tokens": self.max_tokens or None}


@dataclass(frozen=True)
class _Asking:
    """Groups that together stand for an ``AnalyzerConfig``."""

    def settings(self) -> "AnalyzerConfig":
        """What is asked of a video.

        Raises:
            InputError: a value that cannot be.
            LabelError: no such label set.
        """
        from omnisila.endpoint.settings import RequestConfig
        from omnisila.inference.settings import AnalyzerConfig

        given = {name: value for name, value in vars(self).items() if name in AnalyzerConfig.model_fields}
        if isinstance(self, RequestOptions):
            given["requests"] = RequestConfig.from_options(**self.requests)
        labels = given.pop("labels", None)
        if labels:
            given["labels"] = known_sets(split_names(labels))
        return AnalyzerConfig.from_options(**given)


@dataclass(frozen=True)
class WindowOptions(_Asking):
    """Which windows are scored."""

    window_s: Annotated[
        float | None,
        typer.Option("--window", help="Length of a scored window in seconds [model's own: 1; of reactions: 10]."),
    ] = None
    rate_hz: Annotated[
        float | None,
        typer.Option("--rate", help="Frames per second that a window's 8 frames are taken at [model's own: 4]."),
    ] = None


@dataclass(frozen=True)
class FindingOptions(_Asking):
    """What is a finding."""

    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="What to look for: implicit (events), explicit (sentiment of faces), anomaly (UCF-Crime's) or "
            "reaction (intensities; not of live streams), or a file that defines a label set (.yaml, for a plain "
            "Video-LLM); several with commas, or repeat it [what the model was trained on]."
        ),
    ] = None
    max_fnr: Annotated[
        float | None,
        typer.Option(
            help="Choose thresholds for at most this false-negative rate per video (conformal risk control on the "
            "model's validation footage; it holds only for footage like that)."
        ),
    ] = None
    camera: Annotated[
        Path | None,
        typer.Option(
            help="The fixed camera that the videos are of, a file of omnisila learn-camera: thresholds by its own "
            "ordinary scores, and findings of what it never showed (Unusual).",
        ),
    ] = None
    alarms_per_hour: Annotated[
        float | None,
        typer.Option(
            help="False alarms of each label set, and of Unusual, that are wanted on that camera at most [0.2]."
        ),
    ] = None


@dataclass(frozen=True)
class ShortcutOptions(_Asking):
    """What a large model leaves out."""

    first: Annotated[
        str | None,
        typer.Option(
            help="A smaller model, such as compact, that scores every window first; --model sees only what lies near "
            "its candidates. omnisila calibrate with the same options fits thresholds for the pair."
        ),
    ] = None
    first_threshold: Annotated[
        float | None,
        typer.Option(
            help="Score of an event from which --first calls a window a candidate; 0: --model sees all "
            "[as calibrated, else 0.1]."
        ),
    ] = None
    kept_tokens: Annotated[
        float,
        typer.Option(
            "--video-tokens",
            help="Share of a window's video tokens that a Video-LLM reads; those that change least over time are "
            "merged. Thresholds hold for the share that they were fitted with.",
        ),
    ] = 1.0


@dataclass(frozen=True)
class PlainOptions(_Asking):
    """How a Video-LLM that was not trained here is asked, on this machine or behind an endpoint."""

    contextual: Annotated[
        bool,
        typer.Option(
            "--contextual",
            help="Of a plain Video-LLM: divide each label's likelihood by that for an empty video, so that a label the "
            "model likes to say is not found everywhere.",
        ),
    ] = False
    scene_text: Annotated[
        bool,
        typer.Option(
            "--scene-text", help="Of a plain Video-LLM: tell it in words what the scene extractors saw in a window."
        ),
    ] = False
    base_url: Annotated[str | None, _ADDRESS] = None  # of models named openai:NAME
    key_variable: KeyVariable = "OPENAI_API_KEY"
    send_video: Annotated[
        bool,
        typer.Option(
            "--video-url",
            help="Send the endpoint stretches as video files, for servers that take video_url (vLLM, SGLang), in place "
            "of 8 pictures; it then chooses the frames.",
        ),
    ] = False
    estimate: Estimate = False
    parallel: Annotated[int, typer.Option(min=1, help="Questions on their way to an endpoint at a time.")] = 4

    def check_estimate(self, model: str) -> None:
        """Refuse an estimate of what costs nothing."""
        from omnisila.inference.run_folders import is_endpoint

        if self.estimate and not is_endpoint(model):
            raise typer.BadParameter(f"model {model!r} is on this machine and costs nothing", param_hint="--estimate")


@dataclass(frozen=True)
class AnswerOptions(RequestOptions, PlainOptions, ShortcutOptions, WindowOptions):
    """What ``predict`` asks with."""


@dataclass(frozen=True)
class AnalysisOptions(RequestOptions, PlainOptions, ShortcutOptions, FindingOptions, WindowOptions):
    """What ``analyze`` and ``batch`` ask with."""

    hop_s: Annotated[
        float | None,
        typer.Option(
            "--hop", help="Seconds from one window of reaction intensities to the next [their length: no overlap]."
        ),
    ] = None
