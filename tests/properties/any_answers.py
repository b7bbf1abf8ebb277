"""A server that answers whatever it is told to, byte for byte: not even HTTP if a test wants that."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager


class AnyAnswers:
    """A server on a port of this machine; ``answers`` are sent in turn, the last one again and again."""

    def __init__(self, listening):
        self._listening = listening
        self.answers = [b""]
        self._n_asked = 0
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def tell(self, *answers):
        """Answer the next requests so."""
        with self._lock:
            self.answers, self._n_asked = list(answers), 0

    def serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                self._read(connection)
                with self._lock:
                    answer = self.answers[min(self._n_asked, len(self.answers) - 1)]
                    self._n_asked += 1
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):  # a close with unread bytes would reset what was just sent
                    pass
            except OSError:  # the client has gone
                pass

    @staticmethod
    def _read(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return
            head += part
        head, _, body = head.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ),
            0,
        )
        while len(body) < length:
            part = connection.recv(65536)
            if not part:
                return
            body += part


@contextmanager
def any_answers():
    """Run the server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = AnyAnswers(listening)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def http(status=200, body=b"", *, headers=(), length=None):
    """Write an answer as HTTP has it; ``length`` may lie."""
    lines = [
        f"HTTP/1.1 {status} said".encode(),
        b"content-type: application/json",
        b"connection: close",
        *(name + b": " + value for name, value in headers),
        *([] if length is False else [f"content-length: {len(body) if length is None else length}".encode()]),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
