"""Python's email package, as the oracle of what a person reads of a message.

Input: messages, each behind its length in four octets, big-endian. Output: a line of JSON for each.
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
# What the fields show of controls, line separators and what changes the direction of text.
HIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# Names of charsets whose controls nobody writes: the WHATWG Encoding Standard reads both as windows-1252.
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
    # get_payload() decodes what is no ASCII, in a charset of its own choice.
    payload = part._payload
    if not isinstance(payload, str):
        # What stands in a message/… part, as it was written.
        return None
    octets = raw_octets(payload)
    match str(part.get("content-transfer-encoding", "")).strip().lower():
        case "quoted-printable":
            # Python leaves the blanks at the ends of lines, which RFC 2045 section 6.7 takes away, and makes one of two "=".
            octets = re.sub(rb"[ \t]+(?=\r?\n|\Z)", b"", octets)
            return quopri.decodestring(re.sub(rb"=(?==)", b"=3D", octets))
        case "base64":
            # Python gives up at a text that is cut within four digits.
            digits = re.sub(rb"[^A-Za-z0-9+/=]", b"", octets)
            digits = digits[:-1] if len(digits) % 4 == 1 else digits
            return base64.b64decode(digits + b"==")
        case _:
            return octets


def field_of(value):
    """Null where Python gives up at the base64 of a word, and where the relay shows the word of a charset as it stands."""
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
        # Python's own fault, at a continued parameter that is cut behind its name.
        return None
    return None if name is None else field_of(name.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")) or None


def make_plain(part):
    """Writes the fields that Python reads less of than the relay does as it would read them."""
    for name, value in part.raw_items():
        if name.lower() not in ("content-type", "content-disposition"):
            continue
        # Python knows no comments there.
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
