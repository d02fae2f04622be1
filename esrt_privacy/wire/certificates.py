"""A development CA: certificates for a cloud and its clients, to try TLS with both sides known. Not for production.

ca.pem, ca.key            the authority; the key signs further clients
server.pem, server.key    the cloud, for the names and addresses that it is called by
NAME.pem, NAME.key        a client; `client` by default
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import CertificateError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, GeneralName, Name

CA, SERVER, CLIENT = "ca", "server", "client"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
DAYS = 365
LARGEST_FILE = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Credentials:
    """PEM bytes of one side."""

    authority: bytes | None = None  # whom to trust; None: whom the system trusts
    certificate: bytes | None = None
    key: bytes | None = None


def make_certificates(
    folder: Path, names: Sequence[str] = LOCAL_NAMES, client: str = CLIENT
) -> list[Path]:
    """Make what is missing of CA, server and client in `folder`; the files that were written.

    `names` are the host names and addresses under which clients reach the server. Raises CertificateError.
    """
    if not _NAME.fullmatch(client) or client in (CA, SERVER):
        raise CertificateError(
            f"'{shown(client, 40)}': a client's name is letters, digits, dots and dashes"
        )
    _require_cryptography()
    alternatives = [_general_name(name) for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        written = []
        if not (folder / f"{CA}.pem").exists():
            written += _write(folder, CA, *_authority())
        authority, key = _read_authority(folder)
        if not (folder / f"{SERVER}.pem").exists():
            written += _write(folder, SERVER, *_issued("server", authority, key, alternatives))
        if not (folder / f"{client}.pem").exists():
            written += _write(folder, client, *_issued(client, authority, key, None))
    except OSError as error:
        raise CertificateError(
            f"{folder}: certificates cannot be written ({shown(error)})"
        ) from error
    return written


def read_credentials(folder: Path, name: str) -> Credentials:
    """The CA of a folder that `make_certificates` filled, and `name`'s certificate and key.

    Raises CertificateError naming the file that is missing.
    """
    parts = [read_pem(folder / part) for part in (f"{CA}.pem", f"{name}.pem", f"{name}.key")]
    return Credentials(*parts)


def read_pem(path: Path) -> bytes:
    """A PEM file, bounded. Raises CertificateError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise CertificateError(
            f"{path}: cannot be read ({shown(error.strerror)}); `esrt-privacy certs FOLDER` makes certificates"
        ) from error
    if len(data) > LARGEST_FILE or b"-----BEGIN " not in data:
        raise CertificateError(f"{path}: not a PEM file")
    return data


def _authority() -> tuple[Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    name = _subject("esrt-privacy development CA")
    builder = (
        _builder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _issued(
    name: str,
    authority: Certificate,
    authority_key: EllipticCurvePrivateKey,
    alternatives: list[GeneralName] | None,
) -> tuple[Certificate, EllipticCurvePrivateKey]:
    """A server's certificate where it has alternative names, else a client's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = _new_key()
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH
    if alternatives is not None:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder()
        .subject_name(_subject(name))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(issuer, critical=False)
    )
    if alternatives is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(authority_key, hashes.SHA256()), key


def _builder() -> CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    # An hour back, for clocks that differ a little.
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
    )


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise CertificateError(
            "certificates are made with `cryptography`: pip install 'esrt-privacy[wire]'"
        ) from error


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(name: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not all(map(_NAME.fullmatch, name.removeprefix("*.").split("."))):
            raise CertificateError(
                f"'{shown(name, 60)}': neither a host name nor an address"
            ) from None
        return x509.DNSName(name)


def _read_authority(folder: Path) -> tuple[Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem, key_pem = read_pem(folder / f"{CA}.pem"), read_pem(folder / f"{CA}.key")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{folder}: ca.pem or ca.key is damaged ({shown(error)})") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise CertificateError(f"{folder}: ca.key is no key of this program's making")
    return certificate, key


def _write(
    folder: Path, name: str, certificate: Certificate, key: EllipticCurvePrivateKey
) -> list[Path]:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    paths = [folder / f"{name}.key", folder / f"{name}.pem"]
    # The key first, for its owner alone; a certificate without its key would not be made again.
    with os.fdopen(os.open(paths[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(private)
    paths[1].write_bytes(certificate.public_bytes(Encoding.PEM))
    return paths
