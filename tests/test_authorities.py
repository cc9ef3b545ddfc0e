"""What a CA lacks, by our reading and by OpenSSL's own: a handshake that is judged strictly."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import MakeSettings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_check import look

from webapp.authorities import lacking

HOST = "login.acme.example"
CA = x509.BasicConstraints(ca=True, path_length=None)
LEAF = x509.BasicConstraints(ca=False, path_length=None)
KEY = x509.SubjectKeyIdentifier(b"key")  # the same for all: issuers are found by name
ABOVE = x509.AuthorityKeyIdentifier(b"key", None, None)
STRICT = bool(ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT)


def usage(*, signs: bool) -> x509.KeyUsage:
    names = "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"
    never = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **never)


class Authority:
    """A CA with these extensions, signed by itself or by `above`."""

    def __init__(self, name: str, *extensions: x509.ExtensionType, above: "Authority | None" = None) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (above or self).sign(self.name, self.key, *extensions)
        self.chain = [self.certificate, *(above.chain if above else [])]

    def sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(1))
            .not_valid_after(now + timedelta(1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=extension in (CA, LEAF))
        return builder.sign(self.key, hashes.SHA256())

    def server(self, directory: Path) -> Path:
        """A file with the key and the chain of a server that this CA vouches for; the root is left out."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)]),
            key,
            LEAF,
            x509.SubjectAlternativeName([x509.DNSName(HOST)]),
            ABOVE,
        )
        file = directory / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + pem(certificate, *self.chain[:-1]))
        return file


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def is_taken(authorities: Path, server: Path, *, strictly: bool) -> bool:
    """Whether OpenSSL believes the server when these CAs are trusted: a handshake in memory."""
    context = ssl.create_default_context(cafile=authorities)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if strictly:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = context.wrap_bio(back, there, server_hostname=HOST)
    other = serving.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                one.do_handshake()
            with suppress(ssl.SSLWantReadError):
                other.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return True


@pytest.mark.parametrize(
    ("left_out", "lacks"),
    [
        ("", []),
        ("basicConstraints critical", ["basicConstraints marked as critical"]),
        ("basicConstraints", ["basicConstraints"]),
        ("keyUsage", ["keyUsage with keyCertSign"]),
        ("keyCertSign", ["keyUsage with keyCertSign"]),
        ("subjectKeyIdentifier", ["subjectKeyIdentifier"]),
    ],
)
def test_what_a_ca_lacks_is_what_openssl_refuses(left_out: str, lacks: list[str], tmp_path: Path) -> None:
    constraints: x509.ExtensionType = CA
    if left_out == "basicConstraints critical":
        constraints = x509.BasicConstraints(ca=True, path_length=9)  # which `sign` does not mark
    parts = {
        "basicConstraints": constraints,
        "keyUsage": usage(signs=left_out != "keyCertSign"),
        "subjectKeyIdentifier": KEY,
    }
    root = Authority("Acme Root", *(part for name, part in parts.items() if name != left_out))
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))

    assert lacking(tmp_path / "ca.pem") == {"CN=Acme Root": lacks}
    assert is_taken(tmp_path / "ca.pem", root.server(tmp_path), strictly=True) is (not lacks)


@pytest.mark.parametrize("complete", [True, False])
def test_an_intermediate_ca_must_name_the_key_above_it(complete: bool, tmp_path: Path) -> None:
    root = Authority("Acme Root", CA, usage(signs=True), KEY)
    named = [ABOVE] if complete else []
    middle = Authority("Acme Web", CA, usage(signs=True), KEY, *named, above=root)
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate, middle.certificate))

    lacks = [] if complete else ["authorityKeyIdentifier"]
    assert lacking(tmp_path / "ca.pem") == {"CN=Acme Root": [], "CN=Acme Web": lacks}
    assert is_taken(tmp_path / "ca.pem", middle.server(tmp_path), strictly=True) is complete


def test_a_servers_own_certificate_is_no_ca(tmp_path: Path) -> None:
    root = Authority("Acme Root", CA, usage(signs=True), KEY)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    (tmp_path / "ca.pem").write_bytes(pem(root.sign(name, root.key, LEAF)) + b"-----BEGIN CERTIFICATE-----\n")
    assert lacking(tmp_path / "ca.pem") == {}


def test_what_cannot_be_read_is_told_by_its_number(tmp_path: Path) -> None:
    root = Authority("Acme Root", CA, usage(signs=True), KEY)
    broken = b"-----BEGIN CERTIFICATE-----\nTm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate) + broken)
    assert lacking(tmp_path / "ca.pem") == {"CN=Acme Root": [], "certificate 2": ["a form that can be read"]}


def test_check_says_which_ca_this_python_or_a_newer_one_refuses(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    good = Authority("Acme Root", CA, usage(signs=True), KEY)
    old = Authority("Acme Old", CA)
    for certificates, is_fine in (
        ([good.certificate], True),
        ([old.certificate], not STRICT),
        ([good.certificate, old.certificate], None if STRICT else True),
    ):
        (tmp_path / "ca.pem").write_bytes(pem(*certificates))
        found = look(make_settings(ssl_cert_file=tmp_path / "ca.pem"))["tls"]
        lacks = "CN=Acme Old lacks keyUsage with keyCertSign, subjectKeyIdentifier"
        assert (lacks in found.found) is (old.certificate in certificates)
        assert (found.ok, found.setting) == (is_fine, "SSL_CERT_FILE")
        assert bool(found.change) is (is_fine is not True)
