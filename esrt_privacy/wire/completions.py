"""An LLM in another process, behind HTTP: `/v1/completions` as vLLM serves it with `--enable-prompt-embeds`.

A prompt is a tensor (positions, width), written by `torch.save` and sent as base64; text comes back as server-sent
events. The form of a request: https://docs.vllm.ai/en/stable/features/prompt_embeds/.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from esrt_privacy.errors import shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError

if TYPE_CHECKING:
    from torch import Tensor

MOST_LINE_BYTES = 64 << 10  # of one event
MOST_EVENT_BYTES = 4 << 10  # of an event on average: one for each token, and two more
MOST_ERROR_BYTES = 64 << 10  # of what comes with a status other than 200
PATH = "/v1/completions"

Told = Callable[[int, str], None]  # the prompt's place, the next piece of its text


@dataclass(frozen=True)
class LlmServer:
    """Where the LLM is."""

    address: Address
    tls: bool
    path: str  # of completions

    @classmethod
    def parse(cls, url: str, insecure: bool = False) -> LlmServer:
        """`http://HOST:PORT`, or `https://`; a prefix and `/v1` may follow.

        Raises WireError for anything else, and for http beyond this machine without `insecure`: prompts hold what was
        said.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _no_address(url) from error
        beside = parts.username or parts.password or parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not host or beside or not _is_plain(parts.path):
            raise _no_address(url)
        tls = parts.scheme == "https"
        address = Address(host, port if port is not None else (443 if tls else 80))
        if not tls and not insecure and not address.is_loopback:
            raise WireError(
                f"{address}: beyond this machine the LLM is reached by https://, or consent to plaintext with"
                " --insecure"
            )
        return cls(address, tls, parts.path.rstrip("/").removesuffix("/v1") + PATH)

    def __str__(self) -> str:
        return f"http{'s' * self.tls}://{self.address}"


class Completions:
    """Asks one server, one request at a time, with a connection for each. Close it to end what is under way."""

    def __init__(self, server: LlmServer, seconds: float) -> None:
        """`seconds`: for one request, from connecting to the last piece of text."""
        self.server = server
        self._seconds = seconds
        self._under_way: socket.socket | None = None
        self._closed = False

    def close(self) -> None:
        """End the request under way, which then fails; further ones are refused."""
        self._closed = True
        if self._under_way is not None:
            _cut(self._under_way)

    def texts(
        self,
        prompts: Sequence[Tensor],
        stop: int,
        most_tokens: int,
        on_text: Told | None = None,
    ) -> list[tuple[str, bool]]:
        """Prompts (positions, width) -> their greedy continuations, and whether each came to its end.

        The end is token `stop`, which is not part of the text; language tags are. What `on_text` raises ends the
        request. Raises WireError for a server that is not there, refuses, is too slow, or answers something else.
        """
        body = {
            "prompt_embeds": [_packed(prompt) for prompt in prompts],
            "max_tokens": most_tokens,
            "temperature": 0.0,
            # An LLM's own generation_config.json may say otherwise.
            "repetition_penalty": 1.0,
            "stop_token_ids": [stop],
            "skip_special_tokens": False,
            "stream": True,
        }
        answers = _Answers(len(prompts), on_text)
        most_bytes = MOST_EVENT_BYTES * len(prompts) * (most_tokens + 2)
        with closing(self._events(json.dumps(body).encode(), most_bytes)) as events:
            for event in events:
                if isinstance(event, dict) and "error" in event:
                    raise self._error(f"gave up: {_message(event)}")
                if not answers.take(event):
                    raise self._error("sent an event that is no completion; is it vLLM's?")
        if not answers.whole:
            raise self._error("ended before it had answered everything")
        return list(zip(answers.texts, answers.ended, strict=True))

    def _events(self, body: bytes, most_bytes: int) -> Generator[Any, None, None]:
        """The events of one request as JSON values, `[DONE]` left out."""
        with self._connected() as (connection, expired):
            try:
                headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
                connection.request("POST", self.server.path, body, headers)
                response = connection.getresponse()
                if response.status != http.client.OK:
                    said = response.read(MOST_ERROR_BYTES)
                    raise self._error(f"HTTP {response.status}: {_message(_json(said), said)}")
                yield from self._read(response, most_bytes)
            except (OSError, http.client.HTTPException) as error:
                raise self._error(self._why(error, expired)) from error
            if (
                expired.is_set() or self._closed
            ):  # a connection that was cut may look like one that ended
                raise self._error(self._why(None, expired))

    def _read(self, response: http.client.HTTPResponse, most_bytes: int) -> Iterator[Any]:
        left = most_bytes
        while line := response.readline(MOST_LINE_BYTES + 1):
            left -= len(line)
            if len(line) > MOST_LINE_BYTES or left < 0:
                raise self._error("sent more than such an answer can hold")
            field, _, value = line.partition(b":")
            if field != b"data":  # an empty line, a comment, another field
                continue
            if value.strip() == b"[DONE]":
                return
            yield _json(value)

    @contextmanager
    def _connected(self) -> Iterator[tuple[http.client.HTTPConnection, threading.Event]]:
        """A connection that is cut when its time is over, and whether it was."""
        if self._closed:
            raise self._error("is not asked any more: this cloud is stopping")
        host, port = self.server.address.host, self.server.address.port
        if self.server.tls:
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self._seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._seconds)
        expired = threading.Event()
        try:
            connection.connect()
        except ssl.SSLError as error:
            connection.close()
            raise self._error(f"no TLS connection, or not trusted here ({shown(error)})") from error
        except (OSError, UnicodeError) as error:  # a name that cannot be looked up is the latter
            connection.close()
            raise self._error(
                f"nobody answers there ({shown(error)}); start it with `vllm serve FOLDER/llm"
                " --enable-prompt-embeds`"
            ) from error
        held = connection.sock  # which `connection` lets go of once the headers are there

        def end() -> None:
            expired.set()
            _cut(held)

        clock = threading.Timer(self._seconds, end)
        clock.daemon = True
        clock.start()
        self._under_way = held
        try:
            yield connection, expired
        finally:
            clock.cancel()
            self._under_way = None
            _cut(held)  # the server stops decoding for nobody
            connection.close()

    def _why(self, error: Exception | None, expired: threading.Event) -> str:
        if self._closed:
            return "was not waited for: this cloud is stopping"
        if expired.is_set() or isinstance(error, TimeoutError):
            return f"no answer within {self._seconds:.0f} s"
        return f"the connection was lost ({shown(error) or type(error).__name__})"

    def _error(self, what: str) -> WireError:
        return WireError(f"the LLM server {self.server}: {what}")


