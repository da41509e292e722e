"""Footage without its sound, so that no model can hear what it should see. The pictures are copied untouched."""

from pathlib import Path

import av
from av.error import FFmpegError

from omnisila.errors import MediaError
from omnisila.files import check_writable, path_aside
from omnisila.media.container import check_file, open_container, video_stream


def write_muted(source: Path, target: Path) -> None:
    """Write the video of ``source`` to ``target`` without sound, in one piece; nothing is encoded again.

    Args:
        target: its suffix tells the container, usually that of the source.

    Raises:
        MediaError: the source is no video, or its pictures do not fit the target's container.
        OutputError: the target's folder cannot be written to.
    """
    check_file(source)
    check_writable(target.parent)
    try:
        with (
            path_aside(target, target.suffix) as aside,
            open_container(source) as read,
            av.open(str(aside), "w") as written,
        ):
            stream = video_stream(source, read)
            copied = written.add_stream_from_template(stream)
            for packet in read.demux(stream):
                if packet.dts is not None:  # the last, empty packet flushes decoders; there is none here
                    packet.stream = copied
                    written.mux(packet)
    except (FFmpegError, ValueError) as error:
        raise MediaError(f"{source}: cannot be copied without sound ({error}). Convert it to mp4 first.") from error
