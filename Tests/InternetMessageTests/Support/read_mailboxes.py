"""Reads messages as Python's readers of mail do, and says whom each of them takes for the sender.

Input: messages, each behind its length in four octets, big-endian. Output: a JSON document a line and message:

    {"parser": [[field, [[local part, domain], ...]], ...],   email.policy.default, fields in the order of the message
     "parseaddr": address,                                    email.utils.parseaddr over the From field as it stands
     "decoded": address,                                      the same over the field after decode_header
     "problem": why the parser gave up, or null}
"""

import email
import email.header
import email.parser
import email.policy
import email.utils
import json
import struct
import sys

FIELDS = ("from", "sender", "resent-from", "resent-sender")


def parser(message):
    # The parser fails on a dot right before "<", as in "ACME Inc.<user@example.com>"; a blank there changes nothing else.
    message = message.replace(b".<", b". <")
    parsed = email.parser.BytesParser(policy=email.policy.default).parsebytes(message, headersonly=True)
    found = []
    for name, value in parsed.items():
        if name.lower() in FIELDS:
            found.append([name.lower(), [[a.username, a.domain] for a in value.addresses]])
    return found


def parseaddr(message):
    field = email.message_from_bytes(message)["From"]
    return email.utils.parseaddr(str(field))[1]


def decoded(message):
    field = email.message_from_bytes(message)["From"]
    text = str(email.header.make_header(email.header.decode_header(field)))
    return email.utils.parseaddr(text)[1]


def main():
    source = sys.stdin.buffer
    while prefix := source.read(4):
        (length,) = struct.unpack(">I", prefix)
        message = source.read(length)
        result = {"parser": [], "parseaddr": "", "decoded": "", "problem": None}
        try:
            result["parser"] = parser(message)
        except Exception as error:
            result["problem"] = f"{type(error).__name__}: {error}"
        result["parseaddr"] = parseaddr(message)
        try:
            result["decoded"] = decoded(message)
        except (LookupError, ValueError):  # a charset that it does not know, a text that is none: it finds nothing
            pass
        print(json.dumps(result))


main()
