"""Addresses: origins as browsers write them, and who is reached without the proxy."""

import pytest

from webapp.addresses import Exemption, goes_direct, origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://acme.example", "https://acme.example"),
        ("acme.example/some/page?a=b#c", "https://acme.example"),
        ("https://ACME.example:443/", "https://acme.example"),
        ("https://acme.example:8443", "https://acme.example:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000/a", "http://[::1]:8000"),
        ("https://intranet.müller.example", "https://intranet.xn--mller-kva.example"),
        ("https://straße.example", "https://xn--strae-oqa.example"),  # not `strasse`, as browsers have it
    ],
)
def test_an_origin_is_what_a_browser_sends(address: str, origin: str) -> None:
    assert origin_of(address) == origin


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://acme.example",
        "file:///home/x.html",
        "https://",
        "https://a b",
        "https://a;script-src *",
        "https://a:b",
        "https://a:99999999",
        "https://[::1",
    ],
)
def test_what_could_not_frame_us_has_no_origin(address: str) -> None:
    assert origin_of(address) is None


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("*", "https://login.acme.example/a"),
        ("acme.example", "https://login.acme.example"),
        ("acme.example", "https://acme.example."),
        (".acme.example", "https://login.acme.example"),
        ("*.acme.example", "https://login.acme.example"),
        ("ACME.example", "https://acme.example"),
        ("müller.example", "https://login.xn--mller-kva.example"),
        ("acme.example:8443", "https://acme.example:8443"),
        ("acme.example:443", "https://acme.example"),
        ("identity_provider", "http://identity_provider:8080"),
        ("10.1.2.3", "https://10.1.2.3:8443"),
        ("10.1.2.3:8443", "https://10.1.2.3:8443"),
        ("10.0.0.0/8", "https://10.1.2.3"),
        ("10.1.2.3/8", "https://10.9.9.9"),
        ("::1", "https://[::1]"),
        ("[fd00::1]:443", "https://[fd00::1]"),
        ("fd00::/8", "https://[fd12::1]:8443"),
    ],
)
def test_an_exempted_host_is_reached_directly(entry: str, address: str) -> None:
    assert goes_direct(address, (Exemption.parse(entry),))


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("acme.example", "https://notacme.example"),
        ("login.acme.example", "https://acme.example"),
        ("acme.example:8443", "https://acme.example"),
        ("10.0.0.0/8", "https://11.1.2.3"),
        ("10.0.0.0/8", "https://10.acme.example"),
        ("10.1.2.3:80", "https://10.1.2.3"),
    ],
)
def test_another_host_is_reached_through_the_proxy(entry: str, address: str) -> None:
    assert not goes_direct(address, (Exemption.parse(entry),))


@pytest.mark.parametrize(
    "entry",
    [
        "local*",
        "192.168.*",
        "10.0.0.",
        "10.0.0.0/33",
        "a b",
        "https://a.example",
        "a.example/b",
        "a:b",
        "a@b",
        "",
    ],
)
def test_an_exemption_that_would_never_apply_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is no|does not appear|is not a URL"):
        Exemption.parse(entry)
