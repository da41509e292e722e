"""The released Hawkeye as a system: yes or no for each clip from the authors' feature files, merged into spans.

A folder holds what they publish: ``non_lora_trainables.bin``, their adapter beside it if there is one, and
``pose_feat/<video>/frame_<i>.npy`` and ``rel_feat/<video>/frame_<i>.npy`` with the features of a video's clips, also
below ``test`` or ``train``. Clip i is second i of the video; where there is no clip 0, counting begins at 1.
``release.json`` changes what ``ReleaseSettings`` says.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, ValidationError

from omnisila.config import Config, first_fault
from omnisila.data.instructions import Located, render_located
from omnisila.devices import default_device
from omnisila.errors import InputError
from omnisila.labels import LabelSet, label_set
from omnisila.media.sampling import frames_at
from omnisila.models.backbones.video_llava import VideoLlava
from omnisila.models.hawkeye_files import CHECKPOINT, ClipFiles, clip_inputs, load_release
from omnisila.models.hawkeye_language import load_language
from omnisila.models.hawkeye_release import HawkeyeReleaseConfig
from omnisila.models.likelihood import Asked, answers_likelihood, posterior
from omnisila.models.lora import LoRAConfig
from omnisila.models.pretrained_llm import VideoBackboneConfig
from omnisila.scenes.extractor import to_device
from omnisila.schema import Example, Finding, Prediction, Span
from omnisila.spans import Curve, SpanShape, Thresholds, mean_score, spans_of
from omnisila.weights.checkpoint_files import file_digest

SETTINGS = "release.json"
POSES, RELATIONS = ("pose_feat",), ("rel_feat", "graph_feat", "scene_feat")  # folders, as the authors call them
SPLITS = ("", "test", "train")
BATCH_CLIPS = 4
AS_THEY_ARE = SpanShape(smooth_s=0.0, merge_gap_s=0.0, min_duration_s=0.0)


class ReleaseBackbone(VideoBackboneConfig):
    """Video-LLaVA as the release reads it: patches alone; adapters are those of the folder."""

    class_tokens: bool = False
    lora: LoRAConfig | None = None


class ReleaseSettings(Config):
    """How the released model is built and asked.

    Attributes:
        frames: shown of each clip.
        questions: by label set; the wording decides what a checkpoint answers, so give that of its training.
        yes: the answer that means the clip is anomalous.
        threshold: of P(yes) from which a clip counts.
    """

    backbone: ReleaseBackbone = ReleaseBackbone()
    model: HawkeyeReleaseConfig = HawkeyeReleaseConfig()
    clip_s: float = Field(default=1.0, gt=0)
    frames: int = Field(default=8, ge=1)
    questions: dict[str, str] = {  # noqa: RUF012 (pydantic copies defaults)
        "explicit": "Does this video convey a negative sentiment?",
        "anomaly": "Is anything anomalous in this video, such as abuse, arrest, arson, assault, an accident, burglary, "
        "an explosion, fighting, robbery, shooting, stealing, shoplifting or vandalism?",
    }
    yes: str = "Yes."
    no: str = "No."
    threshold: float = Field(default=0.5, gt=0, lt=1)


class Answered(NamedTuple):
    """A video's clips: their numbers, and the probabilities of the negative labels and, last, of none of them."""

    clips: tuple[int, ...]
    probabilities: Float[np.ndarray, "clips labels"]


