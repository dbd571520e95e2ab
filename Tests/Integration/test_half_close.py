"""Clients that close their half of the connection and then wait for the remaining replies."""

import base64
import socket
import ssl

import pytest

from relay import DEADLINE

MESSAGE = b"From: from@example.com\r\nSubject: half-closed\r\n\r\nbody\r\n.\r\n"


def login(key):
    return b"AUTH PLAIN " + base64.b64encode(f"\0apikey\0{key}".encode()) + b"\r\n"


class Connection:
    """A client that sends everything that it has to send, and then closes its half of the connection."""

    def __init__(self, relay, kind):
        self.raw = socket.create_connection(("127.0.0.1", relay.ports[kind]), timeout=DEADLINE)
        self.tls = None
        self.is_finished = False
        if kind == "smtps":
            context = ssl.create_default_context(cafile=str(relay.certificate))
            # TLS works on memory, so that FIN can be sent with or without close_notify.
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
            self.exchange(self.tls.do_handshake)

    def exchange(self, operation):
        while True:
            try:
                result = operation()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.raw.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def flush(self):
        """Sends what TLS has to send. After FIN, it sends nothing."""
        data = self.outgoing.read()
        if data and not self.is_finished:
            self.raw.sendall(data)

    def send(self, data):
        if self.tls:
            self.exchange(lambda: self.tls.write(data))
        else:
            self.raw.sendall(data)

    def finish(self, data, close_notify):
        """Sends everything in one piece.

        Data in a later packet, after a QUIT, would reach a closed connection and be answered with RST.
        """
        if self.tls:
            self.tls.write(data)
            if close_notify:
                try:
                    self.tls.unwrap()
                except ssl.SSLWantReadError:
                    pass
            self.flush()
        else:
            self.raw.sendall(data)
        self.is_finished = True
        try:
            self.raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The relay has already closed the connection.

    def rest(self):
        """Everything that the relay sends from now on."""
        received = b""
        while True:
            try:
                data = self.exchange(lambda: self.tls.read(65536)) if self.tls else self.raw.recv(65536)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return received
            if not data:
                return received
            received += data


@pytest.fixture(params=["smtp", "smtps with close_notify", "smtps without"])
def way(request):
    return request.param


@pytest.fixture
def dialogue(own_relay, way):
    kind = way.split()[0]

    def play(relay, *pieces):
        connection = Connection(relay, kind)
        for piece in pieces[:-1]:
            connection.send(piece)
        connection.finish(pieces[-1], close_notify="with " in way)
        return connection.rest().decode()

    return play


@pytest.fixture
def plain_relay(own_relay):
    return own_relay({"submission.plaintext_auth_networks": ["127.0.0.0/8"]})


def test_a_message_is_answered_after_a_half_close(plain_relay, dialogue):
    key = plain_relay.create_key()
    said = dialogue(
        plain_relay, b"EHLO client\r\n", login(key), b"MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n",
        MESSAGE)
    assert "\r\n250 2.0.0 Ok: queued as " in said
    assert said.endswith("\r\n")


def test_a_large_message_is_answered_after_a_half_close(plain_relay, dialogue):
    key = plain_relay.create_key()
    body = b"From: from@example.com\r\n\r\n" + (b"x" * 70 + b"\r\n") * 10_000 + b".\r\n"
    said = dialogue(
        plain_relay, b"EHLO client\r\n", login(key), b"MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n",
        body)
    assert "\r\n250 2.0.0 Ok: queued as " in said


def test_quit_is_answered(plain_relay, dialogue):
    assert dialogue(plain_relay, b"EHLO client\r\nQUIT\r\n").endswith("221 2.0.0 Bye\r\n")


def test_a_refused_login_is_answered(plain_relay, dialogue):
    """The reply takes its time, because the relay delays replies to failed logins."""
    key = plain_relay.create_key(scopes=())
    for _ in range(4):
        assert "[scope]\r\n" in dialogue(plain_relay, b"EHLO client\r\n", login(key))


def test_a_rate_delayed_message_is_answered_after_a_half_close(own_relay, dialogue):
    relay = own_relay({"submission.plaintext_auth_networks": ["127.0.0.0/8"]})
    key = relay.create_key(per_second=2, burst=1)
    for number in range(3):
        said = dialogue(
            relay, b"EHLO client\r\n", login(key), b"MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n"
            + MESSAGE.replace(b"half-closed", b"%d" % number))
        assert "\r\n250 2.0.0 Ok: queued as " in said


def test_an_incomplete_message_is_not_accepted_after_a_half_close(plain_relay, dialogue):
    key = plain_relay.create_key()
    said = dialogue(
        plain_relay, b"EHLO client\r\n", login(key), b"MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n",
        MESSAGE[:-3])
    assert said.endswith("354 End data with <CR><LF>.<CR><LF>\r\n")
    assert plain_relay.run("messages", "list").stdout.count("queued") == 0


def test_a_slow_reader_gets_all_replies_after_a_half_close(plain_relay):
    """The relay first writes all replies, which have to wait for room in the client's window.

    Only then does it close the connection.
    """
    count = 220_000
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", plain_relay.ports["smtp"]))
        client.sendall(b"EHLO client\r\n" + login(plain_relay.create_key()))
        received = b""
        while b"235 " not in received:
            received += client.recv(65536)
        client.sendall(b"NOOP\r\n" * count)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while data := client.recv(65536):
            received += data
    assert received == b"250 2.0.0 Ok\r\n" * count


def test_an_unauthenticated_client_cannot_pipeline_without_limit(plain_relay):
    with socket.create_connection(("127.0.0.1", plain_relay.ports["smtp"]), timeout=DEADLINE) as client:
        try:
            client.sendall(b"HELP\r\n" * 400_000)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except ConnectionError:
            pass
    plain_relay.wait_until(lambda: plain_relay.run("status").stdout, "the relay still answers")
    assert plain_relay.stop() == 0
