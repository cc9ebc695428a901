"""The business's own look of the portal: its name, its picture, its colour, and what it says to welcome people."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

from flask import Response, abort, g, send_from_directory
from werkzeug.wrappers import Response as BaseResponse

from rapport import LANGUAGES, Setting, Site
from rapport.http import current_site, public

CONTRAST = 4.5
"""Of text on its ground, as WCAG asks for."""
LIGHT, DARK = "#f2f2f5", "#2b2d33"
"""The least favourable grounds of the two themes."""
PICTURES = {".svg", ".png", ".webp", ".jpg", ".jpeg"}
SAFE = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def settings() -> list[Setting]:
    """What an administrator or an edition decides of the look."""
    languages = [each for each in LANGUAGES.values() if each.code != "en"]
    return [
        Setting("portal.name", "Name on the portal", help="Empty: the name of the business."),
        Setting("portal.logo", "Picture of the portal", help="A file in the folder “portal” of the site’s directory, "
                "such as logo.svg, or one that a module brings. Empty: the name alone."),
        Setting("portal.accent", "Colour of the portal", help="Such as #00695c. It is made darker or lighter where "
                "text could not be read otherwise. Empty: Rapport’s own."),
        Setting("portal.welcome", "Welcome on the portal", "longtext", help="What customers read when they come in."),
        *(Setting(f"portal.welcome_{each.code}", f"Welcome on the portal ({each.name})", "longtext",
                  help="Empty: the general one.") for each in languages),
    ]  # fmt: skip


def facts(site: Site) -> dict[str, str]:
    """What every page of the portal shows of the look."""
    get = site.settings.get
    own = {} if not get("portal.name") else {"site_name": get("portal.name")}
    welcome = (get(f"portal.welcome_{g.lang}") if g.lang != "en" else "") or get("portal.welcome")
    return {**own, "portal_logo": get("portal.logo"), "portal_accent": get("portal.accent"), "portal_welcome": welcome}


@public
def style() -> Response:
    """The colour, as a style sheet: the policy of our pages allows no other way."""
    return Response(css(current_site().settings.get("portal.accent")), mimetype="text/css",
                    headers={"Cache-Control": "max-age=300"})  # fmt: skip


@public
def logo(name: str) -> BaseResponse:
    """The picture, from the site's directory or from a module that is on."""
    site = current_site()
    folders = (site.config.home / "portal", *(_static(package) for package in site.packages))
    folder = next((each for each in folders if each is not None and (each / name).is_file()), None)
    if folder is None or name != site.settings.get("portal.logo") or Path(name).suffix.lower() not in PICTURES:
        abort(404)
    answer = send_from_directory(folder, name, max_age=3600)  # which refuses to leave the folder
    answer.headers["Content-Security-Policy"] = SAFE
    return answer


@functools.cache
def _static(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent / "static" if spec is not None and spec.origin else None


# Colours -------------------------------------------------------------------------------------------------------------

Colour = tuple[float, float, float]


def css(accent: str) -> str:
    """The accent in both themes, each as near to the chosen one as can be read; nothing for what is no colour."""
    chosen = _parsed(accent)
    if chosen is None:
        return ""
    white, black, light, dark = (_known(each) for each in ("#ffffff", "#000000", LIGHT, DARK))
    button = readable(chosen, white, towards=black)  # buttons have white letters
    text, text_dark = readable(chosen, light, towards=black), readable(chosen, dark, towards=white)
    hover = _mixed(button, black, 0.15)
    return (
        ":root {\n"
        f"  --accent: {_hex(button)};\n  --accent-hover: {_hex(hover)};\n"
        f"  --accent-text: light-dark({_hex(text)}, {_hex(text_dark)});\n"
        f"  --accent-soft: light-dark({_hex(_mixed(text, white, 0.9))}, {_hex(_mixed(text_dark, black, 0.75))});\n"
        f"  --portal-edge: {_hex(chosen)};\n"
        "}\n"
    )


def readable(colour: Colour, ground: Colour, *, towards: Colour) -> Colour:
    """The colour, moved towards black or white as little as it takes to be read on the ground."""
    for step in range(21):
        moved = _mixed(colour, towards, step / 20)
        if contrast(moved, ground) >= CONTRAST:
            return moved
    return towards


def contrast(one: Colour, other: Colour) -> float:
    """The contrast of two colours, from 1 to 21, by WCAG 2.2's formula."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    # As it will be written, so that what is checked is what is shown.
    return (round(red * 255) / 255, round(green * 255) / 255, round(blue * 255) / 255)


def _parsed(text: str) -> Colour | None:
    digits = text.strip().removeprefix("#")
    if re.fullmatch(r"[0-9a-fA-F]{3}", digits):
        digits = "".join(digit * 2 for digit in digits)
    return _known(digits) if re.fullmatch(r"[0-9a-fA-F]{6}", digits) else None


def _known(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red / 255, green / 255, blue / 255


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)