class ReleaseSystem:
    """Answers identify and locate of the label sets that there is a question for.

    P(yes) decides whether a clip is anomalous. Which of several labels it is, the released training never asked; the
    same model's likelihoods of the labels say it.

    Raises:
        InputError: the folder or its settings are not as wanted.
        WeightsError: the weights are missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, _settings(folder)
        if not (folder / CHECKPOINT).is_file():
            raise InputError(f"{folder}: no {CHECKPOINT}. Give the folder with the authors' checkpoint and features.")
        device = default_device()
        self.llm = self.settings.backbone.load(device, self.settings.frames / self.settings.clip_s)
        if not isinstance(self.llm.backbone, VideoLlava):
            raise InputError(f"{folder / SETTINGS}: backbone {self.settings.backbone.source!r} is no Video-LLaVA.")
        self.model = load_release(self.settings.model.build(load_language(self.llm, folder)), folder).to(device).eval()
        self.device = device
        self.name = f"hawkeye-release@{file_digest(folder / CHECKPOINT)[:12]}"

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example.

        Raises:
            InputError: a task or label set that is not asked, or a feature file that is missing or damaged.
            MediaError: the video cannot be read.
        """
        for example in examples:
            if example.task not in ("identify", "locate") or example.labels not in self.settings.questions:
                raise InputError(
                    f"{example.id}: {self.name} answers identify and locate of "
                    f"{', '.join(self.settings.questions)}, not {example.task} of {example.labels!r}."
                )
        for name in dict.fromkeys(example.labels for example in examples):
            mine = [example for example in examples if example.labels == name]
            files = self._features(Path(mine[0].video).with_suffix(""))
            wanted = {example.id: self._clips(example, files) for example in mine}
            began = time.perf_counter()
            answered = self._answer_clips(
                video, label_set(name), sorted({k for ks in wanted.values() for k in ks}), files
            )
            seconds = (time.perf_counter() - began) / len(mine)
            for example in mine:
                yield self._prediction(example, answered, wanted[example.id]).replace(seconds=seconds)

    def _features(self, video: Path) -> dict[int, ClipFiles]:
        """The feature files of a video's clips, counted from 0."""
        poses, relations = (_feature_files(_folder(self.folder, kinds, video)) for kinds in (POSES, RELATIONS))
        alone = sorted(poses.keys() ^ relations.keys())
        if alone:
            have, lack = (POSES, RELATIONS) if alone[0] in poses else (RELATIONS, POSES)
            raise InputError(f"{self.folder}: clip {alone[0]} of {video} is in {have[0]} but not in {lack[0]}.")
        first = 0 if 0 in poses else 1
        return {number - first: ClipFiles(path, relations[number]) for number, path in poses.items()}

    def _clips(self, example: Example, files: dict[int, ClipFiles]) -> tuple[int, ...]:
        clip_s = self.settings.clip_s
        first, past = round(example.start_s / clip_s), round(example.end_s / clip_s)
        if past <= first:  # less than half a clip, as at a video's end
            first = min(first, max(files))
            past = first + 1
        missing = next((k for k in range(first, past) if k not in files), None)
        if missing is not None:
            raise InputError(
                f"{example.id}: no features of {example.video} from {missing * clip_s:g} s on, there are "
                f"{len(files)} clips. Extract them, or leave the example out."
            )
        return tuple(range(first, past))

    @torch.inference_mode()
    def _answer_clips(
        self, video: Path, labels: LabelSet, clips: Sequence[int], files: dict[int, ClipFiles]
    ) -> Answered:
        settings = self.settings
        step_s = settings.clip_s / settings.frames
        asked = [
            Asked(settings.questions[labels.name], (settings.yes, settings.no)),
            Asked(labels.identify, labels.negative),
        ]
        rows: list[Float[np.ndarray, "clips labels"]] = []
        for first in range(0, len(clips), BATCH_CLIPS):
            batch = clips[first : first + BATCH_CLIPS]
            times_s = [clip * settings.clip_s + (i + 0.5) * step_s for clip in batch for i in range(settings.frames)]
            shown = torch.stack(
                [self.llm.backbone.fit_frames(frame.image[None])[0] for frame in frames_at(video, times_s)]
            )
            visual = self.llm.backbone.encode(shown.unflatten(0, (len(batch), settings.frames)).to(self.device))
            scenes = to_device(clip_inputs([files[k] for k in batch]), self.device)
            said, which = answers_likelihood(self.model, scenes, visual, asked)
            yes_no, shares = posterior(said.log_probs.double()), posterior(which.log_probs.double())
            rows.append(torch.cat([yes_no[:, :1] * shares, yes_no[:, 1:]], dim=1).cpu().numpy())
        answered = Answered(tuple(clips), np.concatenate(rows))
        for clip, row in zip(clips, answered.probabilities, strict=True):
            if not np.isfinite(row).all():
                raise InputError(
                    f"{video}, clip {clip}: no answer is a number. Look for numbers far from those of other clips in "
                    f"{files[clip].pose} and {files[clip].scene}."
                )
        return answered

    def _prediction(self, example: Example, answered: Answered, clips: Sequence[int]) -> Prediction:
        rows = answered.probabilities[[answered.clips.index(clip) for clip in clips]]
        return self._identify(example, rows) if example.task == "identify" else self._locate(example, rows, clips)

    def _identify(self, example: Example, rows: Float[np.ndarray, "clips labels"]) -> Prediction:
        """A stretch shows what any of its clips shows."""
        labels = label_set(example.labels)
        likeliest = np.clip(rows[int(rows[:, -1].argmin())], 0.0, 1.0)
        shares = dict(zip(labels.negative, likeliest[:-1].tolist(), strict=True))
        anomaly = 1.0 - float(likeliest[-1])
        positive = anomaly >= self.settings.threshold
        span = Span(start_s=example.start_s, end_s=example.end_s)
        best = max(shares, key=shares.__getitem__)
        return Prediction(
            example_id=example.id,
            system=self.name,
            answer=self.settings.yes if positive else self.settings.no,
            findings=(_finding(span, best, labels, anomaly),) if positive else (),
            anomaly=anomaly,
            posterior={**shares, **({labels.quiet: 1.0 - anomaly} if labels.quiet else {})},
        )

    def _locate(self, example: Example, rows: Float[np.ndarray, "clips labels"], clips: Sequence[int]) -> Prediction:
        """Consecutive clips that are anomalous are one finding, of the label that is likeliest over all of them."""
        labels, clip_s = label_set(example.labels), self.settings.clip_s
        start_s, end_s = (np.array([(clip + past) * clip_s for clip in clips]) for past in (0, 1))
        curve = Curve(start_s, end_s, np.clip(1.0 - rows[:, -1], 0.0, 1.0))
        on = Thresholds(on=self.settings.threshold, off=self.settings.threshold)
        findings: list[Finding] = []
        for stretch in spans_of(curve, on, AS_THEY_ARE):
            inside = (start_s < stretch.end_s) & (end_s > stretch.start_s)
            best = labels.negative[int(rows[inside, :-1].mean(0).argmax())]
            begin_s, past_s = max(stretch.start_s, example.start_s), min(stretch.end_s, example.end_s)
            if begin_s < past_s:
                span = Span(start_s=begin_s, end_s=past_s)
                findings.append(_finding(span, best, labels, mean_score(curve, stretch)))
        said = render_located([Located(finding.label, finding.span) for finding in findings])
        return Prediction(example_id=example.id, system=self.name, answer=said, findings=tuple(findings))


def _finding(span: Span, label: str, labels: LabelSet, score: float) -> Finding:
    return Finding(span=span, label=label, labels=labels.name, score=min(score, 1.0), cause=None)


def _settings(folder: Path) -> ReleaseSettings:
    path = folder / SETTINGS
    if not path.exists():
        return ReleaseSettings()
    try:
        return ReleaseSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = first_fault(error, ReleaseSettings().model_dump())
        raise InputError(f"{path}: {fault} Correct it, or leave the file out.") from error


def _folder(root: Path, kinds: Sequence[str], video: Path) -> Path:
    """Where a video's features of one kind lie."""
    places = [root / kind / split / video for kind in kinds for split in SPLITS]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise InputError(
            f"{root}: no {kinds[0]}/{video} with the features of its clips. Extract them, or copy them there."
        )
    return found


def _feature_files(folder: Path) -> dict[int, Path]:
    """The feature files of a folder by the number that their names end with."""
    found = {path.stem.rpartition("_")[2]: path for path in folder.glob("*.npy")}
    numbered = {int(number): path for number, path in found.items() if number.isdecimal()}
    if not numbered:
        raise InputError(f"{folder}: no frame_<number>.npy. Extract the features of its clips.")
    return numbered