class _Answers:
    """What has come of each prompt's text."""

    def __init__(self, count: int, on_text: Told | None) -> None:
        self.texts = [""] * count
        self.ended = [False] * count
        self._finished = [False] * count
        self._on_text = on_text

    @property
    def whole(self) -> bool:
        return all(self._finished)

    def take(self, event: Any) -> bool:
        """Add an event's text; False for one that does not belong to these prompts."""
        choices = event.get("choices") if isinstance(event, dict) else None
        if not isinstance(choices, list):
            return False
        return all(self._take(choice) for choice in choices)

    def _take(self, choice: Any) -> bool:
        if not isinstance(choice, dict):
            return False
        place, text, reason = choice.get("index"), choice.get("text"), choice.get("finish_reason")
        if type(place) is not int or not 0 <= place < len(self.texts) or self._finished[place]:
            return False
        if not isinstance(text, str) or reason not in (None, "stop", "length"):
            return False
        self.texts[place] += text
        self._finished[place] = reason is not None
        self.ended[place] = reason == "stop"
        if text and self._on_text is not None:
            self._on_text(place, text)
        return True


def _packed(prompt: Tensor) -> str:
    import torch

    buffer = io.BytesIO()
    torch.save(
        prompt.detach().to("cpu", copy=True).contiguous(), buffer
    )  # a view brings its whole storage
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _json(data: bytes) -> Any:
    """A JSON value, None for what is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _message(event: Any, otherwise: bytes = b"") -> str:
    """What an error says, in either form that vLLM has had, bounded and on one line."""
    error = event.get("error", event) if isinstance(event, dict) else None
    text = error.get("message") if isinstance(error, dict) else None
    return shown(text if isinstance(text, str) else otherwise.decode("utf-8", "replace"), 300)


def _cut(connection: socket.socket) -> None:
    # Not SSLSocket's own, which takes the encryption away under whoever is reading.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _is_plain(path: str) -> bool:
    return path.isascii() and path.isprintable() and " " not in path


def _no_address(url: str) -> WireError:
    return WireError(
        f"'{shown(url, 80)}': not the address of an LLM, such as http://127.0.0.1:8000"
    )
