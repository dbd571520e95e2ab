"""Python: email.utils (what most scripts use) and the parser of email.policy.default."""

import email
import email.header
import email.parser
import email.policy
import email.utils
import struct
import sys


def decoded(field):
    return str(email.header.make_header(email.header.decode_header(field)))


def by_utils(field):
    yield email.utils.parseaddr(field)[1]
    for _, address in email.utils.getaddresses([field]):
        yield address
    for part in field.split(","):
        yield email.utils.parseaddr(part)[1]


def by_policy(octets):
    message = email.parser.BytesParser(policy=email.policy.default).parsebytes(octets, headersonly=True)
    for value in message.get_all("from", []):
        for address in value.addresses:
            yield address.addr_spec
            yield f"{address.username}@{address.domain}"


def readings(body):
    octets = b"From: " + body + b"\r\n\r\n"
    raw = email.message_from_bytes(octets)["From"]
    ways = [
        lambda: by_utils(str(raw)),
        lambda: by_utils(decoded(raw)),
        lambda: by_utils(str(email.parser.BytesParser(policy=email.policy.SMTP).parsebytes(octets)["From"])),
        lambda: by_policy(octets),
        lambda: by_policy(b"From: " + decoded(raw).replace("\r", "").replace("\n", "").encode() + b"\r\n\r\n"),
    ]
    for way in ways:
        # A reader may fail at an unknown charset or at malformed text. The addresses that it found before are kept.
        try:
            yield from way()
        except Exception:
            pass


def main():
    source = sys.stdin.buffer
    while prefix := source.read(4):
        (length,) = struct.unpack(">I", prefix)
        found = {address.encode("utf-8", "replace").hex() for address in readings(source.read(length)) if address}
        print(" ".join(sorted(found)))


main()
