"""What a watch is started with."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from omnisila.config import Config


class WatchSettings(Config):
    """One watch over any number of cameras.

    Attributes:
        open_s: how long opening a stream may take.
        stall_s: without a picture for so long, or for two frame intervals if that is longer, a stream has stalled.
        retry_s: the first pause before a stream is opened again; doubles up to ``retry_max_s``.
        refused_s: the first pause where the server answered 401, 403 or 404, which time alone seldom repairs.
        queue_s: so many seconds of frames wait at most; then the older half is left out.
        pre_s: what a clip shows before its finding, ``post_s`` after it.
        clip_s: a clip ends after so much of its finding.
        finding_s: a finding that lasts longer is told in parts.
        update_s: how often an open finding is told again.
        cooldown_s: after a notice about a label, further findings of it on this camera are only written.
        keep_days: results older than this are taken away; None keeps all.
        keep_bytes: clips beyond this are taken away, oldest first; None keeps all.
        notice_age_s: a notice that cannot be delivered for so long is given up.
    """

    out: Path
    transport: Literal["tcp", "udp"] = "tcp"
    open_s: float = Field(default=10.0, gt=0)
    stall_s: float = Field(default=2.0, gt=0)
    retry_s: float = Field(default=1.0, gt=0)
    retry_max_s: float = Field(default=30.0, gt=0)
    refused_s: float = Field(default=30.0, gt=0)
    queue_s: float = Field(default=10.0, ge=2)
    pre_s: float = Field(default=5.0, ge=0)
    post_s: float = Field(default=5.0, ge=0)
    clip_s: float = Field(default=60.0, gt=0)
    finding_s: float = Field(default=3600.0, gt=60)
    update_s: float = Field(default=10.0, gt=0)
    cooldown_s: float = Field(default=60.0, ge=0)
    keep_days: float | None = Field(default=None, gt=0)
    keep_bytes: int | None = Field(default=None, gt=0)
    notice_age_s: float = Field(default=86_400.0, gt=0)
