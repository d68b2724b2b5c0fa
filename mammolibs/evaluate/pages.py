"""A report's sections as files: a page to open, the same as Markdown, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammolibs.evaluate.document import Section, pictures_of, to_html, to_markdown
from mammolibs.storage import write_atomic


def write_pages(folder: Path, title: str, lead: str, sections: Sequence[Section], *, name: str = "report") -> set[str]:
    """Write `<name>.html`, which holds its pictures, `<name>.md` and figures/*.png; returns the names of the pictures."""
    pictures = {picture.name: picture.png for picture in pictures_of(sections)}
    for picture, png in pictures.items():
        write_atomic(folder / "figures" / picture, png)
    write_atomic(folder / f"{name}.md", to_markdown(title, lead, sections).encode())
    write_atomic(folder / f"{name}.html", to_html(title, lead, sections).encode())
    return set(pictures)
