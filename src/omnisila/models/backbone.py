"""What one family of Video-LLMs does in its own way: the words around a prompt, its video tokens, its positions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from jaxtyping import Float, Int, UInt8
from pydantic import ConfigDict, PositiveFloat, PositiveInt, ValidationError
from torch import Tensor, nn

from omnisila.config import Config, Frozen, first_fault
from omnisila.errors import WeightsError
from omnisila.media.sampling import uniform_times
from omnisila.media.transforms import channels_first, normalise, resize_frames
from omnisila.models.tokens import Tokens
from omnisila.scenes.boxes import WHOLE_FRAME, Area
from omnisila.scenes.extractor import Entities
from omnisila.schema import Span

SHOWN = 8  # frames of a stretch: Video-LLaVA's own number, of whose 257 patches many more would not fit what it reads


class Footage(Config):
    """Frames that a Video-LLM is to expect: a prompt has places for their tokens before any frame is seen.

    Frames of another size are brought to the size that these would have.

    Attributes:
        rate_hz: frames per second of a window; position ids that tell the time need it.
    """

    height_px: PositiveInt = 360
    width_px: PositiveInt = 640
    rate_hz: PositiveFloat = 8.0


class ChatTemplate(NamedTuple):
    """The words of one exchange: opening, video, ``after_video``, scene tokens, instruction, closing, answer, end."""

    opening: str
    closing: str
    turn: str  # opens a further question
    end: str  # of the answer
    video_token: str = ""  # "" where the tokenizer has none: its places are then an id beyond the vocabulary
    after_video: str = ""
    before_instruction: str = ""
    before_answer: str = ""  # what an answer begins with that is no part of it
    stop: str = ""  # text at which an answer stops, where ``end`` is text too and no token of its own
    video_last: bool = False  # the video stands behind the instruction
    apart: bool = False  # each stretch of text between video tokens is tokenised as if it began a text


# Of the families that speak ChatML: Qwen and those that were built on it.
CHATML = ChatTemplate(
    opening="<|im_start|>user\n",
    video_token="<|video_pad|>",
    closing="<|im_end|>\n<|im_start|>assistant\n",
    turn="\n<|im_start|>user\n",
    end="<|im_end|>",
)


class VideoSettings(Frozen):
    """How frames are prepared, by the names of a checkpoint's video preprocessor file.

    Attributes:
        image_mean: what pixels in 0..1 are shifted by.
    """

    model_config = ConfigDict(extra="ignore")  # the file says more: which class wrote it, how to sample frames

    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    size: dict[str, PositiveInt]

    def changed_by(self, found: dict[str, Any]) -> Self:
        """What a file says, and these settings where it says nothing.

        Raises:
            WeightsError: values that cannot be meant.
        """
        size = {**self.size, **(found.get("size") or {})}
        try:
            return type(self).model_validate({**dict(self), **found, "size": size})
        except ValidationError as error:
            raise WeightsError(f"video preprocessor file: {first_fault(error)}. Download it again.") from error


class Backbone(ABC):
    """One family's model behind an interface that all families share.

    Attributes:
        features: width of the visual features that ``encode`` gives and ``project`` reads.
        patches: feature vectors per frame, ``class_tokens`` before those of the frame's parts among them.
        size_px: (height, width) that every frame is brought to.
        frames: how many frames a window must have; None for any number.
        recurrent: whether some layers of the language model read in one direction and keep a state, so that no mask
            can hide a token from those behind it.
        frame_wise: whether the tower looks at each frame alone, so that a frame's features are the same in any window.
        shown: how many frames of a stretch its authors show, spread evenly, with both ends (``shows_ends``) or in the
            middles of equal parts.
        step_tokens: how many video tokens a step in time has, the same places in each; None where tokens have no steps.
        notice: what whoever opens its weights must be told, such as a licence that forbids uses.
    """

    template: ChatTemplate
    features: int
    patches: int
    class_tokens: int = 0
    size_px: tuple[int, int]
    frames: int | None = None
    recurrent: bool = False
    frame_wise: bool = False
    shown: int = SHOWN
    shows_ends: bool = True
    step_tokens: int | None = None
    notice: str = ""

    def __init__(self, model: Any) -> None:
        self.model = model

    @abstractmethod
    def tower(self) -> nn.Module:
        """The visual encoder inside the model."""

    @abstractmethod
    def token_count(self, frames: int) -> int:
        """How many video tokens a window of that many frames has."""

    def video_parts(self, frames: int, times_s: Sequence[float]) -> tuple[str | int, ...]:
        """A video's part of a prompt: numbers of video tokens, and the words between them; by default tokens alone.

        Args:
            times_s: of the frames; empty where they are not known.
        """
        return (self.token_count(frames),)

    def shown_times(self, start_s: float, end_s: float, rate_hz: float, holes: Sequence[Span]) -> tuple[float, ...]:
        """When frames are taken of a stretch that is asked about as a whole, as its authors take them.

        Args:
            rate_hz: frames per second of the video.
            holes: time without pictures, which is left out.
        """
        return uniform_times(start_s, end_s, self.shown, ends=self.shows_ends, holes=holes)

    @abstractmethod
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Features of every patch of every frame, in the tower's own precision, without gradients."""

    @abstractmethod
    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """Visual features as the language model's video tokens, zero for frames that are masked out."""

    def fit_frames(
        self, frames: UInt8[Tensor, "images height width 3"]
    ) -> UInt8[Tensor, "images fitted_height fitted_width 3"]:
        """Frames at ``size_px`` in whole grey levels; by default squeezed, by antialiased bicubic interpolation."""
        return resize_frames(frames, *self.size_px)

    def shown_area(self, height_px: int, width_px: int) -> Area:  # by default all, whatever the shape
        """The part of frames of that shape that ``fit_frames`` keeps and the patches cover."""
        return WHOLE_FRAME

    def deep_layers(self) -> Sequence[nn.Module]:
        """Layers of the language model to whose outputs further parts of the video tokens are added; usually none."""
        return ()

    def positions(self, tokens: Tokens) -> Int[Tensor, "batch tokens"] | Int[Tensor, "3 batch tokens"]:
        """Position ids as the language model wants them; by default each token's place in its own sequence."""
        return tokens.positions.to(self.model.device)


def preprocess(
    frames: UInt8[Tensor, "batch frames height width 3"], size_px: tuple[int, int], settings: VideoSettings
) -> Float[Tensor, "images 3 fitted_height fitted_width"]:
    """Pixels as a visual tower reads them: at its size, shifted and scaled. Fitted frames stay as they are."""
    mean, std = ([255 * value for value in values] for values in (settings.image_mean, settings.image_std))
    return normalise(channels_first(resize_frames(frames.flatten(0, 1), *size_px)), mean, std)
