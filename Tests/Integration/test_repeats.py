"""A message is recognized when it is sent again, even if an older relay stored another hash of its content."""

import hashlib
import re
import sqlite3
import time

from submit import send, session

FIELDS = b"From: from@example.com\r\nTo: to@example.net\r\nMessage-ID: <order@shop.example>\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\nSubject: Order\r\n"
BODY = b"Thank you.\r\n.dots\r\n"


def submitted(relay, key, content):
    with session(relay, key) as smtp:
        code, text = send(smtp, content)
    assert code == 250, text
    return re.search(r"[0-9a-z]{13}", text)[0]


def former_fingerprint(key):
    """The fingerprint that relays up to schema version 5 made: SHA-256 over the SHA-256 of the client's own fields and the body."""
    parts = [b"message", key[8:16].encode(), b"<order@shop.example>", b"from@example.com", b"to@example.net"]
    content = hashlib.sha256(FIELDS + BODY).digest()
    return hashlib.sha256(b"".join(part + b"\0" for part in parts) + content).digest()[:16]


def test_messages_accepted_by_an_older_relay_are_recognized_for_a_day(own_relay):
    relay = own_relay()
    key = relay.create_key()
    content = FIELDS + b"\r\n" + BODY
    first = submitted(relay, key, content)
    assert submitted(relay, key, content) == first
    relay.stop()
    # The database is changed to the state in which the migration from version 5 leaves it.
    database = sqlite3.connect(relay.directory / "relay.db")
    with database:
        assert database.execute("SELECT former_until FROM repeat_key").fetchall() == [(None,)]
        assert database.execute("UPDATE repeat SET fingerprint = ?", [former_fingerprint(key)]).rowcount == 1
        database.execute("UPDATE repeat_key SET former_until = ?", [int(1000 * (time.time() + 3600))])
    relay.start()
    assert submitted(relay, key, content) == first
    assert submitted(relay, key, content.replace(b"Thank", b"thank")) != first
    relay.stop()
    with database:
        database.execute("UPDATE repeat_key SET former_until = ?", [int(1000 * (time.time() - 1))])
        database.execute("DELETE FROM repeat WHERE fingerprint <> ?", [former_fingerprint(key)])
    database.close()
    relay.start()
    assert submitted(relay, key, content) != first
