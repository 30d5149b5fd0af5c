"""A TCP proxy on loopback that does what networks do: it cuts, stalls, and answers busy."""

import socket
import struct
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Self

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """A TCP proxy in front of a port of this machine."""

    def __init__(self, port: int) -> None:
        """Stand in front of a port."""
        self._target = port
        self._lock = Lock()
        self._cut_after: int | None = None
        self._stall_after: int | None = None
        self.answers: list[bytes] = []
        """What the next requests are answered in the server's place."""
        self.stalled = Event()
        self.connections = 0
        self.carried = 0
        """So many bytes came from the server."""
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End, and close all connections."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut_after(self, size: int) -> None:
        """Cut a connection when so many more bytes have come from the server; once."""
        with self._lock:
            self._cut_after = size

    def stall_after(self, size: int) -> None:
        """Pass nothing on any more once so many more bytes have come from the server."""
        with self._lock:
            self._stall_after = size

    def flow(self) -> None:
        """Pass on what comes from now on; what stalled stays so."""
        with self._lock:
            self._stall_after = None

    def answer(self, answer: bytes, times: int = 1) -> None:
        """Answer the next requests in the server's place."""
        self.answers += [answer] * times

    def cut(self) -> None:
        """Cut all connections that are open."""
        for each in self._open:
            _reset(each)
        self._open.clear()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                Thread(target=self._forth, args=(client, server), daemon=True).start()
                Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while block := client.recv(1 << 16):
                if self.answers:
                    client.sendall(self.answers.pop(0))
                    client.shutdown(socket.SHUT_RDWR)
                    break
                server.sendall(block)
        _close(server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while block := server.recv(1 << 14):
                passed = self._passed(len(block))
                client.sendall(block[:passed])
                if passed < len(block):
                    if self.stalled.is_set():
                        return
                    _reset(client)
                    break
        _close(client)

    def _passed(self, size: int) -> int:
        """Return how many of the bytes that have come are passed on."""
        with self._lock:
            self.carried += size
            if self._stall_after is not None:
                passed, self._stall_after = self._take(self._stall_after, size)
                if passed < size:
                    self.stalled.set()
                return passed
            if self._cut_after is not None:
                passed, left = self._take(self._cut_after, size)
                self._cut_after = left if passed == size else None
                return passed
        return size

    @staticmethod
    def _take(left: int, size: int) -> tuple[int, int]:
        passed = min(left, size)
        return passed, left - passed


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def _reset(each: socket.socket) -> None:
    """Close a connection as if the network had lost it."""
    with suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        each.shutdown(socket.SHUT_RDWR)
    each.close()
