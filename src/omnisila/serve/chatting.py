"""One question about a video, answered in a process of its own."""

import base64
import binascii
from pathlib import Path
from threading import BoundedSemaphore

from omnisila.errors import InputError
from omnisila.files import Write
from omnisila.serve import processes
from omnisila.serve.analyses import MODELS, QueueFullError

_TIMEOUT_S = 900.0
_WAITING = 8  # questions that may wait for an answer; more are sent away
_MEMORY_BYTES = 16 * 2**30


class Questions:
    """Takes one question after another."""

    def __init__(self) -> None:
        self._places, self._worker = BoundedSemaphore(_WAITING), BoundedSemaphore(1)

    def answer(self, video: Path, model: str, question: str) -> str:
        """What the model says.

        Raises:
            MediaError: the video cannot be read, or the model was not taught the question; the message lists those it
                was taught.
            QueueFullError: many others are waiting.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFullError
        try:
            with self._worker:
                child = processes.Child(__name__, (str(video), model, question), processes.FeatureWriter(video))
                return child.answer(_TIMEOUT_S, "Give a shorter video.").decode(errors="replace")
        finally:
            self._places.release()


def video_in(url: str) -> bytes:
    """The content of a ``data:`` address.

    Raises:
        InputError: it is damaged.
    """
    head, _, content = url.partition(",")
    if not head.endswith(";base64"):
        raise InputError("video_url: the data is not base64. Send data:video/mp4;base64,...")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("video_url: the base64 is damaged. Encode the video again.") from None


def main(arguments: list[str], write: Write) -> bytes:
    """In the process of its own: the answer."""
    from omnisila import weights
    from omnisila.inference.chat import TaughtChat
    from omnisila.models.checkpoint import load_run
    from omnisila.scenes.cache import FeatureCache

    video, model, question = arguments
    processes.limit(_MEMORY_BYTES, 2 * _TIMEOUT_S)
    if model not in MODELS:
        raise InputError(f"model {model!r}: choose from {', '.join(MODELS)}.")
    return TaughtChat(load_run(weights.FOLDER / model), Path(video), FeatureCache(write=write)).ask(question).encode()
