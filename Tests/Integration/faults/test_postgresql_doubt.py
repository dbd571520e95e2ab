"""A commit is in doubt: before the relay answers, it finds out whether the commit took effect. It accepts the message once."""

import asyncio
import contextlib
import os
import signal
import time

import pytest

from cutting_proxy import CuttingProxy
from network import Network
from postgresql import Server, full_disk, wait_until
from postgresql_relays import (  # noqa: F401
    Pair, Senders, compare, doubts, refusals, relays, waiting_for_standby)
from sizes import IS_FULL, size
from small_disk import mounted

ROUNDS = size(3, 20)


@pytest.mark.parametrize("plan, ending", [
    (["before"], "repeated"), (["after"], "committed"), (["before", "after"], "committed"), (["before", "before"], "repeated")])
def test_a_commit_in_doubt_is_resolved_without_loss_or_duplicates(relays, tmp_path, plan, ending):  # noqa: F811
    with Server(tmp_path / "server") as server, CuttingProxy(server) as proxy:
        [relay] = relays(proxy.url, 1)
        senders = Senders([relay], [relay.create_key(per_second=1_000_000)], 5)

        def cut():
            for _ in range(ROUNDS):
                senders.wait_for_answers(10)
                before = doubts([relay])
                proxy.cut(*plan)
                wait_until(lambda: doubts([relay]) != before, "a batch was in doubt")
                assert proxy.cuts == plan
                assert doubts([relay]) - before == {ending: 1}

        asyncio.run(senders.run(cut))
        compare(senders.ledger, server)
        # The relay found out by itself, so no client had to send again.
        assert {message.reply for message in senders.ledger.sent if not message.id} == set()
        assert senders.ledger.refusals == []


def test_a_cancelled_wait_for_the_standby_acknowledges_nothing(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        [relay] = relays(pair.url, 1)
        senders = Senders([relay], [relay.create_key(per_second=1_000_000)], 5)
        primary = pair.primary

        def end(waiting, function):
            primary.psql(f"SELECT {function}(pid) FROM pg_stat_activity WHERE pid IN ({', '.join(waiting)})", "postgres")

        def cancel():
            senders.wait_for_answers(20)
            receiver = int(pair.standby.psql("SELECT pid FROM pg_stat_wal_receiver"))
            os.kill(receiver, signal.SIGSTOP)
            try:
                waiting = wait_until(lambda: set(waiting_for_standby(primary, "message")), "the commit of a batch waits")
                answered, table = len(senders.answers), "message"
                for function in ("pg_cancel_backend", "pg_terminate_backend"):
                    end(waiting, function)
                    wait_until(lambda: not waiting & set(waiting_for_standby(primary, table)), "the wait has ended")
                    # The relay finds the batch in the database, changes its own row, and waits until the standby has that change.
                    waiting, table = wait_until(lambda: set(waiting_for_standby(primary, "node")), "the relay waits again"), "node"
                if IS_FULL:
                    # In the end, the relay asks the clients to send again.
                    wait_until(lambda: doubts([relay])["unknown"] > 0, "the relay gives up")
                assert len(senders.answers) == answered
                assert "committed" not in doubts([relay])
            finally:
                os.kill(receiver, signal.SIGCONT)
            senders.wait_for_answers(20)

        asyncio.run(senders.run(cancel))
        compare(senders.ledger, primary)
        primary.wait_for_replay(pair.standby)
        compare(senders.ledger, pair.standby)
        assert doubts([relay])["committed" if not IS_FULL else "unknown"] > 0
        if IS_FULL:
            assert refusals(senders.ledger)["451 4.3.0"] > 0
        print(f"batches in doubt: {dict(doubts([relay]))}; not accepted: {dict(refusals(senders.ledger))}")


def test_a_primary_that_is_cut_off_from_its_standby_acknowledges_nothing(relays, tmp_path):  # noqa: F811
    with Network("primary", "standby", "relays") as network, network["relays"].entered(), contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack, hosts=(network["primary"], network["standby"]))
        three = relays(pair.url, 3)
        keys = [three[0].create_key(per_second=1_000_000, name=f"key {n}") for n in range(3)]
        senders, old, moments = Senders(three, keys, 12), pair.primary, []

        def cut_off():
            senders.wait_for_answers(40)
            network.cut("primary", "standby")
            wait_until(lambda: len(waiting_for_standby(old, "message")) >= 3, "a commit of each relay waits")
            answered = len(senders.answers)
            # The relays have stopped waiting, and now check whether their batches are in the database.
            wait_until(lambda: len(looking_for_batches(old)) >= 3, "each relay is in doubt about its batch")
            assert len(senders.answers) == answered
            pair.promote()
            moments.append(time.monotonic())
            senders.wait_for_each_relay(moments[0], pair.primary)
            senders.wait_for_answers(40)

        asyncio.run(senders.run(cut_off))
        compare(senders.ledger, pair.primary)
        for relay in three:
            assert relay.json("status")
        waits = senders.first_answers_after(moments[0])
        print(f"relays accept again {min(waits):.1f} to {max(waits):.1f} s after the promotion; "
              f"batches in doubt: {dict(doubts(three))}; not accepted: {dict(refusals(senders.ledger))}")


def looking_for_batches(server):
    """The sessions that insert messages and wait for the end of another transaction, which may have committed the same messages."""
    return server.psql(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO message %'", "postgres").split()


def test_mail_is_refused_while_the_database_server_is_out_of_disk_space(relays, tmp_path):  # noqa: F811
    with mounted(tmp_path, "96m") as disk, Server(disk, wal_directory=tmp_path / "wal") as server:
        three = relays(server.url(), 3)
        keys = [three[0].create_key(per_second=1_000_000, name=f"key {n}") for n in range(3)]
        senders = Senders(three, keys, 6, content=(b"z" * 70 + b"\r\n") * 300)

        def fill():
            senders.wait_for_answers(20)
            with full_disk(server):
                wait_until(lambda: sum(refusals(senders.ledger).values()) >= 6, "messages are refused")
            senders.wait_for_answers(40)

        asyncio.run(senders.run(fill))
        compare(senders.ledger, server)
        assert {reply[:4] for reply in refusals(senders.ledger)} <= {"451 ", "452 ", "454 "}
        print(f"not accepted: {dict(refusals(senders.ledger))}")
