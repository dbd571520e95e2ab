"""Clients that begin TLS where commands are expected, or send commands where TLS is expected. The log says which port to use."""

import re
import socket
import ssl

import pytest

from relay import DEADLINE


def line(relay, text):
    return relay.wait_until(lambda: next((line for line in relay.log if text in line), None), text)


def offer(logged):
    """For which of the two, STARTTLS or TLS, the line names a port."""
    return re.search(r"\b(STARTTLS|TLS)\b(?:(?!TLS).)*? port \d", logged)[1]


def test_tls_on_a_starttls_port(own_relay):
    relay = own_relay()
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", relay.ports["smtp"]), timeout=DEADLINE) as raw:
            context.wrap_socket(raw, server_hostname="localhost")
    logged = line(relay, "TLS handshake where an SMTP command was expected, connection closed")
    assert offer(logged) == "TLS" and "notice" in logged
    assert "line-ending" not in relay.log_text()


def test_a_command_on_a_tls_port(own_relay):
    relay = own_relay()
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as raw:
        raw.sendall(b"EHLO client\r\n")
        while raw.recv(1000):
            pass
    logged = line(relay, "connection failed")
    assert "not TLS" in logged and offer(logged) == "STARTTLS"


def test_a_client_that_waits_for_a_greeting_on_a_tls_port(own_relay):
    relay = own_relay({"submission.auth_timeout": "1s"})
    with socket.create_connection(("127.0.0.1", relay.ports["smtps"]), timeout=DEADLINE) as raw:
        assert raw.recv(1000) == b""
    logged = line(relay, "timed out")
    assert "waited_for=handshake" in logged and offer(logged) == "STARTTLS"
