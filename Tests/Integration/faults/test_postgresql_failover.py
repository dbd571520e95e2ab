"""The primary is killed under load and its standby is promoted: no acknowledged message is lost, and none is accepted twice."""

import asyncio
import contextlib
import time

import pytest

from postgresql import wait_until
from postgresql_relays import Pair, Senders, compare, doubts, missing, refusals, relays  # noqa: F401
from sizes import IS_FULL, size

ROUNDS = size(2, 20)
CONNECTIONS = size(12, 30)
# The number of answers before each kill, and after each promotion.
MESSAGES = size(40, 200)


def test_killed_primaries_lose_nothing_that_was_acknowledged(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        three = relays(pair.url, 3)
        keys = [three[0].create_key(per_second=1_000_000, name=f"key {n}") for n in range(3)]
        senders, promoted = Senders(three, keys, CONNECTIONS), []

        def fail_over():
            for _ in range(ROUNDS):
                senders.wait_for_answers(MESSAGES)
                pair.kill_primary()
                pair.promote()
                promoted.append(time.monotonic())
                senders.wait_for_each_relay(promoted[-1], pair.primary)
                senders.wait_for_answers(MESSAGES)
                pair.follow()

        asyncio.run(senders.run(fail_over))
        compare(senders.ledger, pair.primary)
        waits = [wait for moment in promoted for wait in senders.first_answers_after(moment)]
        endings = doubts(three)
        print(f"{ROUNDS} rounds: {len(senders.ledger.accepted)} messages acknowledged; batches in doubt: {dict(endings)}; "
              f"not accepted: {dict(refusals(senders.ledger))}; accepting again after {min(waits):.2f} to {max(waits):.2f} s")
        if IS_FULL:
            assert endings["committed"] > 0 and endings["repeated"] > 0
            assert max(waits) <= 2


@pytest.mark.skipif(not IS_FULL, reason="waits until relays count as dead; with FAULTS_SIZE=full")
def test_relays_declared_dead_in_a_long_outage_accept_mail_again(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        three = relays(pair.url, 3)
        senders, promoted = Senders(three, [three[0].create_key(per_second=1_000_000)], CONNECTIONS), []

        def fail_over():
            senders.wait_for_answers(MESSAGES)
            pair.kill_primary()
            wait_until(
                lambda: pair.standby.psql(
                    "SELECT max(seen_at) < (extract(epoch FROM clock_timestamp()) - 16) * 1000 FROM node") == "t",
                "no relay has renewed its node for 16 s")
            pair.promote()
            promoted.append(time.monotonic())
            senders.wait_for_each_relay(promoted[0], pair.primary)
            senders.wait_for_answers(MESSAGES)

        asyncio.run(senders.run(fail_over))
        compare(senders.ledger, pair.primary)
        waits = senders.first_answers_after(promoted[0])
        print(f"accepting again after {min(waits):.2f} to {max(waits):.2f} s; batches in doubt: {dict(doubts(three))}; "
              f"not accepted: {dict(refusals(senders.ledger))}")
        assert max(waits) <= 2


def test_lost_messages_are_detected_without_a_synchronous_standby(relays, tmp_path):  # noqa: F811
    """A negative control of the tests above: they do notice lost messages."""
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack, is_synchronous=False)
        three = relays(pair.url, 3)
        keys = [three[0].create_key(per_second=1_000_000)]
        senders = Senders(three, keys, CONNECTIONS)
        pair.primary.wait_for_replay(pair.standby)
        # From here on, the standby receives nothing.
        pair.standby.set("primary_conninfo", "host=127.0.0.1 port=1")
        wait_until(
            lambda: pair.standby.psql("SELECT count(*) FROM pg_stat_wal_receiver") == "0",
            "the standby receives nothing")

        def fail_over():
            senders.wait_for_answers(MESSAGES)
            pair.kill_primary()
            pair.promote()
            senders.wait_for_answers(MESSAGES)

        asyncio.run(senders.run(fail_over))
        lost = missing(senders.ledger, pair.primary)
        assert len(lost) >= MESSAGES
        with pytest.raises(AssertionError, match="acknowledged, and not there"):
            compare(senders.ledger, pair.primary)
        print(f"{len(senders.ledger.accepted)} messages acknowledged, of which {len(lost)} are lost")
