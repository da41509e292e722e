"""A head that MTCNN finds, painted into clips, and tiny networks of the kinds that users bring for reactions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTModel,
    WavLMConfig,
    WavLMForXVector,
)

from omnisila.scenes.reaction.text import SENTENCES

VIT = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
WAVLM = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 8, 8], "conv_stride": [5, 8, 8], "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "tdnn_dim": [12, 12], "tdnn_kernel": [5, 1], "tdnn_dilation": [1, 1], "xvector_output_dim": 8, "num_labels": 3,
    "vocab_size": 8, "initializer_range": 0.5,
}  # fmt: skip


@pytest.fixture(scope="session")
def head() -> np.ndarray:
    """The head of a photograph (NASA, public domain), 80 x 80."""
    photograph = np.array(Image.open(Path(__file__).parent / "fixtures" / "astronaut.jpg"))
    return photograph[18:98, 72:152]


@pytest.fixture(scope="session")
def paint(head: np.ndarray) -> Callable[..., Callable[[int, int, int], np.ndarray]]:
    """``paint([(0, 96)], seen=...)`` makes a painter of heads: where their left edges are, and their sizes."""

    def painter(
        heads: list[tuple[int, int]], seen: Callable[[int], bool] = lambda _index: True, step_px: int = 0
    ) -> Callable[[int, int, int], np.ndarray]:
        def draw(index: int, width_px: int, height_px: int) -> np.ndarray:
            picture = np.full((height_px, width_px, 3), 120, np.uint8)
            picture[-4:, : 4 + index % 60] = 30  # no two frames are alike
            for left, side in heads if seen(index) else []:
                copy = np.array(Image.fromarray(head).resize((side, side), Image.Resampling.LANCZOS))
                at = left + step_px * index
                picture[20 : 20 + side, at : at + side] = copy
            return picture

        return draw

    return painter


def _tokenizer() -> PreTrainedTokenizerFast:
    words = sorted({word for sentence in SENTENCES for word in sentence.lower().replace(",", " ").split()})
    vocabulary = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": "<s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=40, **names)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``vit``, ``wavlm``, ``face``, ``clip`` and ``roberta``, untrained."""
    folder, tokenizer = tmp_path_factory.mktemp("networks"), _tokenizer()
    torch.manual_seed(0)
    ViTModel(ViTConfig(**VIT)).save_pretrained(folder / "vit")
    WavLMForXVector(WavLMConfig(**WAVLM)).save_pretrained(folder / "wavlm")
    resnet = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    ResNetModel(resnet).save_pretrained(folder / "face")
    words = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 42, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    eyes = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 32,
        "patch_size": 16,
    }  # fmt: skip
    CLIPModel(CLIPConfig(text_config=words, vision_config=eyes, projection_dim=8)).save_pretrained(folder / "clip")
    RobertaModel(RobertaConfig(**words), add_pooling_layer=False).save_pretrained(folder / "roberta")
    for name in ("clip", "roberta"):
        tokenizer.save_pretrained(folder / name)
    return folder
