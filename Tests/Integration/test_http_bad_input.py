"""A request that is not well formed gets a problem document, or its connection is closed. It queues nothing."""

import contextlib
import json
import signal
import socket
import ssl
import threading

import pytest

from http_api import API, EMAIL, HTTP, raw, read_to_end, taken
from relay import DEADLINE, Relay, key_id
from submit import submit
from wording import mentions, one_mentions

BODY = json.dumps(EMAIL).encode()


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("bad"), {**HTTP, "submission.max_connections_per_client": 1000}).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture
def key(relay):
    """A key for each test, so that all messages of the key come from this test."""
    return relay.create_key(per_second=10000)


def head(key, *fields, method="POST", path="/v1/email/send", version="HTTP/1.1", host="Host: relay"):
    lines = [f"{method} {path} {version}", host, f"Authorization: Bearer {key}", "Content-Type: application/json", *fields]
    return "\r\n".join(line for line in lines if line is not None).encode() + b"\r\n\r\n"


def exchange(relay, octets, end=False):
    """Sends octets, and returns the answer up to the end of the connection."""
    with raw(relay) as connection:
        connection.sendall(octets)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def queued(relay, key):
    return relay.json("messages", "list", "--key", key_id(key))


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("fields, body", [
    ([f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"], CHUNKED),
    (["Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"], CHUNKED),
    ([f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY) + 1}"], BODY),
    ([f"Content-Length: {len(BODY)}, {len(BODY)}"], BODY), ([f"Content-Length: +{len(BODY)}"], BODY),
    ([f"Content-Length: {len(BODY)}x"], BODY), (["Content-Length: -1"], BODY), (["Content-Length: 0x10"], BODY),
    (["Content-Length : 5"], BODY), (["Transfer-Encoding: xchunked"], CHUNKED),
    (["Transfer-Encoding: chunked, identity"], CHUNKED), (["Transfer-Encoding:\x0bchunked"], CHUNKED),
    (["Transfer-Encoding: chunked"], CHUNKED.replace(b"\r\n", b"\n")),
    (["Transfer-Encoding: chunked"], b"-5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked"], b"ffffffffffffffffff\r\nhello"),
    ([f"Content-Length: {len(BODY)}", "X: folded\r\n line"], BODY),
    ([f"Content-Length: {len(BODY)}", "X: a\0b"], BODY), ([f"Content-Length: {len(BODY)}", "no colon"], BODY)])
def test_a_request_that_can_be_read_in_two_ways_is_refused(relay, key, fields, body):
    """Request smuggling: a request that two servers could read differently is refused."""
    behind = head(key, f"Content-Length: {len(BODY)}") + BODY
    answer = exchange(relay, head(key, *fields) + body + behind)
    assert answer.startswith(b"HTTP/1.1 400 ") and b'"code":"bad-request"' in answer, answer
    assert b"\r\nConnection: close\r\n" in answer and answer.count(b"HTTP/1.1 ") == 1
    assert queued(relay, key) == []


@pytest.mark.parametrize("octets", [
    b"GET / HTTP/1.1\nHost: relay\n\n", b"EHLO client\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_input_that_is_not_http_is_refused(relay, octets):
    answer = exchange(relay, octets)
    assert answer.startswith(b"HTTP/1.1 400 ") and b'"code":"bad-request"' in answer, answer


@pytest.mark.parametrize("octets, parts", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ["TLS", "http://"]),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ["PROXY header", "https+proxy://", "http+proxy://", "http.listen"]),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), ["PROXY header", "https+proxy://", "http+proxy://", "http.listen"])],
    ids=["tls", "proxy-1", "proxy-2"])
def test_a_client_of_another_protocol_is_identified_in_the_log(own_relay, octets, parts):
    relay = own_relay(HTTP)
    with raw(relay) as connection:
        connection.sendall(octets)
        assert read_to_end(connection) == b""
    relay.wait_until(lambda: one_mentions(relay.log, "connection failed", *parts), f"{parts} in the log")


@pytest.mark.parametrize("fields", [["X: " + "x" * 40000], [f"X-{i}: x" for i in range(250)]], ids=["long", "many"])
def test_a_header_that_is_too_long(relay, key, fields):
    answer = exchange(relay, head(key, *fields))
    assert answer.startswith(b"HTTP/1.1 431 ") and b'"code":"header-fields"' in answer
    assert mentions(answer, "32 KiB", "200")


