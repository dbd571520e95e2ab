"""Python: the parser of email.policy.default. email.utils with email.header must agree with it."""

import email
import email.header
import email.policy
import email.utils
import hashlib
import json
import struct
import sys


def old_text(value):
    return str(email.header.make_header(email.header.decode_header(value)))


def addresses(new, old, name):
    found = [[a.display_name, a.addr_spec] for value in new.get_all(name, []) for a in value.addresses]
    raw = [str(value).replace("\r\n", "") for value in old.get_all(name, [])]
    by_utils = [[old_text(n), a] for n, a in email.utils.getaddresses(raw)]
    # Contrary to RFC 2047 section 6.2, the policy's parser keeps the blank between two encoded words of a name. email.utils
    # turns several blanks into one. So the names are compared without blanks.
    def solid(pairs):
        return [["".join(name.split()), address] for name, address in pairs]

    assert solid(found) == solid(by_utils), (found, by_utils)
    return by_utils


def visit(part, around):
    types = around + [part.get_content_type()]
    if part.is_multipart():
        for inner in part.iter_parts():
            yield from visit(inner, types)
        return
    yield {
        "types": " ".join(types),
        "disposition": part.get_content_disposition() or "",
        "filename": part.get_filename() or "",
        "id": str(part["Content-ID"] or ""),
        "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest(),
    }


def defects(part):
    yield from part.defects
    for value in part.values():
        yield from value.defects
    for inner in part.iter_parts() if part.is_multipart() else []:
        yield from defects(inner)


def read(octets):
    new = email.message_from_bytes(octets, policy=email.policy.default)
    old = email.message_from_bytes(octets)
    assert not list(defects(new)), list(defects(new))
    subject = str(new["Subject"])
    assert old_text(old["Subject"].replace("\r\n", "")) == subject
    return {
        "subject": subject,
        "note": str(new["X-Note"] or ""),
        "from": addresses(new, old, "From"),
        "to": addresses(new, old, "To"),
        "cc": addresses(new, old, "Cc"),
        "reply_to": addresses(new, old, "Reply-To"),
        "parts": list(visit(new, [])),
    }


def main():
    source = sys.stdin.buffer
    while prefix := source.read(4):
        (length,) = struct.unpack(">I", prefix)
        print(json.dumps(read(source.read(length))))


main()
