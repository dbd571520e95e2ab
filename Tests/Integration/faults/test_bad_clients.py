"""Clients that leave at any point and in any way, or that send almost nothing.

They leave nothing behind, and other clients are served.
"""

import base64
import os
import socket
import ssl
import struct
import time

import pytest

import queue_file
from process import sockets
from relay import DEADLINE
from sizes import IS_FULL
from submit import submit
from wording import mentions

SUBJECT = "left {}"
HELLO = [b"EHLO client.example\r\n"]
ENVELOPE = [b"MAIL FROM:<from@example.com>\r\n", b"RCPT TO:<to@example.net>\r\n", b"DATA\r\n"]
# A body that is too large for memory, so that the spool has a file while the body arrives.
LARGE = (b"z" * 70 + b"\r\n") * 4000


def dialogue(key, subject, body):
    """Everything that a client sends, in pieces. The client may leave after each piece, and in the middle of each."""
    response = base64.b64encode(b"\0apikey\0" + key.encode())
    head = f"From: from@example.com\r\nSubject: {subject}\r\n".encode()
    return [*HELLO, b"AUTH PLAIN " + response + b"\r\n", *ENVELOPE, head, b"\r\n", body, b".\r\n"]


class Visitor:
    """A client that waits for a reply after each command that has one, and then leaves."""

    def __init__(self, relay, kind):
        self.socket = socket.create_connection(("127.0.0.1", relay.ports[kind]), timeout=DEADLINE)
        if kind == "smtps":
            self.socket = ssl.create_default_context(cafile=str(relay.certificate)).wrap_socket(
                self.socket, server_hostname="localhost")
        self.buffer = b""
        self.reply()

    def line(self):
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def reply(self):
        while (line := self.line())[3:4] == b"-":
            pass
        return line

    def say(self, piece):
        self.socket.sendall(piece)
        if piece in (b".\r\n", *HELLO, *ENVELOPE) or piece.startswith(b"AUTH "):
            return self.reply()


def closes(visitor):
    visitor.socket.close()


def resets(visitor):
    visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visitor.socket.close()


def says_goodbye(visitor):
    """Closes the connection. With TLS, it sends close_notify first."""
    if isinstance(visitor.socket, ssl.SSLSocket):
        try:
            visitor.socket = visitor.socket.unwrap()
        except OSError:
            pass  # The relay has already closed the connection.
    visitor.socket.close()


def half_closes(visitor):
    """Closes its half of the connection and reads to the end. The relay must close the other half."""
    visitor.socket.shutdown(socket.SHUT_WR)
    try:
        while visitor.socket.recv(65536):
            pass
    except OSError:
        pass
    visitor.socket.close()


@pytest.mark.parametrize("leave", [closes, resets, says_goodbye, half_closes])
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_a_client_that_disconnects_at_any_point_leaves_nothing_behind(own_relay, kind, leave):
    # AUTH is allowed without TLS too, because a half-closed connection without TLS is valid. With TLS, a missing close_notify
    # is an error.
    relay = own_relay({"submission.plaintext_auth_networks": ["127.0.0.1/32"], "submission.max_connections": 5})
    key = relay.create_key(per_second=1_000_000)
    submit(relay, key, b"From: from@example.com\r\n\r\nfirst\r\n")
    relay.wait_until(lambda: sockets(relay) == 2, "no socket is left but the listeners")
    subjects = {}
    for body in [b"small\r\n", LARGE]:
        for stop in range(len(dialogue(key, "", body)) + 1):
            for is_in_the_middle in [False, True]:
                subject = SUBJECT.format(len(subjects))
                pieces = dialogue(key, subject, body)
                if is_in_the_middle and stop == len(pieces):
                    continue
                visitor = Visitor(relay, kind)
                for piece in pieces[:stop]:
                    visitor.say(piece)
                if is_in_the_middle:
                    visitor.socket.sendall(pieces[stop][:len(pieces[stop]) // 2])
                leave(visitor)
                subjects[subject] = stop == len(pieces)
    relay.wait_until(lambda: sockets(relay) == 2, "no socket is left but the listeners")
    with queue_file.reading(relay.directory / "relay.db") as database:
        stored = {subject for subject, in database.execute("SELECT subject FROM message WHERE subject IS NOT NULL")}
    assert stored == {subject for subject, is_whole in subjects.items() if is_whole}
    spool = relay.directory / "relay.db.spool"
    relay.wait_until(lambda: len(os.listdir(spool)) == 1, "the spool holds only the complete message")
    relay.wait_for_state(submit(relay, key, b"From: from@example.com\r\n\r\nlast\r\n"), "simulated")


@pytest.mark.parametrize("first", [b"", b"EHLO x\r\n", b"EHLO x\r\nSTARTTLS\r\n", b"EHLO x\r\nSTARTTLS\r\n\x16\x03\x01"],
                         ids=["silent", "greeting", "starttls", "handshake"])
def test_a_client_that_sends_almost_nothing_is_disconnected(own_relay, first):
    relay = own_relay({"submission.auth_timeout": "2s"})
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as client:
        client.sendall(first[:first.find(b"\x16")] if b"\x16" in first else first)
        if b"\x16" in first:
            while b"220 2.0.0 " not in client.recv(65536):
                pass
            client.sendall(first[first.find(b"\x16"):])
        heard = b""
        try:
            while data := client.recv(65536):
                heard += data
        except ConnectionResetError:
            pass
    if b"STARTTLS" not in first:
        last = heard.splitlines()[-1]
        assert last.startswith(b"421 4.4.2 relay.example.com ") and mentions(last, " 2 s ", "authenticate"), last
    relay.wait_until(lambda: sockets(relay) == 2, "no socket is left but the listeners")


def test_authentication_at_one_byte_per_second_times_out(own_relay):
    relay = own_relay({"submission.auth_timeout": "3s"})
    with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as client:
        client.settimeout(1)
        heard, line = b"", iter(b"EHLO client.example\r\n" * 10)
        while True:
            try:
                client.sendall(bytes([next(line)]))
                data = client.recv(65536)
                heard += data
                if not data:
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
    assert mentions(heard, "421 4.4.2 relay.example.com ", " 3 s ", "authenticate"), heard


@pytest.mark.skipif(not IS_FULL, reason="takes the minute over which the speed of a message is measured")
def test_a_client_sending_data_at_one_byte_per_second_is_disconnected(own_relay):
    relay = own_relay()
    key = relay.create_key()
    visitor = Visitor(relay, "smtps")
    for piece in dialogue(key, "slow", b"")[:-3]:
        visitor.say(piece)
    visitor.socket.settimeout(1)
    end = time.monotonic() + 2 * DEADLINE
    while time.monotonic() < end:
        try:
            visitor.socket.sendall(b"x")
            if reply := visitor.socket.recv(65536):
                break
        except TimeoutError:
            continue
    assert reply.startswith(b"421 4.4.2 relay.example.com ") and mentions(reply, "500 octets a second"), reply
    relay.wait_until(lambda: sockets(relay) == 2, "no socket is left but the listeners")
