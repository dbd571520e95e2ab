"""The tests' own DNS server at a loopback address, and relays whose resolver asks it.

Its port is 53, because /etc/resolv.conf can't name another port. Tests that use it therefore need root.
"""

import contextlib
import itertools
import os
import socket
import socketserver
import struct
import threading

import pytest

TYPES = {"CNAME": 5, "MX": 15, "TXT": 16}
NO_SUCH_NAME, SERVER_FAILURE = 3, 2

_numbers = itertools.count(1)


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def _data(type_, value):
    if type_ == "CNAME":
        return _name(value)
    if type_ == "MX":
        preference, host = value.split(" ")
        return struct.pack(">H", int(preference)) + _name(host)
    octets = value.encode()
    return b"".join(bytes([len(part)]) + part for part in (octets[i:i + 255] for i in range(0, len(octets), 255) or [0]))


class DNS:
    """`records`: lists of values by (name in lower case, type). Queries for the names in `failing` are answered with SERVFAIL."""

    def __init__(self):
        self.records, self.failing, self.asked = {}, set(), []

    def set(self, type_, name, *values):
        self.records[name.lower(), type_] = list(values)

    def set_all(self, domain):
        """Sets the records of a domain, with the values that the API's document about the domain gives."""
        for record in domain["records"]:
            self.set(record["type"], record["name"], record["value"])

    def answer(self, query, limit=None):
        """The response to a query. `limit`: the most octets that a response over UDP may have."""
        end, labels = 12, []
        while query[end]:
            labels.append(query[end + 1:end + 1 + query[end]].decode())
            end += query[end] + 1
        name = ".".join(labels).lower()
        type_ = next((word for word, number in TYPES.items() if number == struct.unpack(">H", query[end + 1:end + 3])[0]), None)
        self.asked.append((name, type_))
        values = self.records.get((name, type_), [])
        known = any(one == name for one, _ in self.records)
        code = SERVER_FAILURE if name in self.failing else 0 if known else NO_SUCH_NAME
        body = query[12:end + 5]
        for value in values:
            data = _data(type_, value)
            body += b"\xc0\x0c" + struct.pack(">HHIH", TYPES[type_], 1, 60, len(data)) + data
        flags = 0x8180 | code
        if limit and len(body) + 12 > limit:
            return query[:2] + struct.pack(">HHHHH", flags | 0x0200, 1, 0, 0, 0) + query[12:end + 5]
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(values), 0, 0) + body


@contextlib.contextmanager
def serving():
    """Yields a DNS whose `prefix` starts a program that asks this DNS."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for port 53")
    dns = DNS()

    class Datagrams(socketserver.BaseRequestHandler):
        def handle(self):
            query, channel = self.request
            channel.sendto(dns.answer(query, 512), self.client_address)

    class Streams(socketserver.BaseRequestHandler):
        def handle(self):
            length = self.request.recv(2, socket.MSG_WAITALL)
            if len(length) == 2:
                answer = dns.answer(self.request.recv(struct.unpack(">H", length)[0], socket.MSG_WAITALL))
                self.request.sendall(struct.pack(">H", len(answer)) + answer)

    # Each test's server has an address of its own, because tests run at the same time.
    number = os.getpid() % 200
    address = f"127.53.{number}.{next(_numbers) % 250 + 1}"
    with contextlib.ExitStack() as stack:
        for kind, handler in ((socketserver.ThreadingUDPServer, Datagrams), (socketserver.ThreadingTCPServer, Streams)):
            server = stack.enter_context(kind((address, 53), handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        dns.prefix = [
            "unshare", "--mount", "sh", "-c",
            f"echo 'nameserver {address}' > \"$0\" && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]
        yield dns


def asks(relay, dns):
    """Makes this relay's process ask the DNS `dns`."""
    relay.prefix = [*dns.prefix, str(relay.directory / "resolv.conf")]
    return relay
