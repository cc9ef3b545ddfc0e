"""What the CA certificates of a file lack for Python 3.13 and newer, which has OpenSSL judge strictly.

The rules are RFC 5280's, section 4.2, as far as OpenSSL holds a CA to them (VERIFY_X509_STRICT).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from cryptography import x509

PEM = re.compile(rb"-----BEGIN ((?:X509 )?)CERTIFICATE-----.*?-----END \1CERTIFICATE-----", re.DOTALL)

Kind = TypeVar("Kind", bound=x509.ExtensionType)


def lacking(file: Path) -> dict[str, list[str]]:
    """Return the CAs of a PEM file by their names, each with what it lacks; nothing where it is complete."""
    blocks = [block[0] for block in PEM.finditer(file.read_bytes())]
    found = {}
    for number, block in enumerate(blocks, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            if _is_authority(certificate):
                found[certificate.subject.rfc4514_string()] = list(_lacking(certificate))
        except (ValueError, x509.DuplicateExtension):
            found[f"certificate {number}"] = ["a form that can be read"]
    return found


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints.value.ca if constraints else certificate.issuer == certificate.subject


def _lacking(certificate: x509.Certificate) -> Iterator[str]:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None:
        yield "basicConstraints"
    elif not constraints.critical:
        yield "basicConstraints marked as critical"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        yield "keyUsage with keyCertSign"
    if _extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield "subjectKeyIdentifier"
    is_root = certificate.issuer == certificate.subject
    if not is_root and _extension(certificate, x509.AuthorityKeyIdentifier) is None:
        yield "authorityKeyIdentifier"


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> x509.Extension[Kind] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
