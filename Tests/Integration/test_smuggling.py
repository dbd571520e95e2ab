"""Commands where they do not belong, on real connections. They follow octets that other servers take for the end of the data, or
follow STARTTLS, or are in an HTTP request. Another test sends a key in plain text."""

import base64
import socket
import ssl

import pytest

from relay import DEADLINE, key_id

LINE_ENDING = "550 5.6.11"
TAKEN = "250 2.0.0"

# Octets that servers have taken for the end of the data (CVE-2023-51764, -51765, -51766 and later findings), and octets that look
# like it. Each has the relay's reply to the message after the real end, CRLF.CRLF.
ENDS = {
    "LF.LF": (b"\n.\n", LINE_ENDING),
    "LF.CRLF": (b"\n.\r\n", LINE_ENDING),
    "CRLF.LF": (b"\r\n.\n", LINE_ENDING),
    "CR.CR": (b"\r.\r", LINE_ENDING),
    "CR.CRLF": (b"\r.\r\n", LINE_ENDING),
    "CRLF.CR": (b"\r\n.\r", LINE_ENDING),
    "CR.LF": (b"\r.\n", LINE_ENDING),
    "LF.CR": (b"\n.\r", LINE_ENDING),
    "CRLF.CRCRLF": (b"\r\n.\r\r\n", LINE_ENDING),
    "CRLF.LFCRLF": (b"\r\n.\n\r\n", LINE_ENDING),
    "LFLF.CRLF": (b"\n\n.\r\n", LINE_ENDING),
    "LFCR.LFCR": (b"\n\r.\n\r", LINE_ENDING),
    "CRLF.NUL CRLF": (b"\r\n.\0\r\n", LINE_ENDING),
    "CRLF NUL.CRLF": (b"\r\n\0.\r\n", LINE_ENDING),
    "CRLF.CR NUL LF": (b"\r\n.\r\0\n", LINE_ENDING),
    "CR NUL LF.CRLF": (b"\r\0\n.\r\n", LINE_ENDING),
    "CRLF. CRLF": (b"\r\n. \r\n", TAKEN),
    "CRLF .CRLF": (b"\r\n .\r\n", TAKEN),
    "CRLF.TAB CRLF": (b"\r\n.\t\r\n", TAKEN),
    "CRLF..CRLF": (b"\r\n..\r\n", TAKEN),
    "NEL.NEL": (b"\xc2\x85.\xc2\x85", TAKEN),
    "LS.LS": (b"\xe2\x80\xa8.\xe2\x80\xa8", TAKEN),
    "VT.VT": (b"\x0b.\x0b", TAKEN),
    "FF.FF": (b"\x0c.\x0c", TAKEN),
    "encoded": (b"=0D=0A.=0D=0A%0D%0A.%0D%0A\\r\\n.\\r\\n", TAKEN),
}
HEADER = b"From: from@example.com\r\nSubject: smuggling\r\n\r\nbefore"
SMUGGLED = (b"MAIL FROM:<smuggled@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n"
            b"From: smuggled@example.com\r\n\r\nsmuggled")
PLAIN = b"AUTH PLAIN " + base64.b64encode(b"\0apikey\0guess")


