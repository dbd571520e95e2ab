"""Reads messages with Python's email package. The tests compare the result with the relay's result.

Input: messages, each after its length in four octets, big-endian. Output: a line of JSON for each message.
"""

import base64
import email
import email.errors
import email.header
import json
import quopri
import re
import struct
import sys

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Control characters, line separators, and characters that change the direction of text. Fields show U+FFFD in their place.
HIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# Charsets whose C1 control characters do not occur in text. The WHATWG Encoding Standard reads both as windows-1252.
SAME = {"iso-8859-1": "cp1252", "latin1": "cp1252"}
KNOWN = {"utf-8", "cp1252", "windows-1252", "iso-8859-15", "iso-8859-2", "windows-1250", "windows-1251", "koi8-r"}
GUESSED = {"us-ascii", "ascii", "utf8"}


def text_of(octets, charset):
    charset = (charset or "us-ascii").lower()
    charset = SAME.get(charset, charset)
    if charset in KNOWN:
        return octets.decode(charset, "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        # A message may be cut within a character.
        is_cut = error.reason == "unexpected end of data"
        return octets.decode("utf-8" if is_cut else "cp1252", "replace")


def shown(text):
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return CONTROLS.sub("\ufffd", text)


def raw_octets(payload):
    return payload.encode("ascii", "surrogateescape")


def octets_of(part):
    # get_payload() would decode non-ASCII octets in a charset of its own choice.
    payload = part._payload
    if not isinstance(payload, str):
        # The content of a message/… part. Python parses it and does not keep its octets.
        return None
    octets = raw_octets(payload)
    match str(part.get("content-transfer-encoding", "")).strip().lower():
        case "quoted-printable":
            # Python keeps blanks at the ends of lines, which RFC 2045 section 6.7 removes. Python also reads "==" as one "=".
            octets = re.sub(rb"[ \t]+(?=\r?\n|\Z)", b"", octets)
            return quopri.decodestring(re.sub(rb"=(?==)", b"=3D", octets))
        case "base64":
            # Python cannot decode a text that is cut within a group of four digits.
            digits = re.sub(rb"[^A-Za-z0-9+/=]", b"", octets)
            digits = digits[:-1] if len(digits) % 4 == 1 else digits
            return base64.b64decode(digits + b"==")
        case _:
            return octets


def field_of(value):
    """The value as text. None if Python cannot decode the base64 of an encoded word, or if its charset is not listed above."""
    octets = raw_octets(value) if isinstance(value, str) else str(value).encode()
    line = re.sub(r"\r?\n", "", octets.decode("ascii", "surrogateescape")).strip(" \t\r")
    pieces = []
    try:
        words = email.header.decode_header(line)
    except email.errors.HeaderParseError:
        return None
    for piece, charset in words:
        if charset is not None and charset.partition("*")[0] not in KNOWN | GUESSED | SAME.keys():
            return None
        if charset is None and isinstance(piece, bytes):
            piece = piece.decode("raw-unicode-escape")
        pieces.append(text_of(raw_octets(piece) if isinstance(piece, str) else piece, charset))
    return HIDDEN.sub("\ufffd", "".join(pieces))


def name_of(part):
    try:
        name = part.get_filename()
    except TypeError:
        # This is a bug in Python. It occurs if a continued parameter is cut after its name.
        return None
    return None if name is None else field_of(name.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")) or None


def make_plain(part):
    """Rewrites the fields of which Python reads less than the relay does, so that Python reads as much of them."""
    for name, value in part.raw_items():
        if name.lower() not in ("content-type", "content-disposition"):
            continue
        # Python does not support comments in these fields.
        if '"' not in value:
            value = re.sub(r"\s*\([^()]*\)\s*", "", value)
        part.replace_header(name, text_of(raw_octets(value), None))


def reading(octets):
    message = email.message_from_bytes(octets)
    found = {"fields": [{"name": name, "value": field_of(value)} for name, value in message.raw_items()], "parts": []}

    def visit(part):
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            for inner in part.get_payload():
                visit(inner)
            return
        make_plain(part)
        attached = part.get_content_disposition() == "attachment"
        kind = part.get_content_type()
        if kind.endswith("/"):
            kind = "text/plain"
        is_text = kind == "text/plain" or part.get_content_maintype() == "multipart"
        for wanted, name in [(is_text, "text"), (kind == "text/html", "html")]:
            if wanted and not attached and name not in found:
                body = octets_of(part)
                found[name] = shown(text_of(body, part.get_param("charset")))
                return
        body = octets_of(part)
        found["parts"].append(
            {"name": name_of(part), "type": kind, "size": None if body is None else len(body), "attached": attached}
        )

    visit(message)
    return found


def main():
    source = sys.stdin.buffer
    while prefix := source.read(4):
        (length,) = struct.unpack(">I", prefix)
        print(json.dumps(reading(source.read(length))))


main()
