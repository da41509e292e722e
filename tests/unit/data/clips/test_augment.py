"""Augmentation: the same copy every time, other copies differ, copy 0 is the footage."""

import itertools

import torch

from omnisila.data.clips.augment import AugmentConfig
from omnisila.media.frames import Frame

AUGMENTER = AugmentConfig().build()
PICTURE = (torch.rand(60, 80, 3, generator=torch.Generator().manual_seed(0)) * 255).byte()


def footage(count: int = 6) -> list[Frame]:
    return [Frame(index / 12, PICTURE.roll(index, dims=1)) for index in range(count)]


def test_copy_0_is_the_footage():
    for one, other in zip(AUGMENTER.clip(footage(), "a.mp4", 0), footage(), strict=True):
        assert one.time_s == other.time_s
        assert torch.equal(one.image, other.image)
    (still,) = AUGMENTER.still(PICTURE, "a.jpg", 0)
    assert still.time_s == 0
    assert still.image is PICTURE


def test_a_copy_made_twice_is_the_same_and_other_copies_are_not():
    first, again, second, other = (
        list(AUGMENTER.clip(footage(), name, copy))
        for name, copy in (("a.mp4", 1), ("a.mp4", 1), ("a.mp4", 2), ("b.mp4", 1))
    )
    assert all(
        one.time_s == two.time_s and torch.equal(one.image, two.image) for one, two in zip(first, again, strict=True)
    )
    assert not torch.equal(first[0].image, second[0].image)
    assert not torch.equal(first[0].image, other[0].image)


def test_a_copy_keeps_size_and_count_and_moves_on_in_time():
    for copy in range(1, 4):
        frames = list(AUGMENTER.clip(footage(), "a.mp4", copy))
        assert len(frames) == 6
        assert all(frame.image.shape == PICTURE.shape for frame in frames)
        assert all(early.time_s < late.time_s for early, late in itertools.pairwise(frames))


def test_framing_holds_for_a_whole_clip():
    still_camera = AugmentConfig(shake_frac=0.0, noise=0.0).build()
    frames = list(still_camera.clip([Frame(t / 12, PICTURE) for t in range(4)], "a.mp4", 1))
    assert all(torch.equal(frame.image, frames[0].image) for frame in frames)


def test_a_still_becomes_a_short_clip_that_moves_a_little():
    config = AugmentConfig(noise=0.0)
    frames = list(config.build().still(PICTURE, "a.jpg", 2))
    assert len(frames) == round(config.still_s * config.still_rate_hz)
    assert not torch.equal(frames[0].image, frames[-1].image)


def test_no_change_asked_for_gives_the_picture_back():
    plain = AugmentConfig(min_area_frac=1.0, max_stretch=1.0, brightness=0.0, contrast=1.0, gamma=1.0, saturation=1.0,
                          shake_frac=0.0, noise=0.0, max_speed=1.0, still_zoom=1.0).build()  # fmt: skip
    for copy in range(1, 6):
        frame = next(plain.clip([Frame(0.0, PICTURE)], "a.mp4", copy))
        difference = torch.minimum(
            (frame.image.int() - PICTURE.int()).abs().max(), (frame.image.int() - PICTURE.flip(1).int()).abs().max()
        )
        assert difference <= 1
