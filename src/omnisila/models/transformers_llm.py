"""Any transformers Video-LLM that is reached through its input embeddings, with scene tokens beside its video tokens.

What differs between families (words, video tokens, positions) is one file each in ``omnisila.models.backbones``.
"""

from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, Cache, GenerationConfig, PreTrainedTokenizerBase

from omnisila.errors import InputError, WeightsError
from omnisila.models.backbone import Backbone, Footage, fitted
from omnisila.models.backbones import build_backbone, check_family
from omnisila.models.decoding import decode_visible, generate_answers
from omnisila.models.quantised import Bits, quantisation
from omnisila.models.tokens import Tokens
from omnisila.models.video_llm import Generated, splice
from omnisila.scenes.boxes import WHOLE_FRAME, Area
from omnisila.scenes.extractor import Entities
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.pretrained import load_pretrained, load_tokenizer, read_config, read_settings

ATTENTIONS = ("sdpa", "eager")  # those that take which token sees which
VIDEO_SETTINGS = ("video_preprocessor_config.json", "video_processor/preprocessor_config.json")


class TransformersVideoLLM(nn.Module):
    """A pretrained Video-LLM, its weights as they are: nothing is added to its vocabulary or its layers.

    ``<scene>`` is an id beyond the vocabulary, so that no text has it, no answer contains it and it needs no row of
    weights. A prompt has its scene tokens between the video and the instruction. The model's own visual tower stays
    inside: this is a ``VideoLLM`` and its ``VisualTower`` in one.

    Args:
        model: what ``AutoModelForImageTextToText`` builds.
        tokenizer: the model's own.
        backbone: its family's, around the same model.

    Raises:
        WeightsError: the tokenizer is another model's, or the attention ignores which token may see which.
    """

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, backbone: Backbone) -> None:
        super().__init__()
        table = model.get_input_embeddings()
        self.model = model
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.frames: int | None = None  # of a window: any number
        self.patches = backbone.patches
        self.features = backbone.features
        self.width: int = table.embedding_dim
        self.max_tokens: int = model.config.get_text_config().max_position_embeddings
        self.video_id, self.end_id = (
            self._only_id(token) for token in (backbone.template.video_token, backbone.template.end)
        )
        self.pad_id = self._pad_id()
        self.scene_id: int = max(len(tokenizer), table.num_embeddings)
        self._check()
        # a checkpoint's own habits (sampling, penalties) would change which answer is the likeliest
        model.generation_config = GenerationConfig(pad_token_id=self.pad_id, eos_token_id=self.end_id)

    def train(self, mode: bool = True) -> Self:
        """The tower is frozen: it stays in evaluation mode."""
        super().train(mode)
        self.backbone.tower().eval()
        return self

    @property
    def device(self) -> torch.device:
        return self.model.device

    def prompt_ids(self, instruction: str, frames: int, scene_tokens: int | None = None) -> list[int]:
        """A prompt for that many frames; placeholders in the instruction itself are plain text.

        Args:
            frames: 0 where scene tokens stand for the visual ones.
            scene_tokens: places for scenes, by default one a frame; 0 gives the plain model's prompt.

        Raises:
            InputError: a prompt that is longer than the model reads; nothing is ever cut.
        """
        template = self.backbone.template
        scenes = frames if scene_tokens is None else scene_tokens
        ids = [
            *self._special_ids(template.opening),
            *[self.video_id] * self.backbone.token_count(frames),
            *self._special_ids(template.after_video),
            *[self.scene_id] * scenes,
            *self._plain_ids(template.before_instruction + instruction),
            *self._special_ids(template.closing),
        ]
        if len(ids) > self.max_tokens:
            raise InputError(
                f"a prompt of {len(ids)} tokens ({self.backbone.token_count(frames)} visual, {scenes} scene), the "
                f"model reads {self.max_tokens}. Shorten the instruction, or show fewer or smaller frames."
            )
        return ids

    def answer_ids(self, answer: str) -> list[int]:
        return [*self._plain_ids(answer), self.end_id]

    def turn_ids(self, instruction: str) -> list[int]:
        template = self.backbone.template
        return [
            *self._special_ids(template.turn),
            *self._plain_ids(instruction),
            *self._special_ids(template.closing),
        ]

    def fitted(
        self, frames: UInt8[Tensor, "frames height width 3"]
    ) -> UInt8[Tensor, "frames fitted_height fitted_width 3"]:
        return fitted(frames, self.backbone.size_px)

    def shown_area(self, height_px: int, width_px: int) -> Area:  # noqa: ARG002 (whatever the shape)
        """All of it: frames are squeezed, never cropped."""
        return WHOLE_FRAME

    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        return self.backbone.encode(frames)

    def embed(self, ids: Int[Tensor, "batch tokens"], visual: Entities) -> Float[Tensor, "batch tokens width"]:
        """Token embeddings with video tokens in their places, zero for frames that are masked out.

        Raises:
            InputError: prompts for another number of frames, or visual features of another tower.
        """
        ids = ids.to(self.device)
        embeds = self.model.get_input_embeddings()(ids.masked_fill(ids == self.scene_id, self.pad_id))
        return splice(embeds, ids, self.video_id, self._video_tokens(visual, embeds))

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        """Logits from the prompt's last token on.

        Raises:
            InputError: a sequence that is longer than the model reads.
        """
        return decode_visible(Positioned(self.model, self.backbone.positions(tokens)), embeds, tokens, self.max_tokens)

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int = 64,
        beams: int = 1,
        cache: Cache | None = None,
    ) -> Generated:
        """The likeliest answers to prompts: greedy for one beam, beam search for more.

        Raises:
            InputError: answers that could pass the end of what the model reads.
        """
        return generate_answers(
            Positioned(self.model, self.backbone.positions(tokens)),
            self.tokenizer,
            embeds,
            tokens,
            max_tokens,
            beams,
            pad_id=self.pad_id,
            end_id=self.end_id,
            reads=self.max_tokens,
            cache=cache,
        )

    def _video_tokens(
        self, visual: Entities, embeds: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch video_tokens width"]:
        if not visual.values.shape[1]:
            return embeds[:, :0]
        if visual.values.shape[-2:] != (self.patches, self.features):
            raise InputError(
                f"visual features of {visual.values.shape[-2]} patches x {visual.values.shape[-1]}, wanted "
                f"{self.patches} x {self.features}. Encode the frames with this model, for footage of the same size."
            )
        return self.backbone.project(Entities(visual.values.to(embeds), visual.mask.to(embeds.device)))

    def _special_ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _plain_ids(self, text: str) -> list[int]:
        """Special tokens that a user types are text."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def _only_id(self, token: str) -> int:
        ids = self._special_ids(token)
        if len(ids) != 1:
            raise WeightsError(f"tokenizer: {token} is {len(ids)} tokens, wanted one. Use the model's own tokenizer.")
        return ids[0]

    def _pad_id(self) -> int:
        pad_id = self.tokenizer.pad_token_id
        if not isinstance(pad_id, int) or pad_id == self.end_id:
            raise WeightsError(
                f"tokenizer: padding is token {pad_id}, wanted one that is not {self.backbone.template.end} "
                f"({self.end_id}). Set pad_token in tokenizer_config.json."
            )
        return pad_id

    def _check(self) -> None:
        config, rows = self.model.config, self.model.get_input_embeddings().num_embeddings
        if self.video_id != config.video_token_id or len(self.tokenizer) > rows:
            raise WeightsError(
                f"tokenizer: {len(self.tokenizer)} tokens, {self.backbone.template.video_token} is {self.video_id}; "
                f"wanted at most {rows}, with {config.video_token_id}. Use the model's own tokenizer."
            )
        if config._attn_implementation not in ATTENTIONS:
            raise WeightsError(
                f"attention {config._attn_implementation!r} takes no mask of which token sees which. Call "
                f"set_attn_implementation on the model with one of: {', '.join(ATTENTIONS)}."
            )


class Positioned(NamedTuple):
    """A model that reads its tokens at positions of the family's making instead of their places in the sequence."""

    model: Any
    positions: Int[Tensor, "*axes batch tokens"]

    def __call__(self, **inputs: Any) -> Any:
        return self.model(**{**inputs, "position_ids": self.positions})

    def generate(self, **inputs: Any) -> Any:
        """Answers that go on from the last position."""
        return self.model.generate(**inputs, position_ids=self.positions)

    def compute_transition_scores(self, *inputs: Any, **options: Any) -> Tensor:
        return self.model.compute_transition_scores(*inputs, **options)


def from_pretrained(
    source: str | Path,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    footage: Footage | None = None,
    bits: Bits | None = None,
) -> TransformersVideoLLM:
    """Load a checkpoint, in evaluation mode; its ``config.model_type`` says which family it is of.

    For windows of several sizes or rates, wrap the one ``model`` several times with ``build_backbone``.

    Args:
        source: a folder with config.json, safetensors and tokenizer, or a hub id.
        footage: size and rate of the frames that windows will have.
        bits: hold the language model's weights in 8 or 4 bits; needs bitsandbytes.

    Raises:
        WeightsError: nothing there, files missing or cut short, or a family that is not known.
        InputError: footage of a shape that the family does not take.
    """
    config = read_config(source)
    check_family(config.model_type, str(source))
    model_class = cast("Any", MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING)[type(config)]
    model = load_pretrained(model_class, source, dtype, device, quantization=quantisation(bits, dtype))
    backbone = build_backbone(model, _video_settings(model_folder(source)), footage or Footage())
    return TransformersVideoLLM(model, load_tokenizer(source), backbone).eval()


def _video_settings(folder: Path) -> dict[str, Any]:
    """How the checkpoint says that frames are to be prepared; empty where it says nothing about video."""
    return next((found for name in VIDEO_SETTINGS if (found := read_settings(folder / name))), {})
