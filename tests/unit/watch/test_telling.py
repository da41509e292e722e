"""Who is told, and what stays: a broker of MQTT, an outbox over restarts, results that are taken away."""

import asyncio
import gc
import json
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from omnisila.watch.address import Address
from omnisila.watch.events import EventLog
from omnisila.watch.outbox import FAILED, Outbox, UndeliveredError
from omnisila.watch.retention import retire
from omnisila.watch.settings import WatchSettings
from omnisila.watch.targets import target
from omnisila.watch.watching import Watch
from tests.waiting import wait_for

OPEN = {"event": "open", "camera": "yard.1", "finding": "f1", "label": "Fire", "score": 0.8}


class Mosquito:
    """A broker on a port of loopback, started and stopped."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the broker leaves its sockets to the collector
            gc.collect()

    async def _serve(self, ready: threading.Event) -> None:
        from amqtt.broker import Broker

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        broker = Broker({
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        })  # fmt: skip
        await broker.start()
        ready.set()
        await self._end.wait()
        await broker.shutdown()


@pytest.fixture
def broker() -> Iterator[Mosquito]:
    server = Mosquito()
    server.start()
    yield server
    server.stop()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the broker's sockets
def test_a_broker_gets_events_states_and_what_home_assistant_needs(broker: Mosquito):
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    got: list[tuple[str, bytes, bool]] = []
    subscribed = threading.Event()
    reader = Client(CallbackAPIVersion.VERSION2)
    reader.on_message = lambda _client, _data, message: got.append((message.topic, message.payload, message.retain))
    reader.on_subscribe = lambda *_: subscribed.set()
    reader.connect("127.0.0.1", broker.port)
    reader.subscribe("#", qos=1)
    reader.loop_start()
    assert subscribed.wait(30)
    told = target(f"mqtt://user:pass-word@127.0.0.1:{broker.port}/home/alarms", b"")
    assert "pass-word" not in told.public
    told.send("k1", json.dumps(OPEN).encode())
    told.send("k2", json.dumps({**OPEN, "event": "close"}).encode())
    wait_for(lambda: len(got) >= 5, for_s=60)
    (topic, config, _), *events = got
    assert topic == "homeassistant/binary_sensor/omnisila_yard_1/config"
    assert json.loads(config)["state_topic"] == "home/alarms/yard.1/state"
    assert [topic for topic, _, _ in events] == ["home/alarms/yard.1", "home/alarms/yard.1/state"] * 2
    assert [json.loads(events[place][1])["key"] for place in (0, 2)] == ["k1", "k2"]
    assert [events[place][1] for place in (1, 3)] == [b"ON", b"OFF"]
    reader.disconnect()
    reader.loop_stop()
    broker.stop()
    with pytest.raises(UndeliveredError) as told_error:
        told.send("k3", json.dumps(OPEN).encode())
    assert "pass-word" not in str(told_error.value)
    broker.start()
    wait_for(lambda: _delivers(told), for_s=60)


def _delivers(told: Any) -> bool:
    try:
        told.send("k3", json.dumps(OPEN).encode())
    except UndeliveredError:
        return False
    return True


def test_notices_survive_a_restart_in_order_and_are_sent_once(webhook, tmp_path: Path):
    said: list[str] = []
    webhook.refused = [503] * 1000
    first = Outbox(tmp_path, [target(webhook.url, b"secret")], said.append, retry_s=0.05, retry_max_s=0.1)
    first.start()
    for number in range(5):
        first.put(f"k{number}", {**OPEN, "number": number})
    wait_for(lambda: len(webhook.refused) < 995, for_s=60)
    first.stop()
    assert first.waiting == 5
    assert not webhook.got
    assert said == [f"notices to {target(webhook.url, b'').public} wait: answered 503"], "once in a row"
    (tmp_path / "00-damaged.json").write_text("{half")
    webhook.refused = []
    second = Outbox(tmp_path, [target(webhook.url, b"secret")], said.append, retry_s=0.05)
    second.start()
    wait_for(lambda: not second.waiting, for_s=60)
    second.stop()
    assert [headers["Idempotency-Key"] for headers, _ in webhook.got] == [f"k{number}" for number in range(5)]
    assert [json.loads(body)["number"] for _, body in webhook.got] == list(range(5))
    assert [path.name for path in (tmp_path / FAILED).iterdir()] == ["00-damaged.json"]
    third = Outbox(tmp_path, [target(webhook.url, b"secret")], said.append)
    third.start()
    third.stop()
    assert len(webhook.got) == 5


def test_a_label_of_a_camera_is_told_once_in_its_cooldown(flagging: Any, webhook, tmp_path: Path):
    settings, told = WatchSettings(out=tmp_path), [target(webhook.url, b"secret")]
    watch = Watch([Address.parse(f"yard={tmp_path}")], flagging(1.0, 1.0), settings, told, say=lambda _: None)

    def tell(**changes: str) -> int:
        watch._tell("said", {**OPEN, **changes})
        return watch.outbox.waiting

    assert tell() == 1
    assert tell(finding="f2") == 1, "of the same label and camera"
    assert tell(finding="f2", event="close") == 1, "nobody heard of it"
    assert tell(finding="f3", label="Theft") == 2
    assert tell(finding="f4", camera="gate") == 3
    assert tell(event="update") == 4
    assert tell(event="close") == 5
    watch._told_s.clear()  # a minute has passed
    assert tell(finding="f5") == 6


def test_each_hour_has_a_file_and_a_line_that_was_cut_off_costs_no_other(tmp_path: Path):
    log = EventLog(tmp_path)
    log.write("score", datetime(2026, 11, 26, 13, 59, 59, 999_000, tzinfo=UTC), score=0.1)
    cut_off = tmp_path / "2026-11-26" / "14.jsonl"
    cut_off.write_text('{"kind": "sc')
    log.write("score", datetime(2026, 11, 26, 14, tzinfo=UTC), score=0.2)
    assert json.loads((tmp_path / "2026-11-26" / "13.jsonl").read_text())["score"] == 0.1
    assert json.loads(cut_off.read_text().splitlines()[1])["utc"] == "2026-11-26T14:00:00.000Z"


@pytest.mark.parametrize(("status", "age_s"), [(410, 86_400.0), (503, 0.0)])
def test_a_notice_is_given_up_where_time_does_not_help(webhook, tmp_path: Path, status: int, age_s: float):
    said: list[str] = []
    webhook.refused = [status] * 3
    outbox = Outbox(tmp_path, [target(webhook.url, b"secret")], said.append, retry_s=0.05, age_s=age_s)
    outbox.start()
    outbox.put("k", OPEN)
    wait_for(lambda: any("given up" in line for line in said), for_s=60)
    outbox.stop()
    assert len(list((tmp_path / FAILED).iterdir())) == 1
    assert "pass-word" not in "".join(said)


def clip(folder: Path, day: int, size: int = 1000) -> Path:
    """A clip of a day of November, with its analysis and the events of its hour."""
    path = folder / "yard" / f"2026-11-{day:02}" / "14" / "140305_Fire_1f3a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))
    beside = path.with_name(f"{path.name}.json")
    beside.write_text(json.dumps({"video": {"sha256": f"s{day}"}}))
    log = path.parent.with_name("14.jsonl")
    log.write_text("{}\n")
    made_s = datetime(2026, 11, day, 15, tzinfo=UTC).timestamp()
    for file in (path, beside, log):
        os.utime(file, (made_s, made_s))
    return path


def test_old_results_go_and_accepted_findings_stay(tmp_path: Path):
    clips = {day: clip(tmp_path, day) for day in (1, 2, 20, 25)}
    now = datetime(2026, 11, 26, tzinfo=UTC)
    assert retire(tmp_path, None, None, {"s2"}, now) == 0
    assert retire(tmp_path, 10.0, None, {"s2"}, now) == 4  # a clip, its analysis, two logs
    assert [day for day, path in clips.items() if path.is_file()] == [2, 20, 25]
    assert not clips[1].parent.parent.exists()
    assert clips[2].with_name(f"{clips[2].name}.json").is_file()
    assert retire(tmp_path, None, 2500, {"s2"}, now) == 2  # the oldest that nobody accepted
    assert [day for day, path in clips.items() if path.is_file()] == [2, 25]
    assert retire(tmp_path, None, 1, {"s2", "s25"}, now) == 0
    (clips[25].with_name(f"{clips[25].name}.json")).write_text("{half")
    assert retire(tmp_path, None, 1, {"s2", "s25"}, now) == 2, "without an analysis nobody can have accepted it"
