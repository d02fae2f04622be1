"""A speech API as clouds offer it, and a stub that answers it: HTTP/1.1 over TLS, kept open between requests.

    POST /v1/speech:translate?source=eng&target=deu
    Authorization: Bearer TOKEN
    Content-Type: audio/flac, audio/wav … or application/json

The body is a recording; or, for one that was sent before, `{"audio":{"uri":"IDENTIFIER"}}`. The answer is JSON with
`transcript` and `translation`. Headers are those that the standard library sends, and the two above: products send
more (cookies, agents, tracing).
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import shake_256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from esrt_privacy.bandwidth.codecs import JSON_TYPE
from esrt_privacy.bandwidth.options import BandwidthError
from esrt_privacy.errors import shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import CA, SERVER

PATH = "/v1/speech:translate"
TRANSCRIPT = "A sentence of the length that recordings of speech often have."
TRANSLATION = "Ein Satz von der Länge, die Aufnahmen von Sprache oft haben."
MOST_BODY_BYTES = 64 << 20
MOST_NAMING_BYTES = 2_000_000  # of a body that is an identifier
MOST_KEPT = 65_536  # identifiers
IDLE_SECONDS = 24 * 3600.0  # of an open connection: encoding may come between requests

_log = logging.getLogger(__name__)


def identifier_of(body: bytes, length: int) -> str:
    """The name, `length` characters, under which the API knows a recording: SHAKE256 of its body in hex (FIPS 202)."""
    return shake_256(body).hexdigest(-(-length // 2))[:length]


class SpeechApi:
    """A client of the API on one connection. Close it."""

    def __init__(
        self, address: Address, folder: Path, token: str, identifier_bytes: int, seconds: float
    ) -> None:
        """Trusts the CA of `folder`; connects with the first request, which may take `seconds`."""
        context = ssl.create_default_context(cafile=folder / f"{CA}.pem")
        self._connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=seconds, context=context
        )
        self._address = address
        self._token = token
        self._identifier_bytes = identifier_bytes

    def translate(self, body: bytes, content_type: str, source: str, target: str) -> str:
        """Send a recording; its translation. Raises BandwidthError where there is no answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        try:
            self._connection.request(
                "POST", f"{PATH}?source={source}&target={target}", body, headers
            )
            response = self._connection.getresponse()
            data = response.read(MOST_BODY_BYTES)
            if response.status != 200:
                raise BandwidthError(f"{self._address}: the stub answered {response.status}")
            return str(json.loads(data)["translation"])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise BandwidthError(
                f"{self._address}: the stub of the speech API did not answer ({shown(error)})"
            ) from error

    def translate_again(self, body: bytes, source: str, target: str) -> str:
        """The same for a recording that was sent before, by its identifier."""
        name = identifier_of(body, self._identifier_bytes)
        again = json.dumps({"audio": {"uri": name}}, separators=(",", ":")).encode()
        return self.translate(again, JSON_TYPE, source, target)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@contextmanager
def answering(folder: Path, host: str, identifier_bytes: int) -> Iterator[int]:
    """The stub, in threads of this process, for the length of a block; yields its port.

    It answers at once, and keeps the names of recordings rather than the recordings.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{SERVER}.pem", folder / f"{SERVER}.key")
    with _Stub((host, 0), _Handler) as server:
        server.identifier_bytes = identifier_bytes
        # The handshake waits for the connection's own thread.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, name="speech-api", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Stub(ThreadingHTTPServer):
    daemon_threads = True
    identifier_bytes = 0

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle ends its own connection and no other."""
        _log.debug("a connection of the stub ended", exc_info=True)

    def keep(self, body: bytes) -> None:
        with self._lock:
            self._kept[identifier_of(body, self.identifier_bytes)] = None
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def knows(self, name: object) -> bool:
        with self._lock:
            return name in self._kept


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one write: one TLS record
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        """One recording, or the identifier of one."""
        assert isinstance(self.server, _Stub)
        place = urlsplit(self.path)
        asked = parse_qs(place.query)
        length = self.headers.get("Content-Length", "")
        if place.path != PATH or not {"source", "target"} <= asked.keys():
            return self._answer(404, {})
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BODY_BYTES:
            self.close_connection = True
            return self._answer(413, {})
        body = self.rfile.read(int(length))
        if (name := _named(body)) is None:
            self.server.keep(body)
        elif not self.server.knows(name):
            return self._answer(404, {})
        return self._answer(200, {"transcript": TRANSCRIPT, "translation": TRANSLATION})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is no business of a terminal."""

    def _answer(self, status: int, content: dict[str, str]) -> None:
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON_TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _named(body: bytes) -> object:
    """The identifier that a body consists of; None for a recording, base64 in JSON included."""
    if len(body) > MOST_NAMING_BYTES or not body.startswith(b'{"audio":{"uri":'):
        return None
    try:
        return json.loads(body)["audio"]["uri"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
