"""Plays the dialogues of the folder `dialogues` with a relay over real connections, and compares the replies.

A dialogue is a text file of lines:

    # …              a comment
    @set NAME VALUE  starts a relay for this dialogue alone, with this setting; VALUE is JSON
    @key NAME …      creates a key with these options of `keys create`; later, {NAME} is the key and {NAME.id} its id
    @unknown NAME    makes a key of the right form that no relay issued
    @run …           runs a command of the relay, which must succeed
    @check NAME …    runs `keys check` with this key (or with a text in quotes); the next refusal must have the reason word
                     that `keys check` printed
    @connect KIND    connects to smtp (STARTTLS) or smtps; the previous connection is closed
    @tls             does the TLS handshake after the reply to STARTTLS
    @auth NAME       sends AUTH PLAIN with this key; the reply must be 235
    @another KIND    connects as @connect does, but the previous connection stays open
    @many N          sends N octets of text, in lines
    @long N          sends one line of N octets
    @repeat N TEXT   sends one line N times: the words of TEXT with one blank between them (escapes and {…} are not replaced)
    @id NAME TEXT    the next reply must begin with TEXT; the rest of that reply is stored as {NAME}
    @other NAME TEXT the next reply must begin with TEXT; the rest must differ from {NAME}
    @close           the relay must close the connection now
    C: TEXT          sends a line; \\r \\n \\0 \\t and \\xNN are octets, {…} is replaced, CRLF is added
    C= TEXT          sends the text without CRLF
        S: TEXT          the next reply line must be this text, in which … matches any text. The wording of replies is no contract,
                         so a dialogue has the codes, the reason word, and the facts that the sentence must name
    S~ TEXT          the next reply line must match this regular expression

In the text of C: and C=, {plain USER KEY} is the response of AUTH PLAIN, and {base64 TEXT} is TEXT in base64.
"""

import base64
import json
import re
import secrets
import shlex
import socket
import ssl
import zlib
from pathlib import Path

import pytest

from relay import DEADLINE, key_id

DIALOGUES = sorted((Path(__file__).parent / "dialogues").glob("*.txt"))


BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def unissued_key():
    text = "hk_test_" + "".join(secrets.choice(BASE62) for _ in range(34))
    value, check = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        check = BASE62[digit] + check
    return text + check


