"""The review page in a real browser: keys alone, mouse and fingers, a killed server, names that look like markup."""

import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from omnisila.digests import finding_id
from tests.conftest import write_video
from tests.e2e.proxies import Proxy
from tests.e2e.review_pages import Server, exported, launch
from tests.unit.serve.conftest import analysed

TIMEOUT_MS = 15_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Four videos with five findings each, one of which a browser cannot play, in folders like tags."""
    folder = tmp_path / "reports"
    for number, name in enumerate(("a/one.mp4", "a/two.avi", "<b>bold/three.mp4", "c/four.mp4")):
        video = folder / name
        video.parent.mkdir(parents=True, exist_ok=True)
        write_video(video, frames=60, width_px=64 + 16 * number)
        text = analysed(video, 5, 5.0).model_dump_json().replace('"score":0.9', f'"score":0.{9 - number}')
        video.with_name(f"{video.name}.json").write_text(text, encoding="utf-8")
    return folder


def visit(browser: Browser, server: Server, **options: Any) -> Page:
    """The page with its queue; whatever goes wrong in its scripts fails the test when it is closed."""
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda one: None if one.url.startswith((server.address, "data:", "blob:")) else faults.append(one.url),
    )
    page.on("close", lambda: faults.clear() if not faults else pytest.fail("; ".join(faults)))
    page.goto(server.address)
    expect(page.locator("#list li")).not_to_have_count(0)
    expect(page.locator("#accept")).to_be_enabled()
    # the video is known: from here on nothing but keys moves the playhead
    expect(page.locator("#where")).not_to_be_empty()
    return page


def saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_text("All changes are saved.", timeout=TIMEOUT_MS)


def press(page: Page, *keys: str) -> None:
    """Press keys as a person does, who sees a finding before deciding about it: until then they do nothing."""
    for key in keys:
        expect(page.locator("#accept")).to_be_enabled()
        page.keyboard.press(key)


def chosen(page: Page) -> str:
    """Which finding is open, by its place in the queue."""
    return page.locator("#list .open[aria-current=true]").evaluate(
        "one => one.closest('li').querySelector('.place').textContent"
    )


def test_twenty_findings_by_keyboard_alone_and_the_export_is_what_was_pressed(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        queue = page.request.get(f"{server.address}api/queue").json()["findings"]
        assert len(queue) == 20
        page.keyboard.press("?")  # who never saw the page asks for the keys first
        expect(page.locator("#help")).to_contain_text("accept, and on to the next undecided")
        page.keyboard.press("Escape")
        wanted = {}
        for number, found in enumerate(queue):
            expect(page.locator("#models-span")).to_contain_text(f"0:0{found['start_s']:.3f} to")
            verdict, label, rating, start_s, end_s = "accepted", None, None, found["start_s"], found["end_s"]
            if number % 3 == 0:
                rating = number % 6 + 1
                press(page, str(rating))
            if number % 4 == 1:
                label = "Water Incidents"
                press(page, "l")
                page.keyboard.press("3")
            if number % 5 == 2:
                press(page, "h", "h", "H")  # the end two frames of 12 later, and a second
                end_s = round(round(round(end_s + 1 / 12, 3) + 1 / 12, 3) + 1, 3)
            if number % 2:
                verdict = "rejected"
            press(page, "a" if verdict == "accepted" else "x")
            wanted[found["finding"]] = (verdict, label, rating, round(start_s, 3), round(end_s, 3))
        saved(page)
        expect(page.locator("#counts")).to_have_text("20 findings, 0 undecided")
        page.context.close()
    lines = exported(reports)
    got = {
        line["finding"]: (line["verdict"], line["new_label"], line["rating"], line["start_s"], line["end_s"])
        for line in lines
    }
    assert got == wanted
    by_id = {found["finding"]: found for found in queue}
    for line in lines:  # the model's word stands beside the person's
        found = by_id[str(line["finding"])]
        assert (line["model_start_s"], line["model_end_s"], line["label"]) == (
            found["start_s"], found["end_s"], found["label"],
        )  # fmt: skip
        assert line["finding"] == finding_id(
            str(line["video_sha256"]), "implicit", found["label"], found["start_s"], found["end_s"]
        )


def test_undo_returns_to_what_it_touched_and_takes_a_bulk_change_back_whole(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        first = chosen(page)
        press(page, *"tjtjt", "X")
        expect(page.locator("#list li.rejected")).to_have_count(3)
        page.keyboard.press("u")
        expect(page.locator("#list li.rejected")).to_have_count(0)
        assert chosen(page) == first
        page.keyboard.press("y")
        expect(page.locator("#list li.rejected")).to_have_count(3)
        page.keyboard.press("u")
        expect(page.locator("#list li.rejected")).to_have_count(0)
        press(page, "a")
        expect(page.locator("#list li.accepted")).to_have_count(1)
        press(page, *"jjjj")
        assert chosen(page) != first
        page.keyboard.press("u")
        expect(page.locator("#list .open[aria-current=true] .place")).to_have_text(first)
        expect(page.locator("#list li.accepted")).to_have_count(0)
        page.context.close()


def test_keys_rest_in_text_fields_and_work_after_the_mouse(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        page.locator("#filters summary").click()
        page.locator("[name=min_score]").click()
        page.keyboard.type("0.5ax")
        page.locator("[name=min_score]").fill("")
        page.locator("#start").click()
        page.keyboard.type("ax1")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+a")  # the browser's own
        page.keyboard.press("Alt+x")
        assert page.request.get(f"{server.address}metrics").text().count("omnisila_decisions 0.0") == 1
        page.locator("[data-nudge='end,1,f']").click()
        saved(page)
        handle = page.locator(".handle").nth(1).bounding_box()
        assert handle is not None
        page.mouse.move(handle["x"] + 8, handle["y"] + 8)
        page.mouse.down()
        page.mouse.move(handle["x"] + 120, handle["y"] + 8, steps=4)
        page.mouse.up()
        saved(page)
        page.keyboard.press("a")
        expect(page.locator("#list li.accepted")).to_have_count(1)
        saved(page)
        page.context.close()
    (line,) = exported(reports)
    assert float(str(line["end_s"])) > float(str(line["model_end_s"])) + 0.2


def test_typed_times_survive_to_the_millisecond_and_inverted_spans_are_refused(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        page.locator("#end").fill("0:03.217")
        page.keyboard.press("Enter")
        saved(page)
        page.locator("#start").fill("1.003")
        page.keyboard.press("Enter")
        saved(page)
        page.locator("#end").fill("1.003")
        page.keyboard.press("Enter")
        expect(page.locator("#end")).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#saved")).to_contain_text("the end must come after the start")
        page.keyboard.press("a")
        expect(page.locator("#list li.accepted")).to_have_count(1)
        page.context.close()
    (line,) = exported(reports)
    assert (line["start_s"], line["end_s"]) == (1.003, 3.217)


def test_a_killed_server_loses_nothing_that_was_saved_nor_what_was_pressed_meanwhile(
    browser: Browser, reports: Path
) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        press(page, *"axaxa")
        saved(page)
        expect(page.locator("#accept")).to_be_enabled()
        server.end(signal.SIGKILL)
        assert sorted(str(line["verdict"]) for line in exported(reports)) == ["accepted"] * 3 + ["rejected"] * 2
        page.keyboard.press("4")
        page.keyboard.press("x")
        expect(page.locator("#saved")).to_contain_text("Not saved yet")
        expect(page.locator("#list li.rejected")).to_have_count(2)  # nothing is shown as saved that is not
        server.start()
        saved(page)
        expect(page.locator("#list li.rejected")).to_have_count(3)
        page.context.close()
    lines = exported(reports)
    assert sum(line["verdict"] == "rejected" for line in lines) == 3
    assert [line["rating"] for line in lines if line["rating"]] == [4]


def test_what_was_not_saved_when_the_page_was_closed_is_saved_at_the_next_visit(
    browser: Browser, reports: Path
) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        saved_page = page.context.new_page()  # keeps the browser's storage
        server.end(signal.SIGKILL)
        page.keyboard.press("a")
        expect(page.locator("#saved")).to_contain_text("Not saved yet")
        page.close(run_before_unload=False)
        server.start()
        saved_page.goto(server.address)
        expect(saved_page.locator("#saved")).to_have_text("All changes are saved.")
        saved_page.context.close()
    assert [line["verdict"] for line in exported(reports)] == ["accepted"]


def test_a_full_disk_is_told_and_costs_nothing(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        assert server.process is not None
        pid, unlimited = server.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, unlimited[1]))  # as if there were no room for a page of it
        page.keyboard.press("a")
        expect(page.locator("#saved")).to_contain_text("nothing was saved")
        expect(page.locator("#list li.accepted")).to_have_count(0)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        saved(page)
        expect(page.locator("#list li.accepted")).to_have_count(1)
        page.context.close()
    assert [line["verdict"] for line in exported(reports)] == ["accepted"]


def test_names_are_text_and_every_control_has_a_name(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        expect(page.locator("#cause")).to_contain_text("<b>cause</b>")
        assert page.locator("main b, main i:not(.lane i):not(.chart i)").count() == 0
        folders = page.locator("[name=folder] option").all_text_contents()
        assert folders == ["all", "<b>bold (5)", "a (10)", "c (5)"]
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, input, select')].filter((one) => !(one.textContent.trim()"
            " || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"
        )
        assert nameless == []
        page.context.close()


def test_what_a_browser_cannot_play_plays_as_a_preview(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        page.locator("#list li", has_text="two.avi").first.locator(".open").click()
        page.wait_for_function(  # the video before may still be there, and ready
            "() => { const { currentSrc, readyState } = document.querySelector('#video');"
            " return currentSrc.includes('preview') && readyState === 4; }",
            timeout=60_000,
        )
        page.keyboard.press(".")
        expect(page.locator("#now")).to_have_text("0:00.083")  # one frame of 12 a second
        page.context.close()


def test_a_phone_needs_no_keys(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#rating button").nth(4).tap()
        page.locator("#relabel").tap()
        page.locator("#labels button", has_text="Fire").tap()
        saved(page)
        page.locator("#reject").tap()
        expect(page.locator("#list li.rejected")).to_have_count(1)
        page.locator("#undo").tap()
        expect(page.locator("#list li.rejected")).to_have_count(0)
        page.locator("#accept").tap()
        saved(page)
        page.context.close()
    (line,) = exported(reports)
    assert (line["verdict"], line["new_label"], line["rating"]) == ("accepted", "Fire", 5)


@pytest.mark.parametrize("strips", [True, False])
def test_behind_a_reverse_proxy_with_a_path_and_a_token(browser: Browser, reports: Path, strips: bool) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Proxy(port, "/review", strips=strips) as proxy:
        options = ("--user", "ann", "--base-path", "/review", "--trusted-origin", proxy.origin)
        with Server(reports, *options, port=port) as server:
            context = browser.new_context()
            page = context.new_page()
            page.goto(proxy.address)
            expect(page.locator("body")).to_contain_text("A token is needed")
            page.goto(f"{proxy.address}?token={server.tokens['ann']}")
            expect(page.locator("#list li")).to_have_count(20)
            assert "token" not in page.url
            press(page, "a")
            saved(page)
            page.locator("#list .open", has_text="one.mp4").first.click()
            expect(page.locator("#video")).to_have_js_property("readyState", 4)
            foreign = page.request.post(
                f"{proxy.address}api/undo", data={"request": "a-request"}, headers={"Origin": "http://evil.example"}
            )
            assert foreign.status == 403
            context.close()
    assert [(line["user"], line["verdict"]) for line in exported(reports)] == [("ann", "accepted")]


def test_two_people_review_apart_and_see_where_they_differ(browser: Browser, reports: Path) -> None:
    with Server(reports, "--user", "ann", "--user", "bob") as server:
        for name, keys in (("ann", "aaxx"), ("bob", "axxa")):
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{server.address}?token={server.tokens[name]}")
            expect(page.locator("#counts")).to_have_text("20 findings, 20 undecided")
            press(page, *keys)
            saved(page)
            page.locator("#open-agreement").click()
            expect(page.locator("#agreement")).to_contain_text("ann: rejected" if name == "bob" else "1 person has")
            if name == "bob":
                expect(page.locator("#agreement tbody").nth(1).locator("tr")).to_have_count(2)
            context.close()
    assert len(exported(reports)) == 8
    assert len(exported(reports, "--user", "bob")) == 4


def test_a_missed_finding_is_added_at_the_playhead(browser: Browser, reports: Path) -> None:
    with Server(reports) as server:
        page = visit(browser, server)
        press(page, *".....", "m")
        page.locator("#labels button", has_text="Vandalism").click()
        expect(page.locator("#said")).to_contain_text("Added by")
        saved(page)
        page.context.close()
    (line,) = exported(reports)
    assert (line["label"], line["model_start_s"], line["verdict"]) == ("Vandalism", None, "accepted")
    assert abs(float(str(line["start_s"])) - 5 / 12) < 0.002
