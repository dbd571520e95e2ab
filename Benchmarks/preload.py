"""Writes many rows directly into the relay's database, in the relay's own schema (Sources/SQLiteStore/Schema.swift)."""

import random
import sqlite3
import time

# The beginning of 2020. The relay's message ids are the milliseconds since then, above 22 bits of instance and
# sequence.
EPOCH_MS = 1_577_836_800_000

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def connect(path):
    database = sqlite3.connect(path, isolation_level=None)
    # These rows need not survive a power failure.
    database.execute("PRAGMA synchronous = OFF")
    return database


def close(database):
    """Closes the database and leaves one file, without a write-ahead log beside it."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def key_id(number):
    text = ""
    for _ in range(8):
        number, digit = divmod(number, 62)
        text = BASE62[digit] + text
    return text


def copy_keys(database, count):
    """Makes `count` keys like the benchmark's key, each with a digest that no key has. Returns their ids."""
    columns = [row[1] for row in database.execute("PRAGMA table_info(key)")]
    own = {"id": "?1", "name": "?2", "digest": "?3", "last_used_at": "?4"}
    values = ", ".join(own.get(column, column) for column in columns)
    statement = f"INSERT INTO key ({', '.join(columns)}) SELECT {values} FROM key WHERE name = 'benchmark' LIMIT 1"
    source = random.Random(1)
    now = round(time.time() * 1000)
    ids = [key_id(number) for number in source.sample(range(62**8), count)]
    database.executemany(
        statement, ((id, f"application {i}", source.randbytes(32), now - source.randrange(86_400_000))
                    for i, id in enumerate(ids)))
    return ids


def fill_keys(path, count):
    """Adds `count` keys with a month of usage each."""
    database = connect(path)
    database.execute("BEGIN")
    ids = copy_keys(database, count)
    today = int(time.time()) // 86_400
    database.executemany(
        "INSERT INTO usage (key, day, emails, messages) VALUES (?, ?, 10, 10)",
        ((id, today - day) for id in ids for day in range(0, 30, 3)))
    database.execute("COMMIT")
    close(database)


def fill_sent(path, count, prefix):
    """Adds `count` live messages of the benchmark's key that were sent. The SES message id of each is `prefix` and its number."""
    database = connect(path)
    database.execute("BEGIN")
    key = database.execute("SELECT id FROM key WHERE name = 'benchmark'").fetchone()[0]
    now = round(time.time() * 1000) - 3_600_000
    messages = [(now - EPOCH_MS) << 22 | i for i in range(count)]
    database.executemany(
        "INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at) "
        "VALUES (?, ?, 'live', ?, 'sender@example.com', 'a message that was sent', 180, ?)",
        ((id, key, bytes([127, 0, 0, 1]), now) for id in messages))
    database.executemany(
        "INSERT INTO delivery (message, key, lane, recipients, state, attempts, next_attempt_at, queued_since, "
        "ses_message_id, ended_at) VALUES (?1, ?2, 'live', 'recipient@example.net', 'sent', 1, ?3, ?3, ?4, ?3)",
        ((id, key, now, f"{prefix}{i}") for i, id in enumerate(messages)))
    database.execute("COMMIT")
    close(database)


def fill_queue(path, count, keys=10, size=180):
    """Adds `count` live messages of `keys` keys, which were accepted within the last hour and are all due."""
    database = connect(path)
    database.execute("BEGIN")
    ids = copy_keys(database, keys)
    source = random.Random(2)
    now = round(time.time() * 1000)
    accepted = [now - 3_600_000 + round(i * 3_600_000 / count) for i in range(count)]
    messages = [(moment - EPOCH_MS) << 22 | i % 4096 for i, moment in enumerate(accepted)]
    head = b"From: sender@example.com\r\nSubject: a message that waits\r\n\r\n"
    text = ((70 * b"x" + b"\r\n") * (size // 72 + 1))[:max(0, size - len(head) - 2)] + b"\r\n"
    body = head + text.replace(b"\r\r\n", b"x\r\n")
    client = bytes([127, 0, 0, 1])
    database.executemany(
        "INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at) "
        "VALUES (?, ?, 'live', ?, 'sender@example.com', 'a message that waits', ?, ?)",
        ((id, ids[i % keys], client, len(body), accepted[i]) for i, id in enumerate(messages)))
    database.executemany("INSERT INTO body (message, bytes) VALUES (?, ?)", ((id, body) for id in messages))
    database.executemany(
        "INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since) "
        "VALUES (?1, ?2, 'live', 'recipient@example.net', 'queued', ?3, ?3)",
        ((id, ids[i % keys], accepted[i]) for i, id in enumerate(messages)))
    database.executemany(
        "INSERT INTO repeat (fingerprint, message) VALUES (?, ?)", ((source.randbytes(16), id) for id in messages))
    database.execute("COMMIT")
    close(database)
