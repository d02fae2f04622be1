"""Identifiers: the same for the same tensor and secret, and for nothing else."""

import hashlib
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.identifiers import identifier_of, kept_secret, new_secret


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_two_tensors_share_an_identifier_only_when_they_are_one(one, other):
    secret = bytes(32)
    assert (identifier_of(one, secret) == identifier_of(other, secret)) == (one == other)


def test_another_secret_names_the_same_tensor_differently():
    assert identifier_of(b"tensor", new_secret()) != identifier_of(b"tensor", new_secret())


def test_it_is_no_plain_hash_that_anybody_could_compute():
    assert identifier_of(b"x", bytes(32)) != hashlib.blake2b(b"x", digest_size=16).digest()


def test_a_secret_is_kept_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "secret"
    secret = kept_secret(path)
    assert len(secret) == 32 and kept_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret"]


def test_processes_that_start_together_get_one_secret(tmp_path):
    code = "import sys; from pathlib import Path; from esrt_privacy.wire.identifiers import kept_secret;"
    code += "print(kept_secret(Path(sys.argv[1])).hex())"
    command = [sys.executable, "-c", code, str(tmp_path / "secret")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate()[0] for process in both}) == 1


def test_what_is_no_secret_is_named(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    with pytest.raises(WireError, match="delete it, and a new one is made"):
        kept_secret(path)
    with pytest.raises(WireError, match="cannot keep the client's secret"):
        kept_secret(path / "below")
