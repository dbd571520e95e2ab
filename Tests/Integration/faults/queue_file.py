"""The relay's database on the disk, read without the relay. Its tables are in Sources/SQLiteStore/Schema.swift."""

import contextlib
import shutil
import sqlite3

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def number(message_id):
    """A message's id as the number that the database holds."""
    value = 0
    for digit in message_id:
        value = value << 5 | CROCKFORD.index(digit)
    return value


@contextlib.contextmanager
def reading(path):
    """A read-only connection to a database that other processes use."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        yield database
    finally:
        database.close()


@contextlib.contextmanager
def copy(relay, directory):
    """A copy of a killed relay's database. SQLite recovers the copy, so the relay still has to recover the original itself."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for suffix in ["", "-wal"]:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(relay.directory / f"relay.db{suffix}", directory)
    database = sqlite3.connect(directory / "relay.db")
    try:
        yield database
    finally:
        database.close()


def is_sound(database):
    return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def content(database, relay, message_id):
    """A message's octets, from the database or the spool."""
    row = database.execute(
        "SELECT spooled, bytes FROM message LEFT JOIN body ON body.message = message.id WHERE message.id = ?",
        [number(message_id)]).fetchone()
    assert row, f"{message_id} was acknowledged and is not in the database"
    spooled, octets = row
    return (relay.directory / "relay.db.spool" / spooled).read_bytes() if spooled else octets
