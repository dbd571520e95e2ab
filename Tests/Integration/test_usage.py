"""The reported usage of a key agrees with its real use, even if the relay is killed."""

import asyncio
import signal
import smtplib
import threading

import pytest

from load import Client, Ledger, trusting
from relay import key_id
from submit import send, session

MESSAGE = b"From: from@example.com\r\n\r\ncounted\r\n"


def usage(relay, key):
    return relay.json("keys", "show", key_id(key))[0]


def use(relay, key):
    """Sends 2 messages with 3 emails, exceeds the rate once, and fails to log in twice, because smtplib tries PLAIN, then LOGIN."""
    with session(relay, key) as smtp:
        for recipients in [["a@example.net"], ["b@example.net", "c@example.net"]]:
            assert send(smtp, MESSAGE, recipients)[0] == 250
        assert send(smtp, MESSAGE)[0] == 451
    relay.run("keys", "rotate", key_id(key), "--grace", "0s")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        with session(relay, key):
            pass


SLOW = {"per_second": 0.001, "burst": 3}


def test_usage_is_exact_after_a_clean_stop(own_relay):
    relay = own_relay({"submission.max_rate_delay": "0s"})
    key = relay.create_key(**SLOW)
    use(relay, key)
    assert relay.stop() == 0
    found = usage(relay, key)
    assert (found["emails_total"], found["emails_today"], found["emails_30d"]) == (3, 3, 3)
    assert (found["rate_limit_hits"], found["auth_failures"]) == (1, 2)
    assert found["last_used_at"] is not None


def test_rate_limit_hits_and_auth_failures_survive_a_kill(own_relay):
    relay = own_relay({"submission.max_rate_delay": "0s"})
    key = relay.create_key(**SLOW)
    use(relay, key)
    # Emails are counted together with the message. The other activity is written a moment later.
    assert usage(relay, key)["emails_total"] == 3
    relay.wait_until(
        lambda: (u := usage(relay, key))["rate_limit_hits"] == 1 and u["auth_failures"] == 2,
        "the activity is recorded")
    relay.stop(signal.SIGKILL)
    found = usage(relay, key)
    assert (found["emails_total"], found["rate_limit_hits"], found["auth_failures"]) == (3, 1, 2)
    listed = relay.json("messages", "list", "--key", key_id(key))
    assert sum(len(message["recipients"]) for message in listed) == 3


def test_usage_matches_the_queue_after_a_kill_under_load(own_relay):
    relay = own_relay()
    key = relay.create_key(per_second=1_000_000)

    async def send_until_killed():
        ledger, context = Ledger(), trusting(relay)
        clients = await asyncio.gather(*(Client.connect(relay, key, ledger, context) for _ in range(20)))
        tasks = [asyncio.create_task(client.send_until_refused(recipients=3)) for client in clients]
        while len(ledger.accepted) < 100:
            await asyncio.sleep(0)
        relay.stop(signal.SIGKILL)
        await asyncio.gather(*tasks)
        for client in clients:
            client.close()
        return ledger

    ledger = asyncio.run(send_until_killed())
    listed = relay.json("messages", "list", "--key", key_id(key), "--limit", "100000")
    assert {message.id for message in ledger.accepted} <= {message["id"] for message in listed}
    # A message that was stored, but not answered before the kill, counts too.
    assert len(listed) <= len(ledger.sent)
    found = usage(relay, key)
    assert found["emails_total"] == found["emails_today"] == sum(len(message["recipients"]) for message in listed)
    assert found["last_used_at"] >= max(message["accepted_at"] for message in listed)


def test_one_daily_cap_for_two_relays(own_relay):
    """50 connections to two processes on one database: the processes accept exactly as many emails as the cap allows."""
    first = own_relay({"submission.max_connections_per_client": 1000})
    second = own_relay({"database": str(first.directory / "relay.db"), "submission.max_connections_per_client": 1000})
    key = first.create_key(per_second=1_000_000, per_day=120)
    replies, lock = [], threading.Lock()

    def client(relay):
        with session(relay, key) as smtp:
            for _ in range(4):
                code, text = send(smtp, MESSAGE)
                with lock:
                    replies.append((code, text))

    clients = [threading.Thread(target=client, args=(relay,)) for relay in [first, second] for _ in range(25)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert len(replies) == 200
    assert sum(code == 250 for code, _ in replies) == 120
    assert all(code == 250 or (code == 451 and text.endswith("[rate-day]")) for code, text in replies)
    assert usage(first, key)["emails_today"] == 120
    assert len(first.json("messages", "list", "--key", key_id(key), "--limit", "1000")) == 120
