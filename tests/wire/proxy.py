"""A TCP proxy that counts the payload it carries, and can cut or hold a connection."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from esrt_privacy.wire.address import Address


class Proxy:
    """Forwards connections to `target`; use it as a context.

    `upstream` counts bytes from the client. With `cut_after` set, each connection is reset once it has carried so many
    bytes upstream, `cuts` times; `held` (set) stops forwarding upstream altogether.
    """

    def __init__(self, target: Address, cut_after: int | None = None, cuts: int = 1) -> None:
        self.upstream = 0
        self.cut_after = cut_after
        self.cuts = cuts
        self.held = threading.Event()
        self._target = (target.host, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._listener.getsockname()[1])

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [near, far]
            threading.Thread(target=self._up, args=(near, far), daemon=True).start()
            threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        carried = 0
        with suppress(OSError):
            while data := near.recv(65_536):
                while self.held.is_set() and near.fileno() >= 0:
                    time.sleep(0.01)
                if (
                    self.cut_after is not None
                    and self.cuts
                    and carried + len(data) > self.cut_after
                ):
                    self.cuts -= 1
                    far.sendall(data[: self.cut_after - carried])
                    break
                self.upstream += len(data)
                carried += len(data)
                far.sendall(data)
        self._end(near, far)

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65_536):
                near.sendall(data)
        self._end(near, far)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
