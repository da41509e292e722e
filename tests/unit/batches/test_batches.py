"""Batches: every input has one end, whatever happens to those who work on it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from omnisila.batches.engines import Engine, Limits, ProcessPool, RayData
from omnisila.batches.ledger import WHOLE, End, Ledger
from omnisila.batches.listing import Source, list_sources
from omnisila.batches.running import run_batch
from omnisila.batches.storage import Storage
from omnisila.batches.summary import Tally
from omnisila.batches.work import end_of, scratch_folder
from omnisila.errors import InputError, OutputError
from omnisila.inference.batch import RunIdentity
from omnisila.schema import Analysis
from tests.unit.batches.brightness import start
from tests.waiting import wait_for

Make = Callable[..., Path]
ROOT = Path(__file__).parents[3]


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level % 256, np.uint8)).resize((8 + level // 256, 8)).save(path)
    return path


def run(
    inputs: str | Path,
    out: str | Path,
    log: Path,
    *,
    engine: Callable[[Storage, Limits], Engine] = ProcessPool,
    limits: Limits = Limits(workers=2),  # noqa: B008  immutable
    retry_failed: bool = False,
) -> Tally:
    log.mkdir(exist_ok=True)
    storage = Storage(str(out))
    sources = list_sources([str(inputs)]).files
    given = (str(out), str(log))
    return run_batch(
        sources, storage, engine(storage, limits), start, given, tell=lambda _: None, retry_failed=retry_failed
    )


def analysed(log: Path) -> Counter[str]:
    """How often each file was analysed."""
    return Counter(line for path in log.iterdir() for line in path.read_text().splitlines())


def ends(out: Path | str) -> dict[str, End]:
    """By name, from the whole ledger: each name is there once."""
    content = Storage(str(out)).read(WHOLE)
    assert content is not None
    found = [End.model_validate_json(line) for line in content.decode().splitlines()]
    assert len({end.name for end in found}) == len(found)
    return {end.name: end for end in found}


def test_two_thousand_tiny_files_have_one_end_each(tmp_path: Path):
    for number in range(2000):
        picture(tmp_path / "in" / f"{number % 7}" / f"{number:04}.png", number % 1900)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    tally = run(tmp_path / "in", tmp_path / "out", tmp_path / "log")
    found = ends(tmp_path / "out")
    assert tally.states.total() == len(found) == 2001
    assert Counter(end.state for end in found.values())["failed"] == 1
    assert "no video" in (found["broken.png"].reason or "") or "broken.png" in (found["broken.png"].reason or "")
    assert sum(analysed(tmp_path / "log").values()) + sum(end.state == "skipped" for end in found.values()) == 2000
    for name in ("0/0000.png", "2/1997.png"):
        analysis = Analysis.model_validate_json((tmp_path / "out" / f"{name}.json").read_bytes())
        assert analysis.video.path == str(tmp_path / "in" / name)
        assert analysis.video.sha256 == found[name].sha256
    page = (tmp_path / "out" / "index.html").read_text()
    assert "2001 videos" in page
    assert "The 100 with the strongest findings are shown" in page
    again = run(tmp_path / "in", tmp_path / "out", tmp_path / "again")
    assert again.states == tally.states
    assert not list((tmp_path / "again").iterdir()), "no process was started for it"


def test_a_file_that_kills_or_holds_its_process_is_set_aside(make_video: Make, tmp_path: Path):
    for number, name in enumerate(("a", "kills", "b", "hangs", "c")):
        make_video(f"in/{name}.mp4", frames=6 + number)
    limits = Limits(workers=2, tries=2, limit_s=3)
    run(tmp_path / "in", tmp_path / "out", tmp_path / "log", limits=limits)
    found = ends(tmp_path / "out")
    assert {name[0] for name, end in found.items() if end.state == "done"} == {"a", "b", "c"}
    assert re.search(r"kills\.mp4: set aside after 2 tries.*SIGKILL", found["kills.mp4"].reason or "")
    assert re.search(r"hangs\.mp4: set aside after 2 tries.*no end after 3 s", found["hangs.mp4"].reason or "")
    (tmp_path / "in" / "hangs.mp4").rename(tmp_path / "in" / "kills.mp4")
    again = run(tmp_path / "in", tmp_path / "out", tmp_path / "log", limits=limits)
    assert again.states == {"done": 3, "failed": 1}


def pids(log: Path) -> list[int]:
    return [int(path.name) for path in log.iterdir()] if log.is_dir() else []


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


SCRIPT = """
import sys
from omnisila.batches.engines import Limits, ProcessPool
from omnisila.batches.listing import list_sources
from omnisila.batches.running import run_batch
from omnisila.batches.storage import Storage
from tests.unit.batches.brightness import start

