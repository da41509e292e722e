"""The files of a report: one writer a format, and the index of a run."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from omnisila.digests import digest, file_digest
from omnisila.errors import OmnisilaError
from omnisila.files import printable, remove, write_atomically
from omnisila.inference.batch import INDEX, STATE_FOLDER, Outcome, Writer, failure_reason, output_path
from omnisila.inference.inputs import CUTS, Failure, Input
from omnisila.predictions.analyses import parse_analysis
from omnisila.report.cuts import remove_cuts, write_cuts
from omnisila.report.exports import PAGE, Exporter, exporter, formats, output_suffixes, wanted_formats
from omnisila.report.faces import FaceFinder, FaceFinderConfig
from omnisila.report.index import IndexEntry, render_index
from omnisila.report.page import render_page
from omnisila.report.previews import collect_media, thumbnail
from omnisila.schema import Analysis

_INDEX_RECORD = f"{STATE_FOLDER}/{INDEX}"  # a line for the digest of the last index, then one a video in it


class Report:
    """What a run writes into its folder; ``clips`` counts the cut ones.

    Args:
        wanted: names of formats; JSON is always among them.
        cuts: cut the findings out of their videos too, see ``cut``.
        calibration_note: what the thresholds hold for.
        linked: a page leads to its video, where that lies now.

    Raises:
        InputError: no such format; the message lists those there are.
    """

    def __init__(
        self,
        out: Path,
        wanted: Sequence[str],
        *,
        blur_faces: bool,
        model_card: str | None,
        calibration_note: str,
        cuts: bool = False,
        linked: bool = True,
    ) -> None:
        self.out = out
        self.clips = 0
        self.wanted = wanted_formats(wanted)
        self._blur_faces, self._linked = blur_faces, linked
        shown = cuts or PAGE in self.wanted
        self._finder: FaceFinder | None = FaceFinderConfig().build() if blur_faces and shown else None
        self._render = partial(render_page, model_card=model_card, calibration_note=calibration_note)

    def writers(self) -> Mapping[str, Writer]:
        """By suffix, what makes each output's content."""
        exporters = [exporter(name) for name in self.wanted if name != PAGE]
        writers: dict[str, Writer] = {exporter.suffix: partial(_write_export, exporter) for exporter in exporters}
        if PAGE in self.wanted:
            writers[PAGE] = self._page
        return writers

    def suffixes(self) -> tuple[str, ...]:
        """Of every output that any run may write."""
        return output_suffixes((*formats(), PAGE))

    def retire(self, item: Input) -> None:
        """Take away the clips of an earlier analysis.

        Raises:
            OutputError: one cannot be removed.
        """
        remove_cuts(output_path(self.out, item.name, CUTS))

    def cut(self, outcome: Outcome) -> tuple[str, ...]:
        """The clips of a finished input's findings, in the folder ``clip.mp4.cuts``; why some could not be cut.

        Where the input was done by an earlier run, only clips that are missing are cut.
        """
        item = outcome.input
        folder = output_path(self.out, item.name, CUTS)
        again = outcome.state == "done"
        try:
            cuts = write_cuts(
                item.path, outcome.analysis or self._read_analysis(item), folder, finder=self._finder, again=again
            )
        except Exception as error:
            return (failure_reason(item, error),)
        self.clips += len(cuts.files)
        return tuple(map(printable, cuts.failed))

    def write_index(self, outcomes: Iterable[Outcome], failed: Iterable[Failure]) -> Path:
        """One row a video, ranked by its strongest finding, and the failures with their reasons.

        Raises:
            OutputError: it cannot be written.
        """
        entries = [self._entry(outcome) for outcome in outcomes]
        entries += [IndexEntry(name=printable(failure.name), failure=failure.reason) for failure in failed]
        index = render_index(entries).encode()
        write_atomically(self.out / INDEX, index)
        listed = (digest(index), *(entry.name for entry in entries))
        write_atomically(self.out / _INDEX_RECORD, "\n".join(listed))
        return self.out / INDEX

    def retire_index(self, done: Iterable[str]) -> bool:
        """Take an earlier run's index away if it tells of inputs that are analysed anew; whether it was.

        Raises:
            OutputError: it cannot be removed.
        """
        index = self.out / INDEX
        try:
            known, *listed = (self.out / _INDEX_RECORD).read_text(encoding="utf-8").split("\n")
            stale = known == file_digest(index)
        except (OSError, UnicodeDecodeError):
            return False
        stale = stale and not set(listed).isdisjoint(map(printable, done))
        if stale:
            remove(index)
        return stale

    def _page(self, analysis: Analysis, item: Input) -> str:
        media = collect_media(item.path, analysis, self._blur_faces, finder=self._finder)
        page = output_path(self.out, item.name, PAGE)
        return self._render(analysis, media, _link(item.path, page.parent) if self._linked else None)

    def _entry(self, outcome: Outcome) -> IndexEntry:
        item = outcome.input
        if outcome.state == "failed":
            return IndexEntry(name=printable(item.name), failure=outcome.reason or "failed")
        try:
            analysis = self._read_analysis(item)
        except (OSError, OmnisilaError) as error:  # another program's doing, since it was written
            return IndexEntry(name=printable(item.name), failure=printable(str(error)))
        try:
            picture = thumbnail(item.path, analysis, self._blur_faces)
        except OmnisilaError:
            picture = None  # no frame is there, or the video is gone by now
        page = output_path(self.out, item.name, PAGE)
        return IndexEntry.of(analysis, printable(item.name), _link(page, self.out), picture)

    def _read_analysis(self, item: Input) -> Analysis:
        return parse_analysis(output_path(self.out, item.name, "json").read_text(encoding="utf-8"))


def _link(path: Path, folder: Path) -> str:
    """The way from a page in ``folder``, percent-encoded; a name need not be UTF-8."""
    return quote(os.fsencode(Path(relpath(path, folder)).as_posix()))


def _write_export(exporter: Exporter, analysis: Analysis, _item: Input) -> str:
    return exporter.export(analysis)
