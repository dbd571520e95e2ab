"""A full disk, and a database that another process keeps locked, that is damaged, or that a newer relay has written."""

import contextlib
import re
import signal
import sqlite3
import time

import pytest

from http_api import API, HTTP, taken
from relay import key_id
from small_disk import fill, roomy_disk, small_disk  # noqa: F401
from shims import Disk
from sizes import size
from submit import send, session, submit
from wording import mentions, one_mentions

MESSAGE = b"From: from@example.com\r\n\r\nkept\r\n"
LARGE = MESSAGE + (b"z" * 70 + b"\r\n") * 6000
REFUSED = (452, "4.3.1", "[storage]")


def verdict(reply):
    """The codes and the reason word of a refusal."""
    code, text = reply
    return code, text.split()[0], text.split()[-1]


def message_id(reply):
    code, text = reply
    assert code == 250, reply
    return re.search(r"queued as (\w+)", text)[1]


@pytest.mark.parametrize("content", [MESSAGE, LARGE], ids=["small", "spooled"])
def test_a_full_disk_refuses_loses_nothing_and_recovers(own_relay, small_disk, content):
    relay = own_relay({"database": str(small_disk / "relay.db")})
    key = relay.create_key(per_second=1_000_000)
    with session(relay, key) as smtp:
        accepted = [message_id(send(smtp, content))]
        filler = fill(small_disk)
        # SQLite may find room in its log at first. In the end there is none.
        for _ in range(2000):
            reply = send(smtp, content)
            if reply[0] != 250:
                break
            accepted.append(message_id(reply))
        assert verdict(reply) == REFUSED
        # The connection and the relay go on. When there is space again, mail is accepted again.
        assert verdict(send(smtp, content)) == REFUSED
        # A body that could not be written takes no space.
        spool = small_disk / "relay.db.spool"
        relay.wait_until(
            lambda: {file.name for file in spool.iterdir()} <= set(accepted), "the spool holds only accepted messages")
        filler.unlink()
        accepted.append(message_id(relay.wait_until(
            lambda: (reply := send(smtp, content))[0] == 250 and reply, "the relay accepts messages again")))
    for accepted_id in accepted:
        relay.wait_for_state(accepted_id, "simulated")
        assert relay.raw(accepted_id).endswith(content[content.index(b"\r\n\r\n"):])
    assert relay.json("keys", "show", key_id(key))[0]["emails_total"] == len(accepted)
    relay.wait_until(lambda: one_mentions(relay.log, "storage failed", "disk", "full"), "the log reports a full disk")


def test_a_full_disk_is_reported_over_http(own_relay, small_disk):  # noqa: F811
    relay = own_relay({**HTTP, "database": str(small_disk / "relay.db")})
    with API(relay, relay.create_key(per_second=1_000_000)) as api:
        taken(api.send())
        filler = fill(small_disk)
        # SQLite may find room in its log at first. In the end there is none.
        for _ in range(2000):
            answer = api.send()
            if answer.status != 200:
                break
        assert (answer.status, answer.code) == (503, "storage"), answer
        assert int(answer.fields["Retry-After"]) >= 1
        filler.unlink()
        relay.wait_until(lambda: api.send().status == 200, "the relay accepts messages again")


def test_test_keys_cannot_use_disk_space_reserved_for_live_mail(own_relay, roomy_disk):  # noqa: F811
    relay = own_relay({
        "database": str(roomy_disk / "relay.db"), "storage.reserve": "32 MiB", "storage.reserve_test": "64 MiB"})
    test = relay.create_key(name="test", per_second=1_000_000)
    live = relay.create_key("live", name="live", per_second=1_000_000)

    def refused(smtp, content):
        code, text = send(smtp, content)
        assert code in (250, 452), text
        # A refused DATA keeps the envelope, so the session is reset.
        smtp.rset()
        return code == 452 and "[storage]" in text and text

    with session(relay, test) as tester, session(relay, live) as sender:
        assert not refused(tester, MESSAGE)
        filler = fill(roomy_disk, leaving=48 << 20)
        # The relay checks the space once a second.
        text = relay.wait_until(lambda: refused(tester, MESSAGE), "messages of test keys are refused")
        assert mentions(text, "disk space", "test keys")
        assert not refused(sender, MESSAGE)
        filler.unlink()
        filler = fill(roomy_disk, leaving=24 << 20)
        text = relay.wait_until(lambda: refused(sender, LARGE), "large messages are refused")
        assert mentions(text, "disk space", "128 KiB")
        assert not refused(sender, MESSAGE)
        spool = roomy_disk / "relay.db.spool"
        taken = {m["id"] for m in relay.json("messages", "list")}
        relay.wait_until(
            lambda: {file.name for file in spool.iterdir()} <= taken, "the spool has no body of a refused message")
        filler.unlink()
        relay.wait_until(lambda: not refused(tester, MESSAGE), "messages of test keys are accepted again")
        assert not refused(sender, LARGE)