@pytest.mark.parametrize("fields, body", [
    (["Content-Length: 1000"], BODY), (["Transfer-Encoding: chunked"], b"5\r\nhel"),
    (["Transfer-Encoding: chunked"], CHUNKED[:-5]), (["Transfer-Encoding: chunked"], CHUNKED[:-2])])
@pytest.mark.parametrize("port", ["http", "https"])
def test_a_truncated_body_is_not_accepted(relay, key, fields, body, port):
    octets = head(key, *fields) + body
    if port == "http":
        answer = exchange(relay, octets, end=True)
    else:
        context = ssl.create_default_context(cafile=str(relay.certificate))
        with raw(relay, "https") as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(octets)
            # `unwrap` says in TLS that nothing more comes, and waits until the relay says the same.
            with contextlib.suppress(OSError):
                connection.unwrap()
            answer = b""
    assert b"HTTP/1.1 200" not in answer
    assert queued(relay, key) == []


def test_a_client_that_half_closes_still_gets_its_answer(relay, key):
    answer = exchange(relay, head(key, f"Content-Length: {len(BODY)}") + BODY, end=True)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(queued(relay, key)) == 1


def test_requests_in_one_segment_are_answered_in_order(relay, key):
    one = head(key, f"Content-Length: {len(BODY)}") + BODY
    last = head(key, "Connection: close", method="GET", path="/v1/email/messages?limit=1")
    answer = exchange(relay, one * 20 + last)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 21 and answer.count(b'"messageId":"msg_') == 21
    ids = [part[:17].decode() for part in answer.split(b'"messageId":"')[1:]]
    assert ids[:20] == sorted(ids[:20]) and ids[20] == ids[19]


def test_the_connection_is_closed_after_an_http_1_0_request(relay, key):
    answer = exchange(relay, head(key, f"Content-Length: {len(BODY)}", version="HTTP/1.0") + BODY)
    assert b" 200 OK\r\n" in answer and len(queued(relay, key)) == 1


