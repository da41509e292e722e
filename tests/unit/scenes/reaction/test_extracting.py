"""Clips to features: embedded and paper-like networks, every modality that may be missing, the cache, bad files."""

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from omnisila.errors import InputError, MediaError, RecordError, WeightsError
from omnisila.media.video import sha256
from omnisila.scene_registry import MODALITIES
from omnisila.scenes.reaction.clip import Clip, ReactionFeatures
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache, extract, load_features, tally
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor
from omnisila.scenes.store import video_digest
from omnisila.schema import Span

Make = Callable[..., Path]
FACE = [(60, 96)]


@pytest.fixture
def make_clip(make_video: Make, paint: Callable[..., Callable]) -> Make:
    """``make_clip("a.mp4", heads=[...], audio_s=2)``: 2 s of heads on a grey wall, 320 x 160."""

    def make(name: str = "a.mp4", heads: Any = FACE, **options: Any) -> Path:
        options = {"frames": 16, "rate_hz": 8, "width_px": 320, "height_px": 160, **options}
        return make_video(name, paint=paint(heads), **options)

    return make


@pytest.fixture(scope="module")
def quick() -> ReactionFeatureExtractor:
    """The embedded networks on three frames, where more would only cost time."""
    return ReactionFeatureConfig(frames=3).build()


def paper_like(networks: Path, **changes: Any) -> ReactionFeatureConfig:
    """The paper's configuration with tiny networks."""
    sources = {"visual": "vit", "audio": "wavlm", "face": "face", "clip": "clip", "sentences": "roberta"}
    paths = {name: str(networks / folder) for name, folder in sources.items()}
    return ReactionFeatureConfig.paper().replace(**{**paths, "device": "cpu", "frames": 6, **changes})


def same(left: ReactionFeatures, right: ReactionFeatures) -> bool:
    return (
        list(left.modalities) == list(right.modalities)
        and all(
            torch.equal(one.values, other.values) and torch.equal(one.mask, other.mask)
            for one, other in zip(left.modalities.values(), right.modalities.values(), strict=True)
        )
        and torch.equal(left.times_s, right.times_s)
        and (left.kinds, left.warnings) == (right.kinds, right.warnings)
    )


def test_a_face_with_sound_has_all_but_words(embedded: ReactionFeatureExtractor, make_clip: Make) -> None:
    found = embedded.features(Clip(make_clip(audio_s=2.0)))
    assert tuple(found.modalities) == MODALITIES
    assert {name: modality.values.shape for name, modality in found.modalities.items()} == {
        name: (32, width) for name, width in embedded.widths.items()
    }
    assert found.missing == ("text",)
    assert all(found.modalities[name].mask.all() for name in ("visual", "audio", "fau", "face"))
    assert found.kinds["fau"] == "blendshapes"
    assert found.times_s[[0, -1]].tolist() == pytest.approx([0.0, 2.0], abs=0.01)


def test_without_face_and_sound_the_rest_is_there_and_it_is_said(
    quick: ReactionFeatureExtractor, make_clip: Make
) -> None:
    found = quick.features(Clip(make_clip(heads=[])))
    assert found.missing == ("audio", "fau", "text", "face")
    assert found.modalities["visual"].mask.all()
    assert "no face was found" in found.warnings
    assert "there is no sound track" in found.warnings
    assert all(torch.isfinite(modality.values).all() for modality in found.modalities.values())


def test_the_followed_face_is_what_is_described(quick: ReactionFeatureExtractor, make_clip: Make) -> None:
    alone = quick.features(Clip(make_clip("a.mp4")))
    beside = quick.features(Clip(make_clip("b.mp4", heads=[*FACE, (240, 60)])))
    assert any("several faces" in warning for warning in beside.warnings)
    for name in ("visual", "face"):
        one, other = (features.modalities[name].values.mean(0) for features in (alone, beside))
        assert torch.cosine_similarity(one, other, 0) > 0.98


def test_a_clip_of_a_third_of_a_second_has_32_rows(embedded: ReactionFeatureExtractor, make_clip: Make) -> None:
    found = embedded.features(Clip(make_clip(frames=3, rate_hz=10, audio_s=0.3)))
    assert found.modalities["audio"].values.shape[0] == 32
    assert found.modalities["audio"].present
    assert any("different pictures" in warning for warning in found.warnings)
    assert any("sound lasts" in warning for warning in found.warnings)
    assert all(torch.isfinite(modality.values).all() for modality in found.modalities.values())


def test_a_stretch_of_a_file_is_a_clip_of_its_own(quick: ReactionFeatureExtractor, make_clip: Make) -> None:
    path = make_clip(frames=32, audio_s=2.0)
    late = quick.features(Clip(path, span=Span(start_s=2.5, end_s=4.0)))
    assert late.missing == ("audio", "text"), "the sound ends before"
    assert late.times_s[[0, -1]].tolist() == pytest.approx([0.0, 1.5], abs=0.01)


