"""A company's own colour and mark, as the settings name them: read, judged, and told why they will not do.

Contrast is WCAG's (2.2, "relative luminance"): 4.5 for text, in light and in dark. No Flask.
"""

import re
from dataclasses import dataclass
from pathlib import Path

READABLE = 4.5
LARGEST_LOGO = 200 * 1024  # bytes; every page shows it
MARKS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"<svg": "image/svg+xml"}

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
LIGHT: Colour = (246, 245, 241)  # --ground of portal.css, light
DARK: Colour = (28, 35, 36)  # --surface, dark


@dataclass(frozen=True)
class Shades:
    """One theme's values of portal.css: the colour, what is written on it, pressed, and as a ground."""

    accent: str
    on_accent: str
    strong: str
    ground: str


@dataclass(frozen=True)
class Logo:
    data: bytes
    media_type: str


def light_and_dark(colour: str) -> tuple[Shades, Shades]:
    """Return what the colour becomes in either theme. Raises `ValueError`: no colour, or too pale to read."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError("must be a colour such as #17605d")
    light = _parsed(colour)
    ground = _mix(light, WHITE, 0.9)
    found = min(contrast(light, LIGHT), contrast(light, ground))
    if found < READABLE:
        raise ValueError(
            f"has a contrast of {found:.1f} on the light ground; text needs 4.5: choose a darker one"
        )
    dark = next(shade for share in range(21) if _reads_in_the_dark(shade := _mix(light, WHITE, share / 20)))
    return (
        Shades(_hex(light), _hex(WHITE), _hex(_mix(light, BLACK, 0.3)), _hex(ground)),
        Shades(_hex(dark), _hex(DARK), _hex(_mix(dark, WHITE, 0.4)), _hex(_mix(dark, DARK, 0.85))),
    )


def read_logo(path: Path) -> Logo:
    """Return a logo: SVG, PNG or JPEG. Raises `ValueError` saying what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if len(data) > LARGEST_LOGO:
        raise ValueError("is over 200 KB; every page shows it")
    begin = data.lstrip()[:200]
    media_type = next((kind for mark, kind in MARKS.items() if mark in begin), None)
    if media_type is None:
        raise ValueError("must be an SVG, PNG or JPEG file")
    return Logo(data, media_type)


def contrast(one: Colour, other: Colour) -> float:
    """Return WCAG's contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _reads_in_the_dark(shade: Colour) -> bool:
    return min(contrast(shade, DARK), contrast(shade, _mix(shade, DARK, 0.85))) >= READABLE + 1


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(value / 255) for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _parsed(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