if __name__ == "__main__":
    inputs, out, log = sys.argv[1:]
    storage = Storage(out)
    engine = ProcessPool(storage, Limits(workers=2))
    run_batch(list_sources([inputs]).files, storage, engine, start, (out, log, 0.3), tell=print)
"""


def test_killed_workers_and_a_killed_driver_lose_and_repeat_nothing(tmp_path: Path):
    for number in range(24):
        picture(tmp_path / "in" / f"{number:02}.png", number)
    script, log, out = tmp_path / "script.py", tmp_path / "log", tmp_path / "out"
    script.write_text(SCRIPT)
    log.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    driver = subprocess.Popen(
        [sys.executable, script, tmp_path / "in", out, log], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        (worker,) = wait_for(lambda: pids(log)[:1])
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(list(Ledger(Storage(str(out))).ends())) >= 6)
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not any(lives(process) for process in pids(log)))
    before = dict(Ledger(Storage(str(out))).ends())
    assert 6 <= len(before) < 24
    done = analysed(log)
    run(tmp_path / "in", out, tmp_path / "again")
    assert {end.state for end in ends(out).values()} == {"done"}
    assert len(ends(out)) == 24
    assert done + analysed(tmp_path / "again") == Counter(done | analysed(tmp_path / "again")), "nothing twice"
    assert dict(Ledger(Storage(str(out))).ends()).items() >= before.items()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 on loopback with an empty bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        from fsspec.core import url_to_fs

        url_to_fs("s3://bucket")[0].mkdir("bucket")
        yield "s3://bucket"
        server.stop()


def test_from_a_bucket_to_a_bucket(bucket: str, tmp_path: Path):
    storage = Storage(f"{bucket}/in")
    for number in range(6):
        storage.put(f"a b/{number}#.png", picture(tmp_path / f"{number}.png", 200 + number).read_bytes())
    storage.put("a b/same.png", (tmp_path / "3.png").read_bytes())
    storage.put("readme.txt", b"not a video")
    out = f"{bucket}/out"
    tally = run(f"{bucket}/in", out, tmp_path / "log")
    found = ends(out)
    assert tally.states.total() == len(found) == 7
    assert {end.state for end in found.values()} <= {"done", "skipped"}
    content = Storage(out).read("a b/3#.png.json")
    assert content is not None
    analysis = Analysis.model_validate_json(content)
    assert analysis.video.path == f"{bucket}/in/a b/3#.png"
    assert analysis.findings
    assert b"7 videos" in (Storage(out).read("index.html") or b"")
    storage.put("a b/3#.png", picture(tmp_path / "new.png", 10).read_bytes())
    again = run(f"{bucket}/in", out, tmp_path / "again")
    assert again.states.total() == 7
    assert analysed(tmp_path / "again") == {"3#.png": 1}, "the changed one alone"
    assert len(ends(out)) == 7
    listed = tmp_path / "list.txt"
    listed.write_text(f"{bucket}/in/a b/0#.png\n{bucket}/in/none.png\n{tmp_path / 'new.png'}\n")
    tally = run(f"@{listed}", tmp_path / "local", tmp_path / "list")
    assert tally.states == {"done": 2, "failed": 1}
    assert "none.png: cannot be fetched" in tally.failed[0].reason


@pytest.mark.parametrize("remote", [False, True])
def test_the_first_of_many_writers_wins(bucket: str, tmp_path: Path, remote: bool):
    storage = Storage(f"{bucket}/first" if remote else str(tmp_path))
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda number: storage.create("a/b.json", str(number).encode()), range(32)))
    assert won.count(True) == 1
    assert storage.read("a/b.json") == str(won.index(True)).encode()
    assert dict(storage.read_all("a")) == {"a/b.json": storage.read("a/b.json")}
    storage.remove("a/b.json")
    assert storage.read("a/b.json") is None


def test_an_input_has_the_end_that_was_written_first(tmp_path: Path):
    source, ledger = Source("s3://b/a.mp4", "a.mp4", "1"), Ledger(Storage(str(tmp_path)))
    first = ledger.put(source, end_of(source, "failed", reason="one"))
    assert ledger.put(source, end_of(source, "done")) == first == ledger.of(source)
    assert ledger.of(source._replace(version="2")) is None
    (path,) = tmp_path.rglob(f"{source.key}.json")
    path.write_text("{half")
    assert not list(ledger.ends())
    assert ledger.put(source, end_of(source, "done")).state == "done"
    ledger.forget(source.key)
    assert ledger.of(source) is None


def test_a_folder_belongs_to_one_model_and_its_settings(tmp_path: Path):
    identity = RunIdentity(model_digest="d1", labels=("implicit",), settings={"rate_hz": 4.0})
    ledger = Ledger(Storage(str(tmp_path)))
    ledger.bind(identity)
    ledger.bind(identity)
    with pytest.raises(InputError, match=r"another run \(rate_hz 4.0, not 8.0\)"):
        ledger.bind(identity.replace(settings={"rate_hz": 8.0}))


def test_inputs_have_names_of_their_own(bucket: str, tmp_path: Path):
    storage = Storage(f"{bucket}/named")
    for name in ("x/a.png", "y/a.png", "y/.hidden.png", "y/note.txt"):
        storage.put(name, b"1")
    picture(tmp_path / "x" / "a.png", 1)
    found = list_sources([f"{bucket}/named", str(tmp_path), f"{bucket}/named/y/*.png", f"{bucket}/none"])
    assert sorted(source.name for source in found.files) == sorted(
        ["s3/bucket/named/x/a.png", f"{tmp_path}/x/a.png".lstrip("/"), "y/a.png"]
    )
    assert "no video or picture there" in found.failed[0].reason
    with pytest.raises(InputError, match="nope://"):
        list_sources(["nope://bucket/a.mp4"])


def test_what_cannot_be_written_ends_the_run_and_is_no_inputs_fault(tmp_path: Path):
    picture(tmp_path / "in" / "a.png", 1)
    (tmp_path / "out" / "a.png.json").mkdir(parents=True)
    with pytest.raises(OutputError, match="A folder has that name"):
        run(tmp_path / "in", tmp_path / "out", tmp_path / "log")
    (tmp_path / "out" / "a.png.json").rmdir()
    assert run(tmp_path / "in", tmp_path / "out", tmp_path / "log").states == {"done": 1}


def test_failed_inputs_are_tried_again_when_asked(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"none")
    assert run(tmp_path / "in", tmp_path / "out", tmp_path / "log").states == {"failed": 1}
    assert run(tmp_path / "in", tmp_path / "out", tmp_path / "log").states == {"failed": 1}
    picture(tmp_path / "in" / "a.png", 1)
    assert run(tmp_path / "in", tmp_path / "out", tmp_path / "log", retry_failed=True).states == {"done": 1}


def test_runs_into_one_folder_keep_each_others_results(tmp_path: Path):
    for number, day in enumerate(("monday", "tuesday")):
        path = picture(tmp_path / day / "a.png", 100 + number)
        run(path.parent, tmp_path / "out", tmp_path / "log")
        (tmp_path / day / "broken.png").write_bytes(b"none")
        run(path.parent, tmp_path / "out", tmp_path / "log")
    found = ends(tmp_path / "out")
    assert len(found) == 4
    for name in ("a.png", f"{tmp_path}/tuesday/a.png".lstrip("/")):
        analysis = Analysis.model_validate_json((tmp_path / "out" / f"{name}.json").read_bytes())
        assert (analysis.video.path, analysis.video.sha256) == (found[name].address, found[name].sha256)


def test_a_changed_input_has_one_end(tmp_path: Path):
    for level in (1, 300):
        picture(tmp_path / "in" / "a.png", level)
        run(tmp_path / "in", tmp_path / "out", tmp_path / "log")
    (end,) = ends(tmp_path / "out").values()
    assert end.version == list_sources([str(tmp_path / "in")]).files[0].version


@pytest.mark.parametrize("remote", [False, True])
def test_results_that_are_gone_are_written_again(bucket: str, tmp_path: Path, remote: bool):
    out = f"{bucket}/gone" if remote else str(tmp_path / "out")
    for number in range(3):
        picture(tmp_path / "in" / "a" / f"{number}.png", number)
    first = run(tmp_path / "in", out, tmp_path / "log")
    Storage(out).remove("a/1.png.json")
    assert run(tmp_path / "in", out, tmp_path / "again").states == first.states == {"done": 3}
    assert analysed(tmp_path / "again") == {"1.png": 1}
    assert Storage(out).read("a/1.png.json")
    assert len(ends(out)) == 3


def test_results_stay_in_their_folder(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "x" / "a.png", 1)
    picture(tmp_path / "y" / "a.png", 2)
    (tmp_path / "list.txt").write_text("x/../y/a.png\nx/a.png\ns3://../../b.png\ns3://b.png\n")
    found = list_sources(["@list.txt"]).files
    assert len({source.name for source in found}) == len(found) == 4
    assert not any({"", "..", "."} & set(source.name.split("/")) for source in found)
    for storage in (Storage(str(tmp_path / "out")), Storage(f"{bucket}/inside")):
        for call in (storage.read, storage.remove, lambda name, at=storage: at.put(name, b"")):
            with pytest.raises(InputError, match="out of the folder"):
                call("a/../../b.json")


class Failing(MemoryFileSystem):
    """A storage that fails as often as is asked for, at reading or listing what has ``bad`` in its name."""

    protocol = "failing"
    left = 0

    def _fail(self, path: str) -> None:
        if "bad" in path and Failing.left:
            Failing.left -= 1
            raise OSError("connection reset")

    def cat_file(self, path: str, *args: Any, **more: Any) -> bytes:
        self._fail(path)
        return super().cat_file(path, *args, **more)

    def ls(self, path: str, *args: Any, **more: Any) -> Any:
        self._fail(path)
        return super().ls(path, *args, **more)


@pytest.fixture
def failing() -> Iterator[Storage]:
    register_implementation("failing", Failing, clobber=True)
    yield Storage("failing://out")
    Failing.left = 0
    Failing.store.clear()
    Failing.pseudo_dirs[:] = [""]


def test_a_storage_that_fails_once_is_asked_again(failing: Storage):
    failing.put("a/bad.json", b"1")
    failing.put("a/good.json", b"2")
    Failing.left = 1
    assert failing.read("a/bad.json") == b"1"
    Failing.left = 1
    assert dict(failing.read_all("a")) == {"a/bad.json": b"1", "a/good.json": b"2"}
    failing.put("in/bad/a.png", b"1")
    Failing.left = 1
    assert [source.name for source in list_sources(["failing://out/in"]).files] == ["bad/a.png"]
    Failing.left = 99
    with pytest.raises(InputError, match="cannot be listed"):
        list_sources(["failing://out/in"])


def test_no_folder_of_a_storage_is_passed_over(failing: Storage):
    for name in ("in/a.png", "in/bad/b.png", "in/good/c.png", "in/good/deep/d.png"):
        failing.put(name, b"1")
    listed = {
        "in/*.png": ["a.png"], "in/*/*.png": ["bad/b.png", "good/c.png"], "in/g*/**": ["good/c.png", "good/deep/d.png"],
    }  # fmt: skip
    for pattern, names in listed.items():
        assert [source.name for source in list_sources([f"failing://out/{pattern}"]).files] == names
    Failing.left = 99
    assert len(list_sources(["failing://out/in/*.png"]).files) == 1, "a folder that the pattern does not reach"
    with pytest.raises(InputError, match=r"\*/\*.png: cannot be listed"):
        list_sources(["failing://out/in/*/*.png"])
    with pytest.raises(OutputError, match="bad: cannot be listed"):
        list(Storage("failing://out/in").read_all("bad"))


def test_a_ledger_that_cannot_be_read_is_no_inputs_fault(failing: Storage, tmp_path: Path):
    work = start(f"{failing.address}/bad", str(tmp_path))
    source = Source(str(picture(tmp_path / "a.png", 1)), "a.png", "1")
    Failing.left = 99
    with pytest.raises(OutputError, match="cannot be read"):
        work(source)
    Failing.left = 0
    assert work(source).state == "done"


def test_scratch_folders_are_not_taken_for_each_others_leavings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda _: scratch_folder(), range(64)))
    assert all((folder / "lock").is_file() for folder in folders)


@pytest.mark.filterwarnings("ignore")  # Ray's own, of which it has many
def test_ray_data_gives_the_same(make_video: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # its 30 s are too short where other tests run beside
    import ray

    for number, name in enumerate(("a", "kills", "b", "c")):
        make_video(f"in/{name}.mp4", frames=6 + number)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        limits = Limits(workers=2, tries=2)  # as many as there are cores
        tally = run(tmp_path / "in", tmp_path / "out", tmp_path / "log", engine=RayData, limits=limits)
        assert tally.states == {"done": 3, "failed": 1}
        assert "set aside after 2 tries" in tally.failed[0].reason
        found = ends(tmp_path / "out")
        (tmp_path / "full" / "a.mp4.json").mkdir(parents=True)
        with pytest.raises(OutputError, match="A folder has that name"):
            run(tmp_path / "in", tmp_path / "full", tmp_path / "log", engine=RayData, limits=limits)
        assert not any(end.name == "a.mp4" for _, end in Ledger(Storage(str(tmp_path / "full"))).ends())
    finally:
        ray.shutdown()
    run(tmp_path / "in", tmp_path / "pool", tmp_path / "log", limits=limits)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        made = [Analysis.model_validate_json((tmp_path / at / f"{name}.json").read_bytes()) for at in ("out", "pool")]
        assert made[0] == made[1]
        assert found[name].state == "done"