class Connection:
    """A connection on which the test decides about the TLS records, and about the pieces in which they arrive."""

    def __init__(self, relay, kind):
        self.socket = socket.create_connection(("127.0.0.1", relay.ports[kind]), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.certificate = relay.certificate
        self.tls = None
        self.text = b""
        if kind == "smtps":
            self.handshake()

    def handshake(self):
        context = ssl.create_default_context(cafile=str(self.certificate))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        while True:
            try:
                self.tls.do_handshake()
                return self.flush()
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.receive())

    def flush(self, piece=None):
        ciphertext = self.outgoing.read()
        for start in range(0, len(ciphertext), piece or len(ciphertext) or 1):
            self.socket.sendall(ciphertext[start:start + (piece or len(ciphertext))])

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.text)
        return data

    def send(self, *records, piece=None):
        """Sends each record as a TLS record, or without TLS as a segment. `piece`: the octets in each piece of a TLS record."""
        for record in records:
            if self.tls is None:
                self.socket.sendall(record)
            elif record:
                self.tls.write(record)
                self.flush(piece)

    def line(self):
        while b"\r\n" not in self.text:
            if self.tls is None:
                self.text += self.receive()
                continue
            try:
                data = self.tls.read(65536)
                if not data:
                    raise EOFError(self.text)
                self.text += data
            except ssl.SSLWantReadError:
                self.incoming.write(self.receive())
        line, _, self.text = self.text.partition(b"\r\n")
        return line.decode("ascii")

    def reply(self):
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def say(self, line):
        self.send(line + b"\r\n")
        return self.reply()

    def rest(self):
        """The lines up to the end of the connection."""
        lines = []
        try:
            while True:
                lines.append(self.line())
        except (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return lines

    def close(self):
        self.socket.close()


@pytest.fixture(scope="module")
def key(relay):
    return relay.create_key(per_second=1_000_000)


def signed_in(relay, key):
    connection = Connection(relay, "smtps")
    assert connection.reply().startswith("220 ")
    assert connection.say(b"EHLO client.example").startswith("250 ")
    plain = base64.b64encode(b"\0apikey\0" + key.encode())
    assert connection.say(b"AUTH PLAIN " + plain).startswith("235 ")
    return connection


def submit(connection, *records, piece=None):
    connection.send(b"MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n")
    assert [connection.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    connection.send(*records, piece=piece)
    return connection.reply()


def ways(before, end, after):
    """Ways to send the same octets. Each way is a list of records and a size for the pieces of each record.

    One record. Two records, cut at each octet of `end`. A record for each octet of `end`. One record in pieces.
    """
    whole = before + end + after
    yield [whole], None
    for cut in range(len(before), len(before) + len(end) + 1):
        yield [whole[:cut], whole[cut:]], None
    yield [before, *[end[i:i + 1] for i in range(len(end))], after], None
    yield [whole], 7


@pytest.mark.parametrize("name", ENDS)
def test_nothing_is_smuggled_after_a_false_end_of_data(relay, key, name):
    end, answer = ENDS[name]
    connection = signed_in(relay, key)
    after = SMUGGLED + b"\r\n.\r\n"
    for records, piece in ways(HEADER, end, after):
        reply = submit(connection, *records, piece=piece)
        assert reply.startswith(answer), (reply, records)
        # The message gets exactly one reply. The next reply is that to the next command.
        assert connection.say(b"NOOP") == "250 2.0.0 Ok"
    connection.close()
    if answer == TAKEN:
        body = relay.raw(reply.split()[-1]).partition(b"\r\n\r\n")[2]
        assert body == b"before" + end.replace(b"\r\n.", b"\r\n", 1) + SMUGGLED + b"\r\n"


@pytest.mark.parametrize(("end", "answer"), [(b"\r\n.\r\n", TAKEN), (b"\r\r\n.\r\n", LINE_ENDING)])
def test_the_end_of_data_is_recognized_however_it_is_split(relay, key, end, answer):
    """The octets after the end of the data are a command."""
    connection = signed_in(relay, key)
    for records, piece in ways(HEADER, end, b"NOOP\r\n"):
        assert submit(connection, *records, piece=piece).startswith(answer)
        assert connection.reply() == "250 2.0.0 Ok"
    connection.close()


def test_no_smuggled_message_was_queued(relay, key):
    """Checks the envelopes of all messages that the tests above have sent."""
    messages = relay.json("messages", "list", "--key", key_id(key), "--limit", "1000")
    assert len(messages) > 50
    assert {message["from"] for message in messages} == {"from@example.com"}
    assert {tuple(message["recipients"]) for message in messages} == {("to@example.net",)}


INJECTED = b"EHLO injected\r\n" + PLAIN + b"\r\n" + SMUGGLED + b"\r\n.\r\n"
STARTTLS = b"STARTTLS\r\n"


@pytest.mark.parametrize("cut", range(len(STARTTLS) + 3))
def test_plaintext_after_starttls_is_never_executed(relay, cut):
    """STARTTLS and the octets after it, in two segments that are cut at each octet (CVE-2011-0411 and similar vulnerabilities)."""
    connection = Connection(relay, "smtp")
    assert connection.reply().startswith("220 ")
    whole = STARTTLS + INJECTED
    connection.send(*[part for part in (whole[:cut], whole[cut:]) if part])
    answers = [line for line in connection.rest() if line[:3].isdecimal()]
    assert [answer[:10] for answer in answers] in ([], ["220 2.0.0 "])


def test_starttls_resets_the_session(relay, key):
    connection = Connection(relay, "smtp")
    assert connection.reply().startswith("220 ")
    assert connection.say(b"EHLO before.example").startswith("250 ")
    assert connection.say(b"STARTTLS").startswith("220 ")
    connection.handshake()
    plain = base64.b64encode(b"\0apikey\0" + key.encode())
    assert connection.say(b"AUTH PLAIN " + plain).startswith("503 ")
    assert connection.say(b"EHLO client.example").startswith("250 ")
    assert connection.say(b"STARTTLS").startswith("503 ")
    assert connection.say(b"AUTH PLAIN " + plain).startswith("235 ")
    connection.close()


@pytest.mark.parametrize("how", ["PLAIN", "PLAIN in two", "LOGIN", "LOGIN inline"])
def test_a_key_in_plain_text_is_refused(relay, key, how):
    """The key is not in the log either."""
    secret = base64.b64encode(key.encode())
    plain = base64.b64encode(b"\0apikey\0" + key.encode())
    lines = {
        "PLAIN": [b"AUTH PLAIN " + plain], "PLAIN in two": [b"AUTH PLAIN", plain],
        "LOGIN": [b"AUTH LOGIN", base64.b64encode(b"apikey"), secret],
        "LOGIN inline": [b"AUTH LOGIN " + base64.b64encode(b"apikey"), secret],
    }[how]
    connection = Connection(relay, "smtp")
    assert connection.reply().startswith("220 ")
    assert connection.say(b"EHLO client.example").startswith("250 ")
    replies = [connection.say(line) for line in lines]
    assert replies[0].startswith("538 5.7.11 ") and replies[0].endswith("[tls-required]")
    assert all(reply.startswith("5") for reply in replies)
    assert connection.say(b"MAIL FROM:<from@example.com>").endswith("[tls-required]")
    connection.close()
    relay.wait_until(lambda: "tls-required" in relay.log_text(), "log lines about the refusals")
    log = relay.log_text()
    assert key not in log and secret.decode() not in log and plain.decode() not in log


REQUESTS = {
    "body": b"POST / HTTP/1.1\r\nHost: relay.example.com:587\r\nContent-Type: text/plain\r\n\r\n",
    "verb in lower case": b"post / HTTP/1.1\r\nHost: relay.example.com\r\n\r\n",
    "simple": b"GET /\r\n",
    "bare LF": b"POST / HTTP/1.1\nHost: relay.example.com\r\n\r\n",
    "longer than a command": b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n",
    "longer than any line": b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n",
    "absolute": b"CONNECT relay.example.com:587 HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_http_request_ends_the_connection(relay, key, kind, name):
    """The request has commands in its body, which a website can make a browser send.

    It is sent whole, and cut after the first line.
    """
    body = b"EHLO browser\r\nAUTH PLAIN " + base64.b64encode(b"\0apikey\0" + key.encode()) + b"\r\n" + SMUGGLED
    first, _, rest = REQUESTS[name].partition(b"\r\n")
    for records in ([REQUESTS[name] + body], [first + b"\r\n", rest + body]):
        connection = Connection(relay, kind)
        assert connection.reply().startswith("220 ")
        try:
            connection.send(*records)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The relay closed the connection before everything was sent.
        assert connection.rest() == []
        connection.close()
