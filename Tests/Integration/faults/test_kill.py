"""kill -9 at any moment under load: no acknowledged message is lost, and none is sent twice without a mark.

In each round, 50 connections send to a relay, which is killed. The test looks at the files on the disk, and starts the relay again
with them. Clients send a message again if it got no answer. The test compares each 250 with the disk after each round, and at the
end with the messages that the SES stand-in has accepted.
"""

import asyncio
import hashlib
import random
import signal
import time
from collections import Counter, defaultdict

import queue_file
from load import Client, Ledger, trusting
from ses import CREDENTIALS, REGION
from ses_standin import SESStandIn
from sizes import size

ROUNDS = size(8, 200)
CONNECTIONS = 50
# Each client stops after so many messages in a round, so that the stand-in keeps up.
MESSAGES = 12
# One in so many clients sends bodies that go to the spool.
SPOOLING = 10
LARGE = (b"z" * 70 + b"\r\n") * 3000
# The longest time, in seconds, that a relay runs under load.
LONGEST = 2.0
# The share of rounds that begin with the kill of a relay that is starting, and of rounds in which the killed relay is stopping.
STARTING = STOPPING = 0.15


def test_kill_at_any_moment_under_load_loses_nothing(own_relay, tmp_path):
    chance = random.Random()
    with SESStandIn(keeps_raw=False) as ses:
        ses.quota["MaxSendRate"] = 10_000.0
        relay = own_relay({
            "submission.max_connections_per_client": 1000, "log.level": "notice", "ses.region": REGION,
            "ses.endpoint": ses.url, "ses.concurrency": 20, "delivery.retry_first": "1s"}, CREDENTIALS, start=False)
        live = [relay.create_key("live", per_second=1_000_000, name=f"live {n}") for n in range(3)]
        keys = [*live, relay.create_key("test", per_second=1_000_000)]
        ledger, began = Ledger(), time.monotonic()
        for _ in range(ROUNDS):
            if chance.random() < STARTING:
                relay.spawn()
                time.sleep(chance.random() * 0.5)
                relay.stop(signal.SIGKILL)
            relay.start()
            before = len(ledger.sent)
            asyncio.run(load_until_killed(relay, keys, ledger, chance))
            relay.stop(signal.SIGKILL)
            look_at_disk(relay, ledger.sent[before:], tmp_path / "copy")
        relay.start()
        wait_for_the_end(relay)
        compare(relay, ledger, ses, keys)
        print(f"{ROUNDS} rounds in {time.monotonic() - began:.0f} s: {len(ledger.accepted)} messages acknowledged, "
              f"{len(ledger.sent) - len(ledger.accepted)} unanswered, {len(ses.taken)} calls to SES, "
              f"{len(ses.taken) - len({t.subject for t in ses.taken})} repeats, all marked")


async def load_until_killed(relay, keys, ledger, chance):
    context, killed = trusting(relay), asyncio.Event()
    again = unanswered(ledger)

    async def work(number):
        key = keys[number % len(keys)]
        content = LARGE if number % SPOOLING == 0 else b""
        try:
            client = await Client.connect(relay, key, ledger, context)
        except (OSError, AssertionError):
            if killed.is_set():
                return
            raise
        for _ in range(MESSAGES):
            message = await client.send(content=content, again=again[key].pop() if again[key] else None)
            if message is None or not message.id:
                break
        client.close()

    async def kill():
        await asyncio.sleep(chance.random() * LONGEST)
        killed.set()
        if chance.random() < STOPPING:
            relay.process.terminate()
            await asyncio.sleep(chance.random() * 0.3)
        relay.process.kill()

    await asyncio.gather(kill(), *(work(number) for number in range(CONNECTIONS)))


def unanswered(ledger):
    """For each key, the messages that its clients must send again."""
    answered = {message.number for message in ledger.accepted}
    found = {message.number: message for message in ledger.sent if message.number not in answered}
    by_key = defaultdict(list)
    for message in found.values():
        by_key[message.key].append(message)
    return by_key


def look_at_disk(relay, sent, directory):
    with queue_file.copy(relay, directory) as database:
        assert queue_file.is_sound(database)
        for message in sent:
            if not message.id:
                continue
            row = database.execute(
                "SELECT spooled, size, EXISTS (SELECT 1 FROM body WHERE body.message = message.id), "
                "(SELECT group_concat(DISTINCT state) FROM delivery WHERE delivery.message = message.id) FROM message WHERE id = ?",
                [queue_file.number(message.id)]).fetchone()
            assert row, f"{message.id} was acknowledged and is not in the database"
            spooled, length, has_body, states = row
            if spooled:
                assert (relay.directory / "relay.db.spool" / spooled).stat().st_size == length
            else:
                # The relay deletes the octets when all deliveries are sent, and not earlier.
                assert has_body or states == "sent", (message.id, states)


def wait_for_the_end(relay):
    """Waits until nothing is queued any more. It may take long, as long as the number of deliveries decreases."""
    with queue_file.reading(relay.directory / "relay.db") as database:
        def waiting():
            return database.execute(
                "SELECT COUNT(*) FROM delivery WHERE state IN ('queued', 'sending', 'held')").fetchone()[0]

        rest = waiting()
        while rest:
            relay.wait_until(lambda: waiting() < rest, f"fewer than {rest} deliveries waiting")
            rest = waiting()


def compare(relay, ledger, ses, keys):
    """Compares the ledger, the database and the messages that SES has accepted."""
    assert {message.reply for message in ledger.sent if not message.id} <= {""}
    assert {reply for reply in ledger.refusals if not reply.startswith("421 4.3.2 ")} <= {""}
    with queue_file.reading(relay.directory / "relay.db") as database:
        assert queue_file.is_sound(database)
        rows = database.execute(
            "SELECT subject, message.id, message.key, delivery.state, maybe_duplicate FROM message "
            "JOIN delivery ON delivery.message = message.id").fetchall()
        totals = dict(database.execute("SELECT key, SUM(emails) FROM usage GROUP BY key"))
    messages = {subject: row for subject, *row in rows}
    # A message that was sent again was queued once.
    assert len(messages) == len(rows)
    assert {state for _, _, state, _ in messages.values()} <= {"sent", "simulated"}
    for message in ledger.accepted:
        assert messages[message.subject][0] == queue_file.number(message.id)
    assert totals == Counter(key for _, key, _, _ in messages.values())
    bodies = {message.subject: message.body for message in ledger.sent}
    taken = Counter(t.subject for t in ses.taken)
    sent = {subject for subject, (_, _, state, _) in messages.items() if state == "sent"}
    assert set(taken) == sent
    assert {message.subject for message in ledger.accepted if message.key in keys[:-1]} <= sent
    marked = {subject for subject, (*_, is_marked) in messages.items() if is_marked}
    assert {subject for subject, times in taken.items() if times > 1} <= marked
    for t in ses.taken:
        assert t.body_digest == hashlib.sha256(bodies[t.subject]).digest(), t.subject
