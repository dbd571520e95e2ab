"""SES does not answer, sends half an answer, can't be found, or does not use TLS. No message is lost or fails because of that."""

import socket
import ssl
import threading

import pytest

from relay import DEADLINE, free_port, self_signed
from ses import CREDENTIALS, REGION
from ses_standin import NEVER, SESStandIn
from sizes import IS_FULL
from submit import submit

MESSAGE = b"From: from@example.com\r\nSubject: weather\r\n\r\nbody\r\n"


def settings(url):
    return {"ses.region": REGION, "ses.endpoint": url, "delivery.retry_first": "1s"}


def delivery(relay, message_id):
    return relay.message(message_id)["deliveries"][0]


class Impostor:
    """Listens where SES should be, and handles each connection with `behave`."""

    def __init__(self, behave, port=0):
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # `close` alone would not wake the thread that waits in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    self._behave(connection)
                except OSError:
                    pass


def after_request(answer):
    def behave(connection):
        # The whole request is read, because unread octets would turn the close into a reset.
        connection.settimeout(0.5)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            pass
        connection.sendall(answer)
    return behave


HALF_ANSWERS = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half the fields": b"HTTP/1.1 200 OK\r\nContent-Type: applica",
    "half the body": b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"MessageId":',
    "no HTTP": b"220 smtp.example.com ESMTP\r\n",
    "an endless line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000,
}


@pytest.mark.parametrize("answer", HALF_ANSWERS.values(), ids=HALF_ANSWERS)
def test_a_truncated_ses_answer_is_retried_as_a_possible_duplicate(own_relay, answer):
    port = free_port()
    with Impostor(after_request(answer), port):
        relay = own_relay(settings(f"http://127.0.0.1:{port}"), CREDENTIALS)
        message_id = submit(relay, relay.create_key("live"), MESSAGE)
        relay.wait_until(lambda: delivery(relay, message_id)["history"], "a first try")
    with SESStandIn(port) as ses:
        relay.wait_for_state(message_id, "sent")
        assert ses.count("weather") == 1
    # SES may have accepted the message, so the message may have been sent twice. The record says that.
    assert delivery(relay, message_id)["maybe_duplicate"]
    assert delivery(relay, message_id)["history"][0]["outcome"] == "retry"


@pytest.mark.skipif(not IS_FULL, reason="takes as long as the relay waits for an answer")
def test_a_missing_ses_answer_times_out_and_is_retried(own_relay):
    with SESStandIn() as ses:
        ses.script.append(NEVER)
        relay = own_relay(settings(ses.url), CREDENTIALS)
        key = relay.create_key("live")
        message_id = submit(relay, key, MESSAGE)
        relay.wait_until(lambda: ses.count("weather"), "SES is called")
        # Other messages are sent meanwhile.
        other = submit(relay, key, MESSAGE.replace(b"weather", b"other"))
        relay.wait_for_state(other, "sent")
        # The relay waits for an answer for a minute.
        relay.wait_until(lambda: delivery(relay, message_id)["history"], "the wait for an answer ends", 2 * DEADLINE)
        relay.wait_for_state(message_id, "sent")
        assert ses.count("weather") == 2
        assert delivery(relay, message_id)["maybe_duplicate"]
        assert delivery(relay, message_id)["history"][0]["reason"].startswith("timeout")


def test_an_untrusted_ses_certificate_gets_neither_message_nor_signature(own_relay, tmp_path):
    certificate, key = self_signed(tmp_path, "impostor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard = []

    def behave(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            heard.append(secure.recv(65536))

    with Impostor(behave) as impostor:
        relay = own_relay(settings(f"https://127.0.0.1:{impostor.port}"), CREDENTIALS)
        message_id = submit(relay, relay.create_key("live"), MESSAGE)
        relay.wait_until(lambda: len(delivery(relay, message_id)["history"]) > 1, "a second try")
    found = delivery(relay, message_id)
    assert found["history"][0]["outcome"] == "retry" and "TLS" in found["reason"]
    # The impostor received neither the message nor a signature.
    assert not any(heard)
    assert not found["maybe_duplicate"]


@pytest.mark.parametrize("behave", [
    lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    lambda connection: connection.recv(3),
], ids=["no TLS", "closed in the handshake"])
def test_a_failed_tls_handshake_with_ses_is_retried(own_relay, behave):
    with Impostor(behave) as impostor:
        relay = own_relay(settings(f"https://127.0.0.1:{impostor.port}"), CREDENTIALS)
        message_id = submit(relay, relay.create_key("live"), MESSAGE)
        relay.wait_until(lambda: len(delivery(relay, message_id)["history"]) > 1, "a second try")
    found = delivery(relay, message_id)
    assert found["history"][0]["outcome"] == "retry"
    assert not found["maybe_duplicate"]


def test_an_unresolvable_ses_host_name_is_retried(own_relay):
    relay = own_relay(settings("http://ses.invalid:8080"), CREDENTIALS)
    live, test = relay.create_key("live"), relay.create_key("test")
    message_id = submit(relay, live, MESSAGE)
    relay.wait_until(lambda: delivery(relay, message_id)["history"], "a first try")
    found = delivery(relay, message_id)
    assert found["history"][0]["outcome"] == "retry" and found["reason"].startswith("connection-failed: ")
    assert not found["maybe_duplicate"]
    # Messages of test keys are not affected, and the relay stops as usual.
    relay.wait_for_state(submit(relay, test, MESSAGE), "simulated")
    assert relay.stop() == 0
