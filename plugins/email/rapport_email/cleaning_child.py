"""Makes the HTML of a mail harmless, in a process of its own: a page that was built to be slow ends that process only.

Run by path with the page on standard input and `{"images": bool, "memory_bytes": n, "seconds": n}` as the argument; it
imports nothing of Rapport. It prints the page with what may stand in a mail, and nothing else.
"""

from __future__ import annotations

import json
import sys

import nh3

TAGS = {
    "a", "abbr", "address", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd",
    "del", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "li", "ol", "p", "pre", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "*": {"dir", "lang", "align", "valign", "width", "height", "bgcolor", "style"},
    "a": {"href", "title"}, "img": {"src", "alt"}, "font": {"color", "size", "face"},
    "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "table": {"border", "cellpadding", "cellspacing"},
    "ol": {"start", "type"}, "ul": {"type"}, "col": {"span"}, "colgroup": {"span"},
}  # fmt: skip
STYLES = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius",
    "border-right", "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "font-family",
    "font-size", "font-style", "font-weight", "height", "letter-spacing", "line-height", "list-style-type", "margin",
    "margin-bottom", "margin-left", "margin-right", "margin-top", "max-width", "min-width", "padding", "padding-bottom",
    "padding-left", "padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "text-transform",
    "unicode-bidi", "vertical-align", "white-space", "width", "word-break", "word-wrap",
}  # fmt: skip


def main() -> None:
    """Read, clean, print."""
    wanted = json.loads(sys.argv[1])
    _restrict(wanted["memory_bytes"], wanted["seconds"])
    page = sys.stdin.buffer.read().decode("utf-8", "replace")
    sys.stdout.buffer.write(clean(page, images=wanted["images"]).encode())


def clean(page: str, *, images: bool) -> str:
    """The page without anything that runs, loads, or reaches out; pictures from outside only with `images`."""

    def kept(tag: str, name: str, value: str) -> str | None:
        if tag == "img" and name == "src":
            outside = value.lower().startswith(("http://", "https://"))
            return value if value.lower().startswith("cid:") or (images and outside) else None
        return None if name == "style" and ("url" in value.lower() or "\\" in value) else value

    return nh3.clean(
        page, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=kept, filter_style_properties=STYLES,
        url_schemes={"http", "https", "mailto", "tel", "cid"}, strip_comments=True,
        clean_content_tags={"script", "style", "title", "template", "iframe", "object"},
        link_rel="noopener noreferrer nofollow", set_tag_attribute_values={"a": {"target": "_blank"}},
    )  # fmt: skip


def _restrict(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; there the parent's clock is the only one.
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
