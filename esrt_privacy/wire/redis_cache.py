"""The feature cache in Redis or Valkey, when several servers share it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.feature_cache import DEFAULT_SECONDS, DIGEST_BYTES, digest_of

SCHEMES = ("redis", "rediss", "unix")
TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 5.0  # a server that does not answer is not asked again for so long
PREFIX = b"esrt-privacy:feature:1:"

_log = logging.getLogger(__name__)


class RedisCache:
    """Tensors under a prefix of their own, each with its expiry; the size is bounded by the server (`maxmemory`).

    Set `maxmemory-policy allkeys-lru` there. While the server does not answer, nothing is kept and every request is
    answered by sending tensors.
    """

    def __init__(
        self,
        url: str,
        most_value_bytes: int,
        most_seconds: float = DEFAULT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connects when first used. Raises WireError for an address that is none, or without the client."""
        try:
            import redis
        except ImportError as error:
            raise WireError(
                "a cache in Redis needs its client: pip install 'esrt-privacy[wire]'"
            ) from error
        try:
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            )
        except ValueError as error:
            raise WireError(
                f"--cache: not an address of a Redis server ({shown(error)})"
            ) from error
        self._errors = (redis.RedisError, OSError)
        self._most_value_bytes = most_value_bytes
        self._milliseconds = max(1, int(1000 * most_seconds))
        self._clock = clock
        self._paused_until = float("-inf")
        self._where = _without_password(url)

    def get(self, key: bytes) -> bytes | None:
        """As `FeatureCache.get`; longer values than a tensor are never read."""
        most = DIGEST_BYTES + self._most_value_bytes
        kept = self._guarded(lambda: self._client.getrange(PREFIX + key, 0, most))
        if not isinstance(kept, bytes) or not DIGEST_BYTES < len(kept) <= most:
            return None
        value = kept[DIGEST_BYTES:]
        return value if digest_of(key, value) == kept[:DIGEST_BYTES] else None

    def put(self, key: bytes, value: bytes) -> bool:
        """As `FeatureCache.put`."""
        if len(value) > self._most_value_bytes:
            return False
        kept = digest_of(key, value) + value
        return bool(
            self._guarded(lambda: self._client.set(PREFIX + key, kept, px=self._milliseconds))
        )

    def close(self) -> None:
        """Close the connections."""
        self._guarded(self._client.close)

    def _guarded(self, action: Callable[[], Any]) -> Any:
        if self._clock() < self._paused_until:
            return None
        try:
            return action()
        except self._errors as error:
            self._paused_until = self._clock() + PAUSE_SECONDS
            _log.warning("%s does not keep tensors (%s)", self._where, shown(error))
            return None


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
