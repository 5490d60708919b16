"""Names and descriptions of profiles in a page: a few harmless tags stay, all else is text.

KubeSpawner puts them into its page as they are, so many profile_lists have tags in them; but a
profile_list may also be made from what users wrote.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from html.parser import HTMLParser
from typing import Final

from markupsafe import Markup

PLAIN_TAGS: Final = frozenset({"b", "i", "em", "strong", "code", "small", "sub", "sup", "kbd"})
HARMLESS_LINKS: Final = ("https://", "http://", "/", "mailto:")
REMEMBERED: Final = 512


@lru_cache(maxsize=REMEMBERED)
def rich(text: str) -> Markup:
    """The text with its harmless tags, closed where they were not, as HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return Markup(reader.html())  # noqa: S704 - every part was escaped by the reader


@lru_cache(maxsize=REMEMBERED)
def plain(text: str) -> str:
    """The text without its tags."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return "".join(reader.words).strip()


class _Reader(HTMLParser):
    """Takes text apart; what is not allowed is left out, its content stays as text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []

    def html(self) -> str:
        return "".join(self.parts) + "".join(f"</{tag}>" for tag in reversed(self.open))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = next((value or "" for name, value in attrs if name == "href"), "")
        if tag == "br":
            self.parts.append("<br>")
            self.words.append(" ")
        elif tag in PLAIN_TAGS:
            self.parts.append(f"<{tag}>")
            self.open.append(tag)
        elif tag == "a" and href.startswith(HARMLESS_LINKS) and not href.startswith("//"):
            self.parts.append(f'<a href="{escape(href)}" rel="noopener">')
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while tag in self.open:
            last = self.open.pop()
            self.parts.append(f"</{last}>")
            if last == tag:
                break

    def handle_data(self, data: str) -> None:
        self.parts.append(escape(data))
        self.words.append(data)
