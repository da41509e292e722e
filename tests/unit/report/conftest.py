"""A page's text as a browser sees it."""

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

VOID = {"meta", "br", "img", "input", "hr", "link", "wbr", "col", "source"}


class Page(HTMLParser):
    """A page's elements and texts; elements that are not closed in order are refused."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] in ("script", "style") else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **having: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and having.items() <= found.items()]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        return [found for _, found in self.elements if name in (found.get("class") or "").split()]


@pytest.fixture
def parsed() -> Callable[[str], Page]:
    """A page's HTML as elements and text."""
    return Page