@pytest.mark.parametrize("content", [MESSAGE, LARGE], ids=["small", "spooled"])
@pytest.mark.parametrize("fault, parts", [
    (Disk.fails_syncs, ["storage failed", "I/O error"]),
    (Disk.is_read_only, ["storage failed"]),
    (Disk.is_full, ["storage failed", "disk", "full"]),
], ids=["syncs-fail", "read-only", "full"])
def test_a_disk_that_fails_refuses_loses_nothing_and_recovers(own_relay, tmp_path, fault, parts, content):
    disk = Disk(tmp_path, under=tmp_path / "relay0")
    relay = own_relay(environment=disk.environment)
    key = relay.create_key(per_second=1_000_000)
    accepted = []
    with session(relay, key) as smtp:
        for _ in range(3):
            accepted.append(message_id(send(smtp, content)))
            fault(disk)
            for _ in range(5):
                assert verdict(send(smtp, content)) == REFUSED
            # The rest of the relay goes on: a new client gets the same reply.
            with session(relay, key, "smtp") as another:
                assert verdict(send(another, content)) == REFUSED
            disk.is_well()
            accepted.append(message_id(send(smtp, content)))
        fault(disk)
        assert verdict(send(smtp, content)) == REFUSED
        # The relay is killed while the disk fails. The acknowledged messages must be complete without the failed writes.
        relay.stop(signal.SIGKILL)
        disk.is_well()
        smtp.close()
        smtp.quit = lambda: None
    relay.start()
    for accepted_id in accepted:
        relay.wait_for_state(accepted_id, "simulated")
        assert relay.raw(accepted_id).endswith(content[content.index(b"\r\n\r\n"):])
    assert [part for part in parts if part not in relay.log_text()] == []


# A write waits up to 5 s for the lock.
@pytest.mark.parametrize("seconds", [size(1, 30)])
def test_a_locked_database_refuses_and_recovers(own_relay, seconds):
    relay = own_relay()
    key = relay.create_key()
    with session(relay, key) as smtp:
        other = sqlite3.connect(relay.directory / "relay.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            # The relay waits some seconds for the lock before it replies.
            assert verdict(send(smtp, MESSAGE)) == REFUSED
        relay.wait_until(lambda: one_mentions(relay.log, "storage failed", "locked"), "the log reports the lock")
        # A client that connects meanwhile can authenticate, and gets the same reply.
        with session(relay, key) as another:
            assert verdict(send(another, MESSAGE)) == REFUSED
        other.execute("ROLLBACK")
        other.close()
        relay.wait_for_state(message_id(send(smtp, MESSAGE)), "simulated")


@pytest.mark.parametrize("damage, words", [
    (lambda path: path.write_bytes(b"A" * 8192), "damaged"),
    (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close(), "schema version 99"),
], ids=["damaged", "newer"])
def test_a_database_that_cannot_be_used_is_refused_at_start(own_relay, damage, words):
    relay = own_relay(start=False)
    relay.run("keys", "list")
    for name in ["relay.db-wal", "relay.db-shm"]:
        (relay.directory / name).unlink(missing_ok=True)
    damage(relay.directory / "relay.db")
    for command in [["serve"], ["keys", "list"]]:
        result = relay.run(*command, check=False)
        assert result.returncode == 1
        assert words in result.stderr


def test_damage_within_the_database_is_refused_at_start(own_relay):
    """The test damages one page after the other. Damage to a free page does no harm."""
    relay = own_relay(start=False)
    key = relay.create_key(per_second=1000)
    relay.start()
    for number in range(20):
        submit(relay, key, MESSAGE + b"x" * 70 * number + b"\r\n")
    assert relay.stop() == 0
    path = relay.directory / "relay.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        free, = database.execute("PRAGMA freelist_count").fetchone()
    sound = path.read_bytes()
    length = int.from_bytes(sound[16:18], "big")
    harmless = 0
    pages = range(1, len(sound) // length, size(4, 1))
    for page in pages:
        path.write_bytes(sound[:page * length] + b"A" * length + sound[(page + 1) * length:])
        for name in ["relay.db-wal", "relay.db-shm"]:
            (relay.directory / name).unlink(missing_ok=True)
        try:
            relay.start()
        except RuntimeError as error:
            assert mentions(str(error), "damaged", "backup")
        else:
            harmless += 1
            relay.wait_for_state(submit(relay, key, MESSAGE), "simulated")
        relay.log.clear()
        relay.stop(signal.SIGKILL)
    assert harmless <= free < len(pages)
