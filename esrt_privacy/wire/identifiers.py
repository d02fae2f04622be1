"""The name under which the cloud keeps a tensor: a hash of its bytes, keyed by a secret of the client.

The secret never leaves the device, so that nobody can compute the name of a tensor that another client has sent.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.messages import IDENTIFIER_BYTES

SECRET_BYTES = 32


def identifier_of(tensor: bytes, secret: bytes) -> bytes:
    """BLAKE2b (RFC 7693) of the tensor's bytes, keyed with `secret`, 16 bytes."""
    return hashlib.blake2b(tensor, key=secret, digest_size=IDENTIFIER_BYTES).digest()


def new_secret() -> bytes:
    """A secret of its own for one client."""
    return secrets.token_bytes(SECRET_BYTES)


def kept_secret(path: Path) -> bytes:
    """The secret in `path`, made and written for its owner alone when there is none. Raises WireError."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written beside it and linked: of two processes that start together, both read one secret.
            own = path.with_name(f".{path.name}.{os.getpid()}")
            own.touch(mode=0o600)
            own.write_bytes(new_secret())
            try:
                os.link(own, path)
            except FileExistsError:
                pass
            finally:
                own.unlink()
        secret = path.read_bytes()
    except OSError as error:
        raise WireError(f"{path}: cannot keep the client's secret ({shown(error)})") from error
    if len(secret) != SECRET_BYTES:
        raise WireError(f"{path}: not a client's secret; delete it, and a new one is made")
    return secret
