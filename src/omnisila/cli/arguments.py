"""Arguments and options that several commands take, each stated once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer


def file_argument(metavar: str | None, text: str) -> Any:
    """An argument that is a file, which must be there."""
    return typer.Argument(metavar=metavar, help=text, exists=True, dir_okay=False)


def folder_argument(metavar: str | None, text: str) -> Any:
    """Likewise a folder."""
    return typer.Argument(metavar=metavar, help=text, exists=True, file_okay=False)


def file_option(text: str, metavar: str | None = None) -> Any:
    """An option that is a file, which must be there."""
    return typer.Option(help=text, metavar=metavar, exists=True, dir_okay=False)


def folder_option(text: str) -> Any:
    """Likewise a folder."""
    return typer.Option(help=text, exists=True, file_okay=False)


Examples = Annotated[Path, file_argument("EXAMPLES", "An examples.jsonl, as prepare writes it.")]
Footage = Annotated[Path, folder_option("Folder that the examples' videos are in.")]
SPLIT_HELP = "The split: train, val or test. Default: test, or the only one there is."
ScoredSplit = Annotated[str | None, typer.Option(help=SPLIT_HELP)]
Draws = Annotated[int, typer.Option(min=0, help="Draws of the bootstrap over videos; 0: no intervals.")]
LabelFiles = Annotated[
    list[str] | None,
    typer.Option("--labels", help="A file that defines a label set, so that examples of it are known; repeat it."),
]
AskedLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        help="What to look for: implicit (events), explicit (sentiment of faces), anomaly (UCF-Crime's) or "
        "reaction (intensities), or a file that defines a label set (.yaml, for a plain Video-LLM); several with "
        "commas, or repeat it [what the model was trained on].",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="compact, compact-hawkeye, a run folder, or a plain Video-LLM's folder (zero-shot), or the hub id of "
        "either; query:BACKBONE: such a Video-LLM, asked in words; openai:NAME: one behind an endpoint."
    ),
]
Window = Annotated[
    float | None, typer.Option(help="Length of a scored window in seconds [model's own: 1; of reactions: 10].")
]
Hop = Annotated[
    float | None,
    typer.Option(help="Seconds from one window of reaction intensities to the next [their length: no overlap]."),
]
Rate = Annotated[
    float | None, typer.Option(help="Frames per second that a window's 8 frames are taken at [model's own: 4].")
]
MaxFnr = Annotated[
    float | None,
    typer.Option(
        help="Choose thresholds for at most this false-negative rate per video (conformal risk control on the "
        "model's validation footage; it holds only for footage like that)."
    ),
]
CameraFile = Annotated[
    Path | None,
    typer.Option(
        help="The fixed camera that the videos are of, a file of omnisila learn-camera: thresholds by its own "
        "ordinary scores, and findings of what it never showed (Unusual).",
    ),
]
AlarmsPerHour = Annotated[
    float | None,
    typer.Option(help="False alarms of each label set, and of Unusual, that are wanted on that camera at most [0.2]."),
]
BlurFaces = Annotated[bool, typer.Option("--blur-faces", help="Blur faces in the page and in cut clips.")]
Contextual = Annotated[
    bool,
    typer.Option(
        "--contextual",
        help="Of a plain Video-LLM: divide each label's likelihood by that for an empty video, so that a label the "
        "model likes to say is not found everywhere.",
    ),
]
SceneText = Annotated[
    bool,
    typer.Option(
        "--scene-text", help="Of a plain Video-LLM: tell it in words what the scene extractors saw in a window."
    ),
]
First = Annotated[
    str | None,
    typer.Option(
        help="A smaller model, such as compact, that scores every window first; --model sees only what lies near its "
        "candidates. omnisila calibrate with the same options fits thresholds for the pair."
    ),
]
FirstThreshold = Annotated[
    float | None,
    typer.Option(
        help="Score of an event from which --first calls a window a candidate; 0: --model sees all "
        "[as calibrated, else 0.1]."
    ),
]
VideoTokens = Annotated[
    float,
    typer.Option(
        help="Share of a window's video tokens that a Video-LLM reads; those that change least over time are merged. "
        "Thresholds hold for the share that they were fitted with."
    ),
]
VideoUrl = Annotated[
    bool,
    typer.Option(
        "--video-url",
        help="Send the endpoint stretches as video files, for servers that take video_url (vLLM, SGLang), in place of "
        "8 pictures; it then chooses the frames.",
    ),
]
Parallel = Annotated[int, typer.Option(min=1, help="Questions on their way to an endpoint at a time.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def listed(values: Iterable[str]) -> tuple[str, ...]:
    """The names in an option's values, with commas between or each in a value of its own; each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
