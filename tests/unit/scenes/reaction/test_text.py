"""Words of frames: the templates, the plain models' choices and vectors, descriptions."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel, RobertaModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from omnisila.errors import InputError
from omnisila.labels import REACTION
from omnisila.scenes.reaction.text import (
    EMOTION_OF,
    SENTENCES,
    SentenceEncoder,
    TemplateMatcher,
    encode_description,
    encode_matches,
)

CPU = torch.device("cpu")


@pytest.fixture
def encoder(networks: Path) -> SentenceEncoder:
    return SentenceEncoder.pretrained(str(networks / "roberta"), CPU)


def test_there_are_viper_s_53_templates_each_once() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES) == 53
    assert Counter(EMOTION_OF) == {
        "Adoration": 7, "Amusement": 9, "Anxiety": 7, "Disgust": 6, "Empathic Pain": 6, "Fear": 6, "Surprise": 6,
        "Neutral": 6,
    }  # fmt: skip
    assert set(REACTION.labels) == set(EMOTION_OF) - {"Neutral"}


def test_a_sentence_is_roberta_s_first_token(networks: Path, encoder: SentenceEncoder) -> None:
    model = RobertaModel.from_pretrained(networks / "roberta", add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(networks / "roberta")
    for index, vector in zip((0, 30), encoder.encode([SENTENCES[0], SENTENCES[30]]), strict=True):
        tokens = tokenizer(SENTENCES[index], return_tensors="pt")
        with torch.inference_mode():
            wanted = model(input_ids=tokens["input_ids"]).last_hidden_state[0, 0]
        torch.testing.assert_close(vector, wanted, atol=1e-5, rtol=1e-4)
    assert encoder.encode([]).shape == (0, 16)


def test_a_text_beyond_the_limit_is_cut_off(encoder: SentenceEncoder) -> None:
    long = "a person laughs " * 100
    assert torch.isfinite(encoder.encode([long])).all()
    assert torch.equal(encoder.encode([long]), encoder.encode([long + " with tender eyes"]))


def test_the_chosen_template_is_clip_s(networks: Path, encoder: SentenceEncoder) -> None:
    pictures = [
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (32, 32, 3), dtype=np.uint8)) for k in range(6)
    ]
    model = CLIPModel.from_pretrained(networks / "clip").eval()
    tokens = AutoTokenizer.from_pretrained(networks / "clip")(list(SENTENCES), padding=True, return_tensors="pt")
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    with torch.inference_mode():
        said = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=processor(pictures, return_tensors="pt")["pixel_values"],
        )
    matcher = TemplateMatcher.pretrained(str(networks / "clip"), CPU)
    images = torch.stack([torch.from_numpy(np.array(picture)).movedim(-1, 0).float() for picture in pictures])
    chosen = matcher.choose_sentences(images)
    assert chosen.tolist() == said.logits_per_image.argmax(1).tolist()
    vectors = encode_matches(encoder, matcher, images)
    for vector, index in zip(vectors, chosen.tolist(), strict=True):
        torch.testing.assert_close(vector, encoder.encode([SENTENCES[index]])[0], atol=1e-5, rtol=1e-4)


def test_one_description_stands_for_all_frames_or_each_has_its_own(encoder: SentenceEncoder) -> None:
    one = encode_description(encoder, "somebody laughs", 4, "a.mp4")
    assert one.mask.all()
    assert (one.values == one.values[0]).all()
    each = encode_description(encoder, ("somebody laughs", "", "a blank face", "somebody laughs"), 4, "a.mp4")
    assert each.mask.tolist() == [True, False, True, True]
    assert not each.values[1].any()
    torch.testing.assert_close(each.values[0], one.values[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(each.values[2], one.values[0], atol=1e-3)


def test_descriptions_of_another_number_are_refused(encoder: SentenceEncoder) -> None:
    with pytest.raises(InputError, match=r"a\.mp4: 2 descriptions, wanted one, or one for each of 4 frames"):
        encode_description(encoder, ("one", "two"), 4, "a.mp4")
    with pytest.raises(InputError, match="description is empty"):
        encode_description(encoder, " ", 4, "a.mp4")