class Player:
    def __init__(self, relay):
        self.relay = relay
        self.keys = {}
        self.others = []
        self.socket = None
        self.buffer = b""
        self.expected_reason = None

    def connect(self, kind):
        if self.socket is not None:
            self.socket.close()
        self.socket = socket.create_connection(("127.0.0.1", self.relay.ports[kind]), timeout=DEADLINE)
        self.buffer = b""
        if kind == "smtps":
            self.tls()

    def tls(self):
        assert self.buffer == b"", "plain text after the reply to STARTTLS"
        context = ssl.create_default_context(cafile=str(self.relay.certificate))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def line(self):
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, f"the relay closed the connection; before that: {self.buffer!r}"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("ascii")

    def substitute(self, text):
        def value(match):
            words = match[1].split(" ")
            if words[0] == "plain":
                key = self.keys.get(words[2], words[2])
                return base64.b64encode(f"\0{words[1]}\0{key}".encode()).decode()
            if words[0] == "base64":
                text = match[1][len("base64 "):]
                return base64.b64encode(self.keys.get(text, text).encode()).decode()
            if words[0].endswith(".id"):
                return key_id(self.keys[words[0][:-3]])
            return self.keys[words[0]]
        return re.sub(r"\{([a-z][^{}]*)\}", value, text)

    def octets(self, text):
        return re.sub(
            rb"\\(x[0-9a-fA-F]{2}|[rnt0\\])",
            lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" else
            {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}[m[1]],
            self.substitute(text).encode())

    def directive(self, words):
        name, arguments = words[0], words[1:]
        if name == "key":
            options = [self.substitute(word) for word in arguments[1:]]
            if "--scope" not in options and "--no-scope" not in options:
                options += ["--scope", "email:send"]
            options = [o for o in options if o != "--no-scope"]
            environment = [] if "--environment" in options else ["--environment", "test"]
            self.keys[arguments[0]] = self.relay.run(
                "keys", "create", "--name", arguments[0], *environment, *options).stdout.strip()
        elif name == "unknown":
            self.keys[arguments[0]] = unissued_key()
        elif name == "run":
            self.relay.run(*[self.substitute(word) for word in arguments])
        elif name == "check":
            key = self.keys.get(arguments[0], arguments[0])
            result = self.relay.run("keys", "check", key, *arguments[1:], "--json", check=False)
            self.expected_reason = json.loads(result.stdout)["reason"]
            assert result.returncode == (1 if self.expected_reason else 0)
        elif name == "connect":
            self.connect(arguments[0])
        elif name == "another":
            self.others.append(self.socket)
            self.socket = None
            self.connect(arguments[0])
        elif name in ("id", "other"):
            reply, start = self.line(), " ".join(arguments[1:]) + " "
            assert reply.startswith(start), reply
            if name == "id":
                self.keys[arguments[0]] = reply[len(start):]
            else:
                assert reply[len(start):] != self.keys[arguments[0]], "queued as a repeat"
        elif name == "many":
            self.send((b"x" * 62 + b"\r\n") * (int(arguments[0]) // 64))
        elif name == "long":
            self.send(b"x" * int(arguments[0]) + b"\r\n")
        elif name == "repeat":
            self.send((" ".join(arguments[1:]).encode() + b"\r\n") * int(arguments[0]))
        elif name == "tls":
            self.tls()
        elif name == "auth":
            self.send(self.octets("AUTH PLAIN {plain apikey %s}" % arguments[0]) + b"\r\n")
            assert self.line() == "235 2.7.0 Authentication successful"
        elif name == "close":
            assert self.buffer == b"", f"the relay sent more: {self.buffer!r}"
            try:
                assert self.socket.recv(100) == b""
            except (ConnectionResetError, ssl.SSLEOFError):
                pass  # A reset closes the connection too.
        else:
            raise AssertionError(f"unknown directive @{name}")

    def send(self, data):
        self.socket.sendall(data)

    def play(self, line):
        if line.startswith("@"):
            return self.directive(shlex.split(line[1:]))
        kind, rest = line[:2], line[3:]
        if kind == "C:":
            return self.send(self.octets(rest) + b"\r\n")
        if kind == "C=":
            return self.send(self.octets(rest))
        reply = self.line()
        if kind == "S:":
            assert matches(reply, self.substitute(rest)), f"{reply!r}"
        elif kind == "S~":
            assert re.fullmatch(rest, reply), f"{reply!r} is not {rest!r}"
        else:
            raise AssertionError(f"what is this: {line!r}")
        if self.expected_reason is not None and reply[0] in "45":
            assert reply.endswith(f"[{self.expected_reason}]"), f"keys check says {self.expected_reason}"
            self.expected_reason = None


def matches(reply, pattern):
    """Whether a reply line matches the pattern, in which … stands for one octet or more."""
    return re.fullmatch(".+".join(map(re.escape, pattern.split("…"))), reply) is not None


@pytest.mark.parametrize(("pattern", "is_match"), [
    ("250 2.1.0 Ok", False), ("553 … example.net … [sender-domain]", True), ("553 … example.org … [sender-domain]", False),
    ("553 … example.net … [header-domain]", False), ("553 … example.net…", True), ("553 … example.net … [sender-domain]…", False)])
def test_what_a_pattern_matches(pattern, is_match):
    assert matches("553 Not from example.net here [sender-domain]", pattern) == is_match


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path, own_relay, relay):
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    settings = {}
    for line in lines:
        if line.startswith("@set "):
            _, name, value = line.split(" ", 2)
            settings[name] = json.loads(value)
    player = Player(own_relay(settings) if settings else relay)
    for number, line in enumerate(lines, 1):
        if line.startswith("@set "):
            continue
        try:
            player.play(line)
        except Exception as error:
            raise AssertionError(f"{path.name}, at '{line}': {error}") from error


def test_every_reason_word_has_a_test_that_provokes_it():
    """For each reason word that README lists, a dialogue gets a reply with it from a real connection, or a test named here does."""
    elsewhere = {
        "storage",  # faults/test_storage.py, because it needs a full disk
    }
    # Reason words of requests over HTTP, which test_http.py tests.
    elsewhere |= {"idempotency-mismatch", "bad-request", "not-found", "method-not-allowed", "timeout", "conflict",
                  "unsupported-media-type", "header-fields"}
    elsewhere |= {"complaint"}  # test_suppressions.py
    elsewhere |= {"template-variables"}  # test_templates.py
    elsewhere |= {"ses", "domain-limit", "busy"}  # test_domains.py, HTTPServerTests
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.partition("## When a message is refused")[2].partition("\n## ")[0]
    words = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M))
    assert len(words) > 15
    played = "\n".join(path.read_text() for path in DIALOGUES)
    provoked = set(re.findall(r"\[([a-z-]+)\\?\]$", played, re.M))
    assert words - elsewhere <= provoked, f"not provoked: {words - elsewhere - provoked}"
