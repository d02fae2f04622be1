"""The cloud half as the edge sees it: the same calls as `esrt.cloud.Cloud`, answered over the network."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from esrt_privacy.wire.address import METHOD, SERVICE, Address, load_grpc
from esrt_privacy.wire.channel import ClientOptions, failure, may_pass, open_channel
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.identifiers import identifier_of, new_secret
from esrt_privacy.wire.messages import (
    Miss,
    Piece,
    Request,
    decode_reply,
    encode_request,
)
from esrt_privacy.wire.tensors import encode_tensor

if TYPE_CHECKING:
    from torch import Tensor

    from esrt_privacy.esrt.answers import Answer
    from esrt_privacy.esrt.streaming import Listener

MOST_REMEMBERED = 65_536  # identifiers that the cloud is believed to keep
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts


class RemoteCloud:
    """A `CloudHalf` at HOST:PORT. One connection, used by any number of threads; close it, or use it as a context.

    Each recording is one call with one tensor, whatever the number of languages; when it was sent before, an identifier
    goes in its place, and the tensor again if the cloud does not have it any more. A call that a lost connection or a
    restart has cut off is made again, unless text of it was already told.
    """

    def __init__(
        self,
        address: Address,
        options: ClientOptions = ClientOptions(),  # noqa: B008  # frozen
        secret: bytes | None = None,
    ) -> None:
        """`secret` keys the identifiers; one of its own by default. Raises WireError without gRPC."""
        self._grpc = load_grpc()
        self._address = address
        self._options = options
        self._secret = secret or new_secret()
        self._channel = open_channel(address, options)
        self._method = self._channel.unary_stream(f"/{SERVICE}/{METHOD}")
        self._sent: OrderedDict[bytes, None] = OrderedDict()
        self._calls: set[Any] = set()
        self._lock = threading.Lock()
        self._reached = False

    def __enter__(self) -> RemoteCloud:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and with it whatever is under way."""
        self._channel.close()

    def translate(
        self,
        wire: Tensor,
        source: str,
        targets: Sequence[str],
        beam: int = 1,
        most_tokens: int = 160,
        on_text: Listener | None = None,
    ) -> list[dict[str, Answer]]:
        """As `Cloud.translate`. `on_text` may be called from several threads.

        Raises LanguageError for an unknown language, WireError for a request that was not answered, saying why.
        """
        from esrt_privacy.esrt.language_tags import require_language

        languages = tuple(dict.fromkeys(map(require_language, targets)))
        asked = Request(require_language(source), languages, beam, most_tokens)
        if not languages:
            return [{} for _ in wire]
        rows = self._answers(wire, asked, on_text)
        return [{language: row[n] for n, language in enumerate(languages)} for row in rows]

    def transcribe(
        self,
        wire: Tensor,
        source: str,
        beam: int = 1,
        most_tokens: int = 160,
        on_text: Listener | None = None,
    ) -> list[Answer]:
        """As `Cloud.transcribe`. Raises as `translate`."""
        from esrt_privacy.esrt.language_tags import require_language

        asked = Request(require_language(source), (), beam, most_tokens)
        return [row[None] for row in self._answers(wire, asked, on_text)]

    def translate_encoded(
        self,
        data: bytes,
        source: str,
        targets: Sequence[str],
        beam: int = 1,
        most_tokens: int = 160,
    ) -> dict[str, Answer]:
        """As `translate`, of one recording whose tensor is bytes already (`encode_tensor`)."""
        from esrt_privacy.esrt.language_tags import require_language

        languages = tuple(dict.fromkeys(map(require_language, targets)))
        asked = Request(require_language(source), languages, beam, most_tokens)
        if not languages:
            return {}
        row = self._answered(data, asked, _Told(0, None), threading.Event())
        return {language: row[n] for n, language in enumerate(languages)}

    def _answers(
        self, wire: Tensor, asked: Request, on_text: Listener | None
    ) -> list[dict[int | None, Answer]]:
        """Of each recording the answers by the target's place."""
        if not len(wire):
            return []
        stop = threading.Event()
        with ThreadPoolExecutor(min(len(wire), self._options.calls), "wire-client") as pool:
            futures = [
                pool.submit(self._encoded_and_answered, tensor, asked, _Told(number, on_text), stop)
                for number, tensor in enumerate(wire)
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:  # one failed, or Ctrl-C: nobody waits for the others
                stop.set()
                for future in futures:
                    future.cancel()
                with self._lock:
                    calls = list(self._calls)
                for call in calls:
                    call.cancel()
                raise

    def _encoded_and_answered(
        self, tensor: Tensor, asked: Request, told: _Told, stop: threading.Event
    ) -> dict[int | None, Answer]:
        return self._answered(encode_tensor(tensor, self._options.dtype), asked, told, stop)

    def _answered(
        self, data: bytes, asked: Request, told: _Told, stop: threading.Event
    ) -> dict[int | None, Answer]:
        """One recording: by identifier where that may do, and again while there is hope and time."""
        identifier = identifier_of(data, self._secret) if self._options.keep else None
        by_name = identifier is not None and (self._options.ask_first or self._is_sent(identifier))
        attempts = _Attempts(self._options.seconds, self._options.patience)
        while True:
            sent = None if by_name else data
            request = replace(asked, identifier=identifier, tensor=sent, stream=told.wanted)
            try:
                answers = self._once(request, attempts.left, told)
            except self._grpc.RpcError as error:
                hopeful = may_pass(error, self._reached) and not told.anything
                if not hopeful or not attempts.wait(stop):
                    raise failure(error, self._address, self._options) from error
                continue
            if answers is not None:
                self._remember(identifier)
                return answers
            if not by_name:
                raise WireError(f"{self._address}: the cloud asks again for what it was just sent")
            by_name = False

    def _once(
        self, request: Request, seconds: float, told: _Told
    ) -> dict[int | None, Answer] | None:
        """One call; None for a miss. Raises grpc.RpcError, or WireError for an answer that is none."""
        from esrt_privacy.esrt.answers import Answer

        answers: dict[int | None, Answer] = {}
        wanted = set(range(len(request.targets))) if request.targets else {None}
        call = self._method(encode_request(request), timeout=seconds)
        with self._watched(call):
            for data in call:
                self._reached = True
                reply = decode_reply(data)
                if isinstance(reply, Miss):
                    return None
                if reply.target not in wanted:
                    raise WireError(f"{self._address}: an answer to something that was not asked")
                if isinstance(reply, Piece):
                    told.tell(reply)
                else:
                    answers[reply.target] = Answer(
                        reply.transcript, reply.translation, reply.language_ok, reply.complete
                    )
        if answers.keys() != wanted:
            raise WireError(f"{self._address}: the cloud ended before it had answered everything")
        return answers

    @contextmanager
    def _watched(self, call: Any) -> Iterator[None]:
        """Known to whoever calls everything off; ended with the block, whatever happens in it."""
        with self._lock:
            self._calls.add(call)
        try:
            yield
        finally:
            call.cancel()  # does nothing to one that has come to its end
            with self._lock:
                self._calls.discard(call)

    def _is_sent(self, identifier: bytes) -> bool:
        with self._lock:
            return identifier in self._sent

    def _remember(self, identifier: bytes | None) -> None:
        if identifier is None:
            return
        with self._lock:
            self._sent[identifier] = None
            self._sent.move_to_end(identifier)
            if len(self._sent) > MOST_REMEMBERED:
                self._sent.popitem(last=False)


class _Told:
    """Pieces of one recording's text on their way to a listener."""

    def __init__(self, number: int, listener: Listener | None) -> None:
        self._number = number
        self._listener = listener
        self.anything = False

    @property
    def wanted(self) -> bool:
        return self._listener is not None

    def tell(self, piece: Piece) -> None:
        self.anything = True
        if self._listener is not None:
            self._listener(self._number, piece.target or 0, piece.text)


class _Attempts:
    """Time left for one recording, and the pauses between attempts once the cloud has gone away."""

    def __init__(self, seconds: float, patience: float) -> None:
        self._end = time.monotonic() + seconds
        self._patience = patience
        self._give_up: float | None = None
        self._pause = FIRST_PAUSE

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def wait(self, stop: threading.Event) -> bool:
        """Pause, longer each time; False when there is no time left for another attempt."""
        now = time.monotonic()
        if self._give_up is None:
            self._give_up = min(self._end, now + self._patience)
        if now + self._pause > self._give_up or stop.wait(self._pause):
            return False
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True
