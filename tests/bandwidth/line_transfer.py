"""One transfer over the user-space line: `unshare … python -m tests.bandwidth.line_transfer BYTES`, in a namespace.

Prints what arrived, and the packets and bytes that the line saw each way, with headers of TCP and IP.
"""

import json
import socket
import sys
import threading

from esrt_privacy.bandwidth.transfer import Link
from esrt_privacy.bandwidth.user_space_link import FAR, NEAR, run, user_space_link

ANSWER = b"." * 200


def main(size: int) -> None:
    run("ip", "link", "set", "dev", "lo", "up")
    with user_space_link() as line, socket.create_server((NEAR, 0)) as listener:
        line.link = Link(100.0, 10.0)
        line.ports = frozenset([listener.getsockname()[1]])
        got = []

        def serve() -> None:
            end, peer = listener.accept()
            with end:
                left = size
                while left:
                    left -= len(end.recv(65_536))
                got.append(peer[0])
                end.sendall(ANSWER)
                end.recv(1)  # until the client closes

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection((FAR, listener.getsockname()[1]), timeout=30) as client:
            client.sendall(bytes(size))
            answer = b""
            while len(answer) < len(ANSWER):
                answer += client.recv(4096)
        thread.join(30)
    seen = {name: [way.packets, way.bytes] for name, way in (("up", line.up), ("down", line.down))}
    print(json.dumps({"peer": got[0], "answer": len(answer), **seen}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
