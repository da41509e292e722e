"""What is asked of a video."""

from pathlib import Path

from pydantic import Field

from omnisila.camera_use import check_camera_file
from omnisila.config import Config
from omnisila.endpoint.settings import EndpointConfig, RequestConfig, public_address
from omnisila.errors import InputError
from omnisila.labels import REACTION

_LEAST_S, _MOST_S = 0.04, 3600.0  # a picture of a film; longer windows and hops are slips of the hand
_FASTEST_HZ = 240.0  # of slow-motion cameras; what is above it would only repeat pictures, without end


class AnalyzerConfig(Config):
    """What is asked of a video.

    Attributes:
        labels: names of label sets; the first one's anomaly curve is the page's.
        window_s: length of a window; None takes the model's own, as does ``rate_hz``.
        hop_s: from the start of one window of reaction intensities to the next; None: they do not overlap.
        rate_hz: frames per second within a window.
        max_fnr: choose thresholds for at most this false-negative rate per video; None takes the model's own choice.
        camera: file of the fixed camera that the video is of (``omnisila learn-camera``).
        alarms_per_hour: false alarms of each label set, and of what is unusual, that are wanted on that camera at most;
            None takes ``cameras.camera.ALARMS_PER_HOUR``.
        first: a model that scores every window before this one, which then sees candidates alone (``shortcuts_of``).
        first_threshold: of its scores; None takes the one that the thresholds were fitted with, or the usual one.
        kept_tokens: share of a window's video tokens that a Video-LLM's language model reads (``models.merging``).
        contextual: of a Video-LLM without training, divide likelihoods by those for an empty video.
        scene_text: show such a model what the scene extractors saw, in words.
        base_url: address of the endpoint of a model ``openai:NAME``.
        key_variable: environment variable with its key; empty for a server that wants none.
        send_video: send it stretches as ``video_url`` in place of frames as pictures.
    """

    labels: tuple[str, ...] = ("implicit", "explicit")
    window_s: float | None = Field(default=None, ge=_LEAST_S, le=_MOST_S)
    hop_s: float | None = Field(default=None, ge=_LEAST_S, le=_MOST_S)
    rate_hz: float | None = Field(default=None, ge=1 / _MOST_S, le=_FASTEST_HZ)
    max_fnr: float | None = Field(default=None, gt=0, lt=1)
    camera: Path | None = None
    alarms_per_hour: float | None = Field(default=None, gt=0)
    kept_tokens: float = Field(default=1.0, gt=0, le=1)
    first: str | None = None
    first_threshold: float | None = Field(default=None, ge=0, le=1)
    contextual: bool = False
    scene_text: bool = False
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    requests: RequestConfig = RequestConfig()
    send_video: bool = False

    @property
    def server(self) -> str | None:
        """``base_url`` as results name it: without user, password and query, which may be secret."""
        return None if self.base_url is None else public_address(self.base_url)

    def endpoint(self, name: str) -> EndpointConfig:
        """The endpoint of the model of that name.

        Raises:
            InputError: no address.
        """
        if self.base_url is None:
            raise InputError(f"model openai:{name}: no address. Give --base-url, such as http://localhost:8000/v1.")
        return EndpointConfig(base_url=self.base_url, model=name, key_variable=self.key_variable, **dict(self.requests))


def split_settings(settings: AnalyzerConfig) -> tuple[AnalyzerConfig | None, AnalyzerConfig | None]:
    """What is asked of the scene model, and what of the reaction model; None of the one that is asked nothing.

    Raises:
        InputError: an option that one of them does not know.
    """
    if settings.camera is None and settings.alarms_per_hour is not None:
        raise InputError(
            f"{settings.alarms_per_hour:g} false alarms an hour: that can be said of a known camera alone. Learn one "
            "with omnisila learn-camera and give it with --camera, or leave --alarms-per-hour out."
        )
    if settings.camera is not None and settings.max_fnr is not None:
        raise InputError(
            "--max-fnr and --camera both choose the thresholds. Give one: a rate of misses on the model's own "
            "validation footage, or of false alarms on this camera."
        )
    if settings.camera is not None and settings.first is not None:
        raise InputError("--first and --camera: a camera is learnt from scores of every window. Give one of the two.")
    if settings.camera is not None:
        check_camera_file(settings.camera)
    events = tuple(name for name in settings.labels if name != REACTION.name)
    if not events:
        check_reaction_settings(settings)
        return None, settings
    if len(events) == len(settings.labels):
        if settings.hop_s is not None:
            raise InputError(
                f"hop {settings.hop_s:g} s: only windows of reaction intensities may overlap. Leave it out."
            )
        return settings, None
    if settings.window_s is not None:
        raise InputError(
            f"window {settings.window_s:g} s: events are looked for in windows of about 1 s, reactions in windows of "
            "about 10 s. Leave it out, or analyse one of the two at a time."
        )
    return (
        settings.replace(labels=events, hop_s=None),
        AnalyzerConfig(labels=(REACTION.name,), hop_s=settings.hop_s),
    )


def check_reaction_settings(settings: AnalyzerConfig) -> None:
    """Whether these can be asked of a reaction model.

    Raises:
        InputError: other label sets, or an option that reactions do not know.
    """
    if settings.labels != (REACTION.name,):
        raise InputError(
            f"a reaction model measures label set {REACTION.name!r} alone, not {', '.join(settings.labels)}. Give "
            f"--labels {REACTION.name}, or another model."
        )
    unknown = [name for name in ("rate_hz", "max_fnr", "camera", "first") if getattr(settings, name) is not None]
    if unknown:
        raise InputError(
            f"{' and '.join(unknown)}: reactions are measured on 32 frames a window and have no thresholds. Leave it "
            "out; the window's length can be chosen."
        )
