"""Cached streams: what is written is read, clip by clip, and what lacks is named."""

import pytest
import torch

from omnisila.errors import DataSetError
from omnisila.scenes.reaction.clip import Modality
from omnisila.training.reaction_tables import feature_rows, read_stream, write_stream


def stream(number, frames=4, width=3):
    mask = torch.arange(frames) % 3 != 1
    return Modality(torch.full((frames, width), float(number)).where(mask.unsqueeze(-1), torch.nan), mask)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "visual.safetensors"
    write_stream(path, ((name, stream(number)) for number, name in enumerate(("7", "3", "5"))))
    table = read_stream(path)
    assert table.ids == ("7", "3", "5")
    assert table.values.dtype == torch.float16
    assert table.values[1, 0].tolist() == [1, 1, 1]
    assert table.values[1, 1].tolist() == [0, 0, 0]  # masked: nothing stands there
    assert table.mask[2].tolist() == [True, False, True, True]


def test_rows_are_the_clips_asked_for_in_their_order_and_lacking_ones_are_named(tmp_path):
    write_stream(tmp_path / "visual.safetensors", ((name, stream(int(name))) for name in "1234"))
    write_stream(tmp_path / "text-clip.safetensors", ((name, stream(10 * int(name), width=2)) for name in "421"))
    known = feature_rows(tmp_path, {"visual": "visual", "text": "text-clip"}, ["4", "9", "1", "3"])
    assert known.ids == ("4", "1")
    assert known.widths == {"visual": 3, "text": 2}
    assert known.without == {"9": ("visual", "text-clip"), "3": ("text-clip",)}
    batch = known.batch(torch.tensor([1, 0]))
    assert batch.values["visual"][:, 0, 0].tolist() == [1, 4]
    assert batch.values["text"][:, 0, 0].tolist() == [10, 40]
    assert batch.masks["text"].shape == (2, 4)


def test_pooled_tokens_are_a_stream_of_one_frame(tmp_path):
    write_stream(tmp_path / "pooled-1.safetensors", [("a", Modality.of_clip(torch.tensor([1.0, 1e6])))])
    batch = feature_rows(tmp_path, {"pooled": "pooled-1"}, ["a"]).batch(torch.tensor([0]))
    assert batch.values["pooled"].tolist() == [[[1.0, 65504.0]]]  # the largest that half precision holds
    assert batch.masks["pooled"].all()


@pytest.mark.parametrize(
    ("clips", "reason"),
    [
        ([], "0 clips"),
        ([("1", stream(1)), ("1", stream(2))], "2 clips, 1 different"),
        ([("1", stream(1)), ("2", stream(2, width=4))], r"clip 2 has \(4, 4\)"),
        ([("1", Modality(torch.full((4, 3), torch.nan), torch.ones(4, dtype=torch.bool)))], "not finite"),
    ],
)
def test_features_that_cannot_be_meant_are_refused(tmp_path, clips, reason):
    with pytest.raises(DataSetError, match=reason):
        write_stream(tmp_path / "visual.safetensors", clips)


def test_missing_damaged_and_foreign_tables_are_named(tmp_path):
    with pytest.raises(DataSetError, match=r"audio\.safetensors: no table"):
        feature_rows(tmp_path, {"audio": "audio"}, ["1"])
    (tmp_path / "audio.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(DataSetError, match="no table of features"):
        read_stream(tmp_path / "audio.safetensors")
    write_stream(tmp_path / "visual.safetensors", [("1", stream(1))])
    with pytest.raises(DataSetError, match="of 1 clips none has features of all of visual"):
        feature_rows(tmp_path, {"visual": "visual"}, ["2"])