@pytest.mark.parametrize("fields", [
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"], ["Upgrade: websocket"]])
def test_an_upgrade_request_is_answered_and_the_connection_is_closed(relay, key, fields):
    """The relay reads nothing after such a request. So it closes the connection after the answer."""
    answer = exchange(relay, head(key, f"Content-Length: {len(BODY)}", *fields) + BODY)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nConnection: close\r\n" in answer
    assert len(queued(relay, key)) == 1


def test_chunked_encoding_is_refused_in_http_1_0(relay, key):
    answer = exchange(relay, head(key, "Transfer-Encoding: chunked", version="HTTP/1.0") + CHUNKED)
    assert b" 400 " in answer and queued(relay, key) == []


@pytest.mark.parametrize("length", ["9999999999999999999", "99999999999999999999999999"])
def test_a_content_length_that_overflows_is_refused(relay, key, length):
    answer = exchange(relay, head(key, f"Content-Length: {length}", "Expect: 100-continue"))
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 ")), answer


def test_answers_to_a_client_that_reads_nothing_are_bounded(relay, key):
    """The relay answers the next request only when the client has read the answer before."""
    with raw(relay) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 3_000_000:
                sent += connection.send(b"GET /v1/openapi.json HTTP/1.1\r\nHost: relay\r\n\r\n" * 100)
        assert sent < 3_000_000
    with API(relay, key) as api:
        taken(api.send())


def test_a_request_sent_octet_by_octet_is_accepted(relay, key):
    with raw(relay) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in head(key, "Connection: close", f"Content-Length: {len(BODY)}") + BODY:
            connection.sendall(bytes([octet]))
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_without_content_length_is_refused(relay, key):
    answer = exchange(relay, head(key) + BODY)
    # Without a length, the request has no body. The octets that follow are read as another request, which is not well formed.
    assert answer.startswith(b"HTTP/1.1 400 ") and queued(relay, key) == []


@pytest.mark.parametrize("text", [
    "[" * 100_000, '{"a":' * 50_000, '{"to": [' + '"a@example.net",' * 200_000 + '"b@example.net"]}',
    json.dumps({**EMAIL, **{f"x{i}": 1 for i in range(50_000)}}),
    '{"from": "a@example.com", "fro\\u006d": "b@example.com"}', json.dumps({**EMAIL, "text": {"a": 1}}),
    json.dumps({**EMAIL, "to": [[["a@example.net"]]]}), json.dumps([EMAIL]), "null", "1e400", '"x"'],
    ids=["arrays", "objects", "recipients", "unknown", "repeated", "type", "nested", "array", "null", "number", "string"])
def test_hostile_json_documents_are_refused(relay, key, text):
    with API(relay, key) as api:
        answer = api.send(text)
        assert answer.status in (400, 422) and answer.code in ("invalid", "recipients"), answer
        assert len(answer.octets) < 65536
        assert queued(relay, key) == []
        # The connection can still be used.
        taken(api.send())


@pytest.mark.parametrize("field", ["from", "to", "reply_to", "subject", "headers", "name", "filename", "content_type", "content_id"])
@pytest.mark.parametrize("octets", ["\r\nBcc: x@example.net", "\n.\r\n", "\r", "\0", "\u2028", "\x85"])
def test_nothing_is_injected_into_a_header(relay, key, field, octets):
    evil = f"a{octets}b"
    email = dict(EMAIL)
    attachment = {"filename": "a.txt", "content": "aGk="}
    match field:
        case "from" | "to" | "reply_to": email[field] = f"{evil} <a@example.com>"
        case "subject": email["subject"] = evil
        case "headers": email["headers"] = {"X-Test": evil}
        case "name": email["headers"] = {f"X-{evil}": "a"}
        case _: email["attachments"] = [{**attachment, field: evil}]
    with API(relay, key) as api:
        answer = api.send(email)
    if octets in "\r\0" or "\n" in octets:
        assert answer.status == 422, answer
    if answer.status == 200:
        header = relay.raw(answer.json["messageId"]).split(b"\r\n\r\n")[0]
        assert b"\nBcc" not in header and b"\x85" not in header.replace("\x85".encode(), b"")
        assert header.isascii()


def test_idle_connections_above_the_limit_are_closed(own_relay):
    relay = own_relay({**HTTP, "submission.max_connections": 200, "submission.max_connections_per_client": 200})
    key = relay.create_key()
    connections = []
    try:
        for _ in range(300):
            connections.append(socket.create_connection(("127.0.0.1", relay.ports["http"]), timeout=DEADLINE))
        # The connections above the limit are closed. The others stay open.
        closed = [c for c in connections[200:] if read_to_end(c) == b""]
        assert len(closed) == 100
    finally:
        for connection in connections:
            connection.close()

    def works():
        try:
            with API(relay, key) as api:
                return api.send().status == 200
        except OSError:
            return False

    relay.wait_until(works, "room for another connection")


def test_http_and_smtp_share_the_connection_limit(own_relay):
    relay = own_relay({**HTTP, "submission.max_connections_per_client": 2})
    key = relay.create_key()
    with API(relay, key) as first, API(relay, key) as second:
        taken(first.send())
        taken(second.send())
        with pytest.raises(Exception):
            submit(relay, key, b"From: a@example.com\r\n\r\n\r\n")


def refuses_connections(relay):
    try:
        with raw(relay):
            pass
    except ConnectionRefusedError:
        return True
    # A client that connects while the listener closes gets a reset.
    except ConnectionResetError:
        pass
    return False


def test_a_shutdown_completes_requests_in_progress(own_relay):
    """A request that has begun is answered. An idle connection is closed. No email that was answered with 200 is lost."""
    relay = own_relay(HTTP)
    key = relay.create_key(per_second=10000)
    with raw(relay) as connection, API(relay, key) as idle:
        taken(idle.send())
        octets = head(key, f"Content-Length: {len(BODY)}") + BODY
        connection.sendall(octets[:-10])
        stopping = threading.Thread(target=relay.stop, args=(signal.SIGTERM,))
        stopping.start()
        relay.wait_until(lambda: refuses_connections(relay), "the listener is closed")
        connection.sendall(octets[-10:])
        answer = read_to_end(connection)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        stopping.join()
    assert len(relay.json("messages", "list", "--key", key_id(key))) == 2
