"""The company's own name, logo, colour and examples: on the page, or refused at the start."""

import re
from pathlib import Path

import pytest
from conftest import Fetch, MakeApp, SignIn
from flask.testing import FlaskClient

from webapp.appearance import contrast, light_and_dark
from webapp.config import InvalidSettings
from webapp.starters import STARTERS, read_starters

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9v9z"/></svg>'
TOML = """
[first-call]
title = "First call"
text = \"\"\"
Who meets: I with [customer].
Goal: listen.
\"\"\"
"""


def parsed(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    (path := tmp_path / "logo.svg").write_bytes(SVG)
    return path


# On the page


def test_the_portal_has_the_companys_name_logo_and_colour(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, logo: Path
) -> None:
    client = make_app(portal_name="Acme Rehearsals", logo_file=logo, accent_color="#7a1f5c").test_client()
    sign_in(client)
    shown = page(client)
    assert shown.title == "Create a scenario · Acme Rehearsals"
    assert shown.one("a", class_="brand").words == "Acme Rehearsals"
    image = client.get(shown.one("a", class_="brand").one("img").attrs["src"])
    assert (image.data, image.mimetype) == (SVG, "image/svg+xml")
    sheet = client.get(shown.find("link", rel="stylesheet")[1].attrs["href"])
    assert sheet.mimetype == "text/css"
    assert "--accent: #7a1f5c;" in sheet.text
    for answer in (image, sheet):
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Set-Cookie" not in answer.headers


def test_a_frame_has_the_companys_colour_too(make_app: MakeApp, page: Fetch) -> None:
    client = make_app(accent_color="#7a1f5c").test_client()
    sheets = [link.attrs["href"] for link in page(client, "/embed").find("link", rel="stylesheet")]
    assert "/look/accent.css" in sheets[-1]


def test_what_is_not_set_is_not_there(client: FlaskClient) -> None:
    assert client.get("/look/accent.css").status_code == 404
    assert client.get("/look/logo").status_code == 404
    assert "accent" not in client.get("/").text


def test_the_companys_examples_take_the_place_of_ours(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, tmp_path: Path
) -> None:
    (path := tmp_path / "starters.toml").write_text(TOML)
    client = make_app(starters_file=path).test_client()
    sign_in(client)
    assert page(client).link("First call") == "/?starter=first-call"
    assert page(client, "/?starter=first-call").prompt == "Who meets: I with [customer].\nGoal: listen."
    assert page(client, "/?starter=discovery").prompt == ""


# Judged at the start


@pytest.mark.parametrize("colour", ["#000000", "#17605d", "#7a1f5c", "#0a4fd0", "#b00020", "#5a5a5a"])
def test_a_colour_can_be_read_in_both_themes(colour: str) -> None:
    light, dark = light_and_dark(colour)
    assert light.accent == colour
    for shades, ground in ((light, "#f6f5f1"), (dark, "#1c2324")):
        on, ink = parsed(shades.accent), parsed(shades.on_accent)
        assert (
            min(contrast(on, parsed(ground)), contrast(on, ink), contrast(on, parsed(shades.ground))) >= 4.5
        )
        assert contrast(parsed(shades.strong), ink) >= 4.5


@pytest.mark.parametrize(
    ("colour", "says"),
    [
        ("#ffcc00", "has a contrast of 1.4"),
        ("#7fcbc2", "choose a darker one"),
        ("teal", "such as #17605d"),
        ("#fff", "such as"),
    ],
)
def test_a_colour_that_cannot_be_read_stops_the_start(make_app: MakeApp, colour: str, says: str) -> None:
    with pytest.raises(InvalidSettings, match=f"ACCENT_COLOR: .*{re.escape(says)}"):
        make_app(accent_color=colour)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GIF89a", "must be an SVG, PNG or JPEG"),
        (SVG + b" " * 205_000, "over 200 KB"),
        (None, "cannot be read"),
    ],
)
def test_a_logo_that_will_not_do_stops_the_start(
    make_app: MakeApp, tmp_path: Path, data: bytes | None, says: str
) -> None:
    path = tmp_path / "logo"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidSettings, match=f"LOGO_FILE: .*{says}"):
        make_app(logo_file=path)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("", "must hold 1 to 12"),
        ("x", "is not TOML"),
        ("title = 1", r"\[title\] must hold title and text"),
        ("[a]\ntitle = 'x'", "and nothing else"),
        ("[A_b]\ntitle = 'x'\ntext = 'y'", "lower-case letters"),
        ("[a]\ntitle = ''\ntext = 'y'", "1 to 40 characters"),
        ("[a]\ntitle = 'x'\ntext = 5", "1 to 10,000 characters"),
    ],
)
def test_examples_that_will_not_do_stop_the_start(
    make_app: MakeApp, tmp_path: Path, toml: str, says: str
) -> None:
    (path := tmp_path / "starters.toml").write_text(toml)
    with pytest.raises(InvalidSettings, match=f"STARTERS_FILE: .*{says}"):
        make_app(starters_file=path)


def test_a_name_that_fills_the_head_stops_the_start(make_app: MakeApp) -> None:
    with pytest.raises(InvalidSettings, match="PORTAL_NAME"):
        make_app(portal_name="x" * 41)


# Ours


def test_our_examples_could_stand_in_a_file(tmp_path: Path) -> None:
    entries = (
        f'[{name}]\ntitle = "{one.title}"\ntext = """\n{one.text}"""\n' for name, one in STARTERS.items()
    )
    (path := tmp_path / "starters.toml").write_text("\n".join(entries))
    assert read_starters(path) == STARTERS
    assert len(STARTERS) == 8
    assert all("[" in starter.text for starter in STARTERS.values())
