"""One of several relays is killed or stopped. The other relays send its deliveries, and it does not send them again later."""

import asyncio
import signal
import threading
import time
from collections import Counter

from load import Client, Ledger, trusting
from ses_standin import OK, SESStandIn, slow
from shared_database import Group, server, ses_settings, wait_until
from sizes import size
from submit import send, session

__all__ = ["server"]

# Each relay may make so many calls to SES at the same time.
CONCURRENCY = 4
MESSAGES = size(30, 100)
# Within so many seconds, another relay has the deliveries of a dead relay (ARCHITECTURE.md, "Liveness").
TAKEN_OVER = 20
ROUNDS = size(1, 10)


def load(relay, key, ledger, count):
    """Sends so many messages. Each of them is accepted."""
    async def run():
        client = await Client.connect(relay, key, ledger, trusting(relay))
        for _ in range(count):
            assert (await client.send()).id
        client.close()

    asyncio.run(run())


def busy_group(own_relay, server, ses):
    """A group of one relay, to which the tests add others.

    The relay has calls to SES under way, which get no answer. Other deliveries that it has claimed wait for the end of these calls.
    Returns the group, the key, the ledger, and the number of the relay's row in `node`.
    """
    group = Group(own_relay, server, 1, ses_settings(ses, **{"ses.concurrency": CONCURRENCY}))
    key = group[0].create_key("live", per_second=1_000_000)
    ledger = Ledger()
    load(group[0], key, ledger, MESSAGES)
    wait_until(lambda: len(ses.taken) >= CONCURRENCY and group.count("state = 'sending'") > CONCURRENCY,
               "deliveries are under way, and others are claimed")
    node = group.nodes()[0]
    return group, key, ledger, node


def test_deliveries_of_a_killed_relay_are_taken_over_within_20_seconds(own_relay, server):
    for _ in range(ROUNDS):
        held = threading.Event()
        with SESStandIn() as ses:
            ses.quota["MaxSendRate"] = 1000.0
            ses.answer = slow(held)
            group, _, ledger, node = busy_group(own_relay, server, ses)
            group.join()
            group.join()
            doubtful = {taken.subject for taken in ses.taken}
            ses.answer = OK
            lost = group.subjects(f"state = 'sending' AND holder = {node}")
            killed_at = time.monotonic()
            group[0].stop(signal.SIGKILL)
            wait_until(lambda: group.count(f"state = 'sending' AND holder = {node}") == 0,
                       lambda: "the dead relay holds no delivery\n" + group[1].log_text(), TAKEN_OVER)
            taken_over = time.monotonic() - killed_at
            held.set()
            group.wait_for_the_end()
            group.compare(ledger)
            times = Counter(taken.subject for taken in ses.taken)
            marked = set(group.subjects("maybe_duplicate"))
            assert set(times) == {message.subject for message in ledger.accepted}
            assert set(group.subjects("state = 'sent'")) == set(times)
            # Every message that may have been sent twice is marked.
            assert doubtful <= marked and {subject for subject, n in times.items() if n > 1} <= marked
            assert max(times.values()) <= 2
            print(f"{len(lost)} deliveries of a killed relay were with others after {taken_over:.1f} s; {len(doubtful)} had been with SES")
            for relay in group.relays:
                relay.stop()
            server.psql("TRUNCATE message, delivery, node, repeat CASCADE")


def test_a_relay_resumed_after_a_pause_resends_nothing_others_have_sent(own_relay, server):
    held = threading.Event()
    with SESStandIn() as ses:
        ses.quota["MaxSendRate"] = 1000.0
        ses.answer = slow(held)
        group, key, ledger, node = busy_group(own_relay, server, ses)
        stopped = group[0]
        with session(stopped, key) as idle, session(stopped, key) as begun:
            assert begun.mail("from@example.com")[0] == 250 and begun.rcpt("to@example.net")[0] == 250
            assert begun.docmd("DATA")[0] == 354
            stopped.process.send_signal(signal.SIGSTOP)
            try:
                stopped_at = time.monotonic()
                ses.answer = OK
                group.join()
                group.join()
                # The other relays claim and send all its deliveries, even those for which it has called SES.
                wait_until(lambda: group.count("state = 'sent'") == MESSAGES, "the others have sent all")
                # The relay is stopped for longer than it may be silent, so the others declare it dead.
                wait_until(lambda: node not in group.nodes(), "the relay's node is gone")
                wait_until(
                    lambda: time.monotonic() - stopped_at > size(0, 25), "the relay has been stopped for long enough")
                before, others = len(ses.taken), group.nodes()
            finally:
                stopped.process.send_signal(signal.SIGCONT)
            # It goes on as a new node. The deliveries that it had claimed are still in its memory.
            wait_until(lambda: set(group.nodes()) - set(others), "the relay has a new node")
            # SES answers the old calls only now. Then the relay could send the deliveries that it had claimed.
            held.set()
            # A transaction that had begun is completed or refused in order, and the connections stay open.
            begun.send(b"From: from@example.com\r\nSubject: begun\r\n\r\nbody\r\n.\r\n")
            replies = {"begun": begun.getreply()[0]}
            replies["idle"] = send(idle, b"From: from@example.com\r\nSubject: idle\r\n\r\nbody\r\n")[0]
        assert set(replies.values()) <= {250, 451}, replies
        # The relay accepts and sends new messages, in the end alone. By then it would have sent the old deliveries.
        after = Ledger()
        load(stopped, key, after, 20)
        group.wait_for_the_end()
        for relay in group.relays[1:]:
            relay.stop()
        load(stopped, key, after, 20)
        group.wait_for_the_end()
        assert stopped.stop() == 0
        new = {message.subject for message in after.accepted} | {subject for subject, code in replies.items() if code == 250}
        assert Counter(taken.subject for taken in ses.taken[before:]) == Counter(new)
        assert {message.subject for message in ledger.accepted} == {taken.subject for taken in ses.taken[:before]}


def test_status_lists_the_relays_and_which_of_them_are_alive(own_relay, server):
    group = Group(own_relay, server)

    def living():
        return [node for node in group[0].json("status")[0]["nodes"] if node["live"]]

    nodes = group[0].json("status")[0]["nodes"]
    assert len(living()) == 3 and len({node["number"] for node in nodes}) == 3
    first = group[0].json("status")[0]["nodes"][0]
    assert set(first) >= {"name", "number", "live", "started_at", "last_seen_at", "version"}
    group[2].stop(signal.SIGKILL)
    wait_until(lambda: len(living()) == 2, "the killed relay is not among the living", TAKEN_OVER)
    # A relay that is stopped in order is removed at once.
    assert group[1].stop() == 0
    assert len(living()) == 1
    assert len(group[0].run("status").stdout.split(" live ")) == 2
