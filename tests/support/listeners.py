"""Servers on loopback that write down what they are told: one for HTTP, one for mail."""

import json
from asyncio import Server
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Listener:
    """An HTTP server that answers with `answer`, or, while `is_silent`, not before it is closed."""

    def __init__(self) -> None:
        """Listen on a port that is free."""
        self.paths: list[str] = []
        self.told: list[dict[str, str]] = []
        self.answer = 200
        self.is_silent = False
        self.closing = Event()
        handler = type("Handler", (_Handler,), {"listener": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Answer whoever waits, and end."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def webhook(self) -> str:
        """The URL of an alert channel that posts JSON here."""
        return f"json://{self.address}/hook"

    def messages(self) -> list[tuple[str, list[str]]]:
        """Return title, after the host's name, and lines of each message, and forget them.

        The commands that they name are left out: those are run in tests of their own.
        """
        told = [
            (
                each["title"].partition(": ")[2],
                [line.partition("; see: visitpay ")[0] for line in each["message"].splitlines()],
            )
            for each in self.told
        ]
        self.told.clear()
        return told


class _Handler(BaseHTTPRequestHandler):
    listener: Listener

    def do_GET(self) -> None:
        self.listener.paths.append(self.path)
        self._answer()

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.listener.answer == 200:
            self.listener.told.append(told)
        self._answer()

    def _answer(self) -> None:
        if self.listener.is_silent:
            self.listener.closing.wait()
            return
        self.send_response(self.listener.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


class Mailbox(Controller):
    """An SMTP server that keeps the mails it is given."""

    def __init__(self) -> None:
        """Listen on a port that is free, once it is started."""
        self.mails: list[EmailMessage] = []
        super().__init__(self, hostname="127.0.0.1", port=0)

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

    @property
    def channel(self) -> str:
        """The URL of an alert channel that mails here."""
        return f"mailto://127.0.0.1:{self.port}?from=visitpay@localhost.test&to=ops@localhost.test"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as aiosmtpd calls it
        """Keep a mail."""
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"
