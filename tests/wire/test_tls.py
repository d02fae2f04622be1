"""Certificates: who may talk to whom, and what each refusal says."""

import stat

import pytest

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import Credentials, make_certificates, read_credentials
from esrt_privacy.wire.errors import CertificateError, WireError
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.server import require_safe
from tests.wire.echo import EchoCloud, expected, recordings

WIRE = recordings(1)
ANSWER = [{"deu": expected(WIRE[0], "eng", "deu")}]


def test_both_sides_with_certificates_of_one_ca_talk(served, remote, both_sides):
    server, client = both_sides
    address = served(EchoCloud(), credentials=server)
    assert remote(address, credentials=client).translate(WIRE, "eng", ["deu"]) == ANSWER


def test_without_a_certificate_a_client_is_not_served(served, remote, both_sides):
    server, client = both_sides
    cloud = EchoCloud()
    address = served(cloud, credentials=server)
    alone = remote(address, credentials=Credentials(client.authority))
    with pytest.raises(WireError, match="a client's certificate") as error:
        alone.translate(WIRE, "eng", ["deu"])
    assert "\n" not in str(error.value)
    assert not cloud.batches


def test_any_client_may_be_served_over_tls(served, remote, both_sides):
    server, client = both_sides
    address = served(EchoCloud(), credentials=server, any_client=True)
    alone = remote(address, credentials=Credentials(client.authority))
    assert alone.translate(WIRE, "eng", ["deu"]) == ANSWER


def test_a_certificate_of_another_ca_is_refused_by_either_side(
    served, remote, both_sides, other_certificates
):
    server, client = both_sides
    foreign = read_credentials(other_certificates, "client")
    cloud = EchoCloud()
    address = served(cloud, credentials=server)
    with pytest.raises(WireError, match="not one of an authority that is trusted here"):
        remote(address, credentials=foreign).translate(WIRE, "eng", ["deu"])
    stranger = Credentials(client.authority, foreign.certificate, foreign.key)
    with pytest.raises(WireError, match="another CA"):
        remote(address, credentials=stranger).translate(WIRE, "eng", ["deu"])
    assert not cloud.batches


def test_a_certificate_for_another_name_is_refused(served, remote, tmp_path):
    make_certificates(tmp_path, ["cloud.example"])
    address = served(EchoCloud(), credentials=read_credentials(tmp_path, "server"))
    client = remote(address, credentials=read_credentials(tmp_path, "client"))
    with pytest.raises(WireError, match="is not one for this name"):
        client.translate(WIRE, "eng", ["deu"])


@pytest.mark.parametrize("whose", ["server", "client"])
def test_an_expired_certificate_is_refused(served, remote, tmp_path, monkeypatch, whose):
    make_certificates(tmp_path)
    (tmp_path / f"{whose}.pem").unlink()
    (tmp_path / f"{whose}.key").unlink()
    monkeypatch.setattr("esrt_privacy.wire.certificates.DAYS", -1 / 48)  # half an hour ago
    assert len(make_certificates(tmp_path)) == 2
    cloud = EchoCloud()
    address = served(cloud, credentials=read_credentials(tmp_path, "server"))
    client = remote(address, credentials=read_credentials(tmp_path, "client"))
    said = "has expired" if whose == "server" else "the connection was lost"
    with pytest.raises(WireError, match=said) as error:
        client.translate(WIRE, "eng", ["deu"])
    assert "\n" not in str(error.value)
    assert not cloud.batches


def test_plaintext_and_tls_that_meet_are_one_line(served, remote, both_sides):
    server, client = both_sides
    with pytest.raises(WireError, match="does the cloud serve TLS"):
        remote(served(EchoCloud(), credentials=server)).translate(WIRE, "eng", ["deu"])
    with pytest.raises(WireError, match="is the cloud serving plaintext"):
        remote(served(EchoCloud()), credentials=client).translate(WIRE, "eng", ["deu"])


def test_each_clients_certificate_is_a_room_of_its_own_in_the_cache(
    served, remote, both_sides, certificates, tmp_path
):
    make_certificates(certificates, client="second")
    server, first = both_sides
    cache = SqliteCache(tmp_path / "features.sqlite")
    address = served(EchoCloud(), cache, credentials=server)
    secret = b"s" * 32  # stolen, so that identifiers are the same
    remote(address, secret, credentials=first).translate(WIRE, "eng", ["deu"])
    size = cache.size
    second = read_credentials(certificates, "second")
    thief = remote(address, secret, credentials=second, ask_first=True)
    assert thief.translate(WIRE, "eng", ["deu"]) == ANSWER
    assert cache.size == 2 * size


def test_plaintext_beyond_this_machine_needs_consent(both_sides):
    for host in ("127.0.0.1", "::1", "localhost"):
        require_safe(Address(host, 1), None, False)
    for host in ("0.0.0.0", "192.0.2.1", "cloud.example", "::"):
        with pytest.raises(WireError, match="--insecure"):
            require_safe(Address(host, 1), None, False)
        require_safe(Address(host, 1), None, True)
        require_safe(Address(host, 1), both_sides[0], False)


def test_keys_are_for_their_owner_alone_and_what_is_there_is_kept(tmp_path):
    written = make_certificates(tmp_path)
    assert sorted(path.name for path in written) == [
        "ca.key",
        "ca.pem",
        "client.key",
        "client.pem",
        "server.key",
        "server.pem",
    ]
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob("*.key")} == {0o600}
    assert make_certificates(tmp_path) == []
    assert [path.name for path in make_certificates(tmp_path, client="lap")] == [
        "lap.key",
        "lap.pem",
    ]


def test_what_is_no_certificate_is_named(tmp_path):
    with pytest.raises(CertificateError, match=r"ca\.pem: cannot be read .* makes certificates"):
        read_credentials(tmp_path, "server")
    make_certificates(tmp_path)
    (tmp_path / "ca.key").write_text("-----BEGIN nothing")
    with pytest.raises(CertificateError, match=r"ca\.key is damaged"):
        make_certificates(tmp_path, client="second")
    with pytest.raises(CertificateError, match="neither a host name nor an address"):
        make_certificates(tmp_path / "new", ["not a host"])
    for name in ("ca", "../x", ""):
        with pytest.raises(CertificateError):
            make_certificates(tmp_path, client=name)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:1234", "localhost", 1234),
        ("cloud.example", "cloud.example", 50051),
        ("[::1]:99", "::1", 99),
        ("[::1]", "::1", 50051),
    ],
)
def test_addresses(text, host, port):
    assert Address.parse(text) == Address(host, port)
    assert Address.parse(str(Address.parse(text))) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", ":1", "host:", "host:x", "host:70000", "http://host:1", "a b:1"]
)
def test_what_is_no_address_is_one_line(text):
    with pytest.raises(WireError, match="not HOST:PORT"):
        Address.parse(text)
