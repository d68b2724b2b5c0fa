"""A report as a list of sections, rendered once as Markdown and once as a self-contained HTML page."""

from __future__ import annotations

import base64
import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from mammolibs.evaluate.charts import Charts, charts_html, charts_markdown
from mammolibs.evaluate.style import CSS

# A table with more rows is folded on screen: the reader opens it, and paper shows it whole.
LONG_TABLE = 24
LONG_WORD = 20
# With so many columns it is set smaller on paper, which does not scroll.
WIDE_TABLE = 7
# One that goes whole onto the next page of paper.
SHORT_TABLE = 8
_INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")


@dataclass(frozen=True)
class Text:
    """A paragraph. kind: "plain", "note" (small, grey), "warning" (boxed), "alarm" (boxed, red), "command" (monospaced block)."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column is the name of the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cards:
    """Headline figures: (label, figure, interval or reason, what it was counted on)."""

    cards: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption. name: its file name under figures/."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side. equal: "width" in columns, or "height" in lines that are filled from the left."""

    pictures: tuple[Picture, ...]
    equal: str = "width"


@dataclass(frozen=True)
class Fold:
    """Details under one line, closed on screen, open on paper and in Markdown."""

    summary: str
    items: tuple[Item, ...]


Item = Text | Table | Cards | Picture | Gallery | Charts | Fold


@dataclass(frozen=True)
class Section:
    """group: the heading of the contents under which it stands; sections of a group follow each other."""

    title: str
    items: tuple[Item, ...]
    group: str = ""


def pictures_of(sections: Sequence[Section]) -> list[Picture]:
    """All pictures of a document, in order."""
    return [picture for section in sections for picture in _pictures(section.items)]


def _pictures(items: Sequence[Item]) -> list[Picture]:
    found: list[Picture] = []
    for item in items:
        if isinstance(item, Picture):
            found.append(item)
        elif isinstance(item, Gallery):
            found += item.pictures
        elif isinstance(item, Fold):
            found += _pictures(item.items)
    return found


def to_markdown(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The document as Markdown; pictures are links into figures/."""
    parts = [f"# {title}", lead]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += [_markdown(item) for item in section.items]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown(item: Item) -> str:
    if isinstance(item, Text):
        marks = {"plain": "{}", "note": "*{}*", "warning": "> **{}**", "alarm": "> **ALARM: {}**", "command": "```\n{}\n```"}
        return marks[item.kind].format(item.text)
    if isinstance(item, Table):
        lines = [item.head, tuple("---" for _ in item.head), *item.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    if isinstance(item, Cards):
        return "\n".join(f"- **{label}: {value}** {interval} ({basis})" for label, value, interval, basis in item.cards)
    if isinstance(item, Charts):
        return charts_markdown(item)
    if isinstance(item, (Gallery, Fold)):
        parts = item.pictures if isinstance(item, Gallery) else (Text(f"{item.summary}:"), *item.items)
        return "\n\n".join(_markdown(part) for part in parts)
    return f"![{item.caption}](figures/{item.name})\n\n*{item.caption}*"


def to_html(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The document as one HTML file that refers to nothing outside itself."""
    anchors = _anchors(sections)
    body = "".join(
        f'<section id="{anchor}"><h2>{html.escape(s.title)}</h2>{"".join(_html(i) for i in s.items)}</section>'
        for anchor, s in zip(anchors, sections, strict=True)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{CSS}</style></head><body><header><h1>{html.escape(title)}</h1>"
        f'<p class="lead">{html.escape(lead)}</p></header><nav>{_contents(anchors, sections)}</nav><main>{body}</main></body></html>\n'
    )


def _contents(anchors: Sequence[str], sections: Sequence[Section]) -> str:
    """Links to all sections, a list for each group."""
    lists = []
    for group, members in groupby(zip(anchors, sections, strict=True), key=lambda pair: pair[1].group):
        links = "".join(f'<li><a href="#{anchor}">{html.escape(section.title)}</a></li>' for anchor, section in members)
        lists.append((f"<p>{html.escape(group)}</p>" if group else "") + f"<ul>{links}</ul>")
    return "".join(f"<div>{text}</div>" for text in lists)


def _anchors(sections: Sequence[Section]) -> list[str]:
    """An id for each section, from its title; one that comes again is numbered."""
    seen: Counter[str] = Counter()
    found = []
    for section in sections:
        anchor = "".join(c if c.isalnum() else "-" for c in section.title.lower())
        seen[anchor] += 1
        found.append(anchor if seen[anchor] == 1 else f"{anchor}-{seen[anchor]}")
    return found


def _html(item: Item) -> str:
    if isinstance(item, Text):
        return f"<pre>{html.escape(item.text)}</pre>" if item.kind == "command" else f'<p class="{item.kind}">{html.escape(item.text)}</p>'
    if isinstance(item, Table):
        return (
            _table(item)
            if len(item.rows) <= LONG_TABLE
            else _fold(f"{len(item.rows)} rows: {', '.join(filter(None, item.head))}", _table(item))
        )
    if isinstance(item, Fold):
        return _fold(item.summary, "".join(_table(inner) if isinstance(inner, Table) else _html(inner) for inner in item.items))
    if isinstance(item, Cards):
        return f'<div class="cards">{"".join(_card(*card) for card in item.cards)}</div>'
    if isinstance(item, Charts):
        return charts_html(item)
    if isinstance(item, Gallery):
        return f'<div class="gallery {item.equal}">{"".join(_html(picture) for picture in item.pictures)}</div>'
    data = base64.b64encode(item.png).decode()
    caption = html.escape(item.caption)
    return f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
    rows = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in table.rows)
    kinds = " ".join(["table", *["wide"] * (len(table.head) >= WIDE_TABLE), *["short"] * (len(table.rows) <= SHORT_TABLE)])
    return f'<div class="{kinds}"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    """Hashes and paths may be broken anywhere, words not: a column of words would become one of letters. An interval stays on one line."""
    kind = ' class="long"' if any(len(word) > LONG_WORD for word in text.split()) else ""
    whole = _INTERVAL.sub(r"[\1,&nbsp;\2]", html.escape(text))
    return f"<td{kind}>{whole}</td>"


def _fold(summary: str, inside: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{inside}</details>"


def _card(label: str, value: str, interval: str, basis: str) -> str:
    texts = zip(("label", "value", "interval", "basis"), (label, value, interval, basis), strict=True)
    return '<div class="card">' + "".join(f'<div class="{name}">{html.escape(text)}</div>' for name, text in texts) + "</div>"