def test_the_paper_s_networks_describe_every_modality(networks: Path, make_clip: Make, tmp_path: Path) -> None:
    table = tmp_path / "muse.csv"
    table.write_text("timestamp,segment_id,0,1\n" + "".join(f"{250 * k},1,0.5,{k}\n" for k in range(9)))
    extractor = paper_like(networks).build()
    assert extractor.widths == {"visual": 24, "audio": 8, "fau": 32, "text": 16, "face": 8}
    found = extractor.features(Clip(make_clip(audio_s=2.0), tables={"fau": table}))
    assert found.missing == ()
    assert found.kinds == {
        "visual": "vit_class_token", "audio": "wavlm_x_vector", "fau": "action_units", "text": "roberta_of_templates",
        "face": "face_resnet",
    }  # fmt: skip
    assert found.modalities["fau"].values[-1, :3].tolist() == [0.5, 8.0, 0.0]
    without = extractor.features(Clip(make_clip(heads=[])))
    assert without.missing == ("audio", "fau", "face")
    assert "no table of fau was given" in without.warnings


def test_descriptions_are_read_where_they_are_asked_for(networks: Path, make_clip: Make) -> None:
    extractor = paper_like(networks, text="descriptions", clip=None).build()
    path = make_clip()
    assert extractor.features(Clip(path, description="somebody laughs")).modalities["text"].mask.all()
    assert "no description was given" in extractor.features(Clip(path)).warnings
    with pytest.raises(InputError, match="2 descriptions"):
        extractor.features(Clip(path, description=("one", "two")))


def test_whole_frames_can_be_looked_at(networks: Path, make_clip: Make) -> None:
    path = make_clip()
    face, frame = (
        paper_like(networks, crop=crop).build().features(Clip(path)).modalities["visual"].values
        for crop in ("face", "frame")
    )
    assert not torch.allclose(face, frame, atol=1e-3)


def test_nothing_is_extracted_twice_and_bad_files_are_counted(
    quick: ReactionFeatureExtractor,
    make_clip: Make,
    make_bad_file: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    clips = [make_clip("a.mp4"), make_bad_file("b.mp4", "text"), tmp_path / "none.mp4", make_clip("c.mp4", heads=[])]
    first = list(extract(clips, quick, ReactionCache(tmp_path / "cache")))
    again = list(extract(map(str, clips), quick, ReactionCache(tmp_path / "cache")))
    assert [outcome.state for outcome in first] == ["extracted", "failed", "failed", "extracted"]
    assert [outcome.state for outcome in again] == ["known", "failed", "failed", "known"]
    for one, other in zip(first, again, strict=True):
        assert (one.features is None) == (other.features is None)
        assert one.features is None or same(one.features, other.features)  # type: ignore[arg-type]
        assert one.file is None or same(load_features(one.file), one.features)  # type: ignore[arg-type]
    report = tally(again)
    assert (report.extracted, report.known, len(report.failed)) == (0, 2, 2)
    assert "b.mp4" in report.failed[0][0]
    assert "not a video" in report.failed[0][1]
    assert report.missing == {"audio": 2, "text": 2, "fau": 1, "face": 1}
    assert report.warned["no face was found"] == 1
    assert report.warned["there is no sound track"] == 2
    assert not any(sign.isdigit() for warning in report.warned for sign in warning)


def test_a_stopped_run_goes_on(quick: ReactionFeatureExtractor, make_clip: Make, tmp_path: Path) -> None:
    clips = [make_clip("a.mp4"), make_clip("b.mp4", heads=[])]
    begun = extract(clips, quick, ReactionCache(tmp_path / "cache"))
    next(begun)
    begun.close()
    states = [outcome.state for outcome in extract(clips, quick, ReactionCache(tmp_path / "cache"))]
    assert states == ["known", "extracted"]


@pytest.mark.parametrize("damage", ["cut", "bit", "form"])
def test_a_damaged_file_is_extracted_again(
    quick: ReactionFeatureExtractor, make_clip: Make, tmp_path: Path, damage: str
) -> None:
    cache, path = ReactionCache(tmp_path / "cache"), make_clip()
    (whole,) = extract([path], quick, cache)
    assert whole.file is not None
    content = bytearray(whole.file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "bit":
        content[-1000] ^= 0x10
    else:
        content = content.replace(b"reaction features 1", b"reaction features 0")
    whole.file.write_bytes(content)
    with pytest.raises(RecordError, match="Extract "):
        load_features(whole.file)
    (again,) = extract([path], quick, cache)
    assert again.state == "extracted"
    assert same(again.features, whole.features)  # type: ignore[arg-type]


def test_what_is_given_beside_a_clip_is_part_of_its_key(make_clip: Make, tmp_path: Path) -> None:
    cache, path, table = ReactionCache(tmp_path / "cache"), make_clip(), tmp_path / "a.csv"
    table.write_text("timestamp,segment_id,0\n")
    given = [
        Clip(path),
        Clip(path, span=Span(start_s=0.0, end_s=1.0)),
        Clip(path, description="one"),
        Clip(path, tables={"fau": table}),
    ]
    files = {cache.file(clip, digest) for clip in given for digest in ("a", "b")}
    assert len(files) == 8
    before = cache.file(given[3], "a")
    table.write_text("timestamp,segment_id,0\n0,1,1\n")
    assert cache.file(given[3], "a") != before
    with pytest.raises(RecordError, match="cannot be read"):
        cache.file(Clip(path, tables={"fau": tmp_path / "none.csv"}), "a")


def test_what_is_not_read_makes_no_other_features(embedded: ReactionFeatureExtractor, tmp_path: Path) -> None:
    clip = Clip(tmp_path / "a.mp4", description="one", tables={"fau": tmp_path / "a.csv"})
    assert embedded.accept(clip) == Clip(tmp_path / "a.mp4")


def test_the_digest_sees_settings_and_weights_but_not_the_device(networks: Path) -> None:
    config = paper_like(networks)
    assert config.digest == config.replace(device="cuda").digest
    changes: list[dict[str, Any]] = [
        {"frames": 16}, {"crop": "frame"}, {"face": None}, {"text": "descriptions"}, {"given": {}},
    ]  # fmt: skip
    digests = {config.digest, *(config.replace(**change).digest for change in changes)}
    assert len(digests) == 1 + len(changes)
    assert ReactionFeatureConfig.embedded().digest == ReactionFeatureConfig().digest


def test_a_configuration_that_cannot_be_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs clip and sentences"):
        ReactionFeatureConfig(text="templates")
    with pytest.raises(ValueError, match="no modality smell"):
        ReactionFeatureConfig(given={"smell": 3})
    missing = ReactionFeatureConfig(visual=str(tmp_path / "no" / "such" / "vit"))
    with pytest.raises(WeightsError, match="no such folder"):
        missing.build()


def test_what_is_not_wanted_is_not_made_and_not_told(quick: ReactionFeatureExtractor, make_clip: Make) -> None:
    clip = Clip(make_clip())  # without sound
    config = ReactionFeatureConfig(frames=3, modalities=("fau",), given={"audio": 4})
    found, whole = config.build().features(clip), quick.features(clip)
    assert [name for name in MODALITIES if found.modalities[name].present] == ["fau"]
    assert torch.equal(found.modalities["fau"].values, whole.modalities["fau"].values)
    assert not any("sound" in warning or "audio" in warning for warning in found.warnings)
    assert any("sound" in warning for warning in whole.warnings)
    with pytest.raises(ValueError, match="no modality smell"):
        ReactionFeatureConfig(modalities=("smell",))


def test_a_settled_video_is_read_once_for_all_its_stretches(tmp_path: Path) -> None:
    settled, cache = Path(__file__), ReactionCache(tmp_path / "cache")
    opened: list[Path] = []

    def note(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and given[0] == __file__:
            opened.append(settled)

    sys.addaudithook(note)  # it cannot be taken away again, and goes on into a list that nobody reads
    counts, files = [], set()
    for start in (0.0, 0.5, 1.0):
        before = len(opened)
        files.add(cache.file(Clip(settled, Span(start_s=start, end_s=start + 0.5)), "digest"))
        counts.append(len(opened) - before)
    assert len(files) == 3
    assert {file.name.split("-")[0] for file in files} == {sha256(settled)}
    assert counts[1:] == [1, 1], "opened to see that it can be, not to be read again"
    assert counts[0] > 1


def test_stretches_are_kept_by_their_videos_content(make_clip: Make, tmp_path: Path) -> None:
    clip, cache = make_clip(), ReactionCache(tmp_path / "cache")
    files = {cache.file(Clip(clip, Span(start_s=start, end_s=start + 0.5)), "digest") for start in (0, 0.5, 1)}
    assert len(files) == 3
    assert {file.name.split("-")[0] for file in files} == {sha256(clip)}
    clip.write_bytes(clip.read_bytes() + b"more")
    assert video_digest(clip) == sha256(clip)
    with pytest.raises(MediaError, match="no such file"):
        video_digest(tmp_path / "none.mp4")


def test_a_full_disk_costs_the_cache_and_not_the_features(
    quick: ReactionFeatureExtractor,
    make_clip: Make,
    tmp_path: Path,
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    clip, cache = make_clip(), ReactionCache(tmp_path / "cache")
    with full_disk():
        (outcome,) = extract([clip], quick, cache)
    assert outcome.features is not None
    assert "cannot be written" in (outcome.reason or "")
    assert "features are not kept" in (cache.warning or "")
    counted = tally([outcome])
    assert counted.extracted == 0, "tables are made of kept files"
    assert [path for path, _ in counted.failed] == [str(clip)]


def test_a_header_that_is_damaged_is_never_a_crash(
    quick: ReactionFeatureExtractor, make_clip: Make, tmp_path: Path
) -> None:
    (outcome,) = extract([make_clip()], quick, ReactionCache(tmp_path / "cache"))
    assert outcome.file is not None
    whole, damaged = outcome.file.read_bytes(), tmp_path / "damaged.safetensors"
    for place in range(0, whole.index(b"}}") + 2):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :])
        with contextlib.suppress(RecordError):
            load_features(damaged)
