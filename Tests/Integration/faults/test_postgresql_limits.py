"""The daily cap and the rate of a key apply to three relays together."""

import asyncio
import collections
import contextlib
import time

from load import Client, Ledger, trusting
from postgresql_relays import Pair, compare, relays  # noqa: F401
from relay import DEADLINE, key_id
from shared_database import Group, server, wait_until
from sizes import IS_FULL, size

__all__ = ["server"]

CAP = 150
RATE, BURST = 50, 10


def test_three_relays_accept_exactly_the_daily_cap_despite_a_db_restart(own_relay, server):
    group = Group(own_relay, server)
    for restarts in (False, True):
        key = group[0].create_key("test", per_second=1_000_000, per_day=CAP)
        ledger = Ledger()
        asyncio.run(fill(group.relays, key, ledger, (lambda: restart(server)) if restarts else None))
        assert len(unique(ledger)) == CAP
        assert server.psql(f"SELECT count(*) FROM message WHERE key = '{key_id(key)}'") == str(CAP)
        assert server.psql(f"SELECT sum(emails) FROM usage WHERE key = '{key_id(key)}'") == str(CAP)
        print(f"cap of {CAP}: {len(unique(ledger))} accepted, {len(ledger.sent) - len(ledger.accepted)} not"
              + (", the server started again meanwhile" if restarts else ""))


def test_exactly_the_daily_cap_is_accepted_while_a_standby_takes_over(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        three = relays(pair.url, 3)
        key = three[0].create_key("test", per_second=1_000_000, per_day=CAP)
        ledger = Ledger()

        def fail_over():
            pair.kill_primary()
            pair.promote()

        asyncio.run(fill(three, key, ledger, fail_over))
        compare(ledger, pair.primary)
        assert len(unique(ledger)) == CAP
        assert pair.primary.psql(f"SELECT count(*) FROM message WHERE key = '{key_id(key)}'") == str(CAP)
        assert pair.primary.psql(f"SELECT sum(emails) FROM usage WHERE key = '{key_id(key)}'") == str(CAP)


def restart(server):
    server.stop("immediate")
    server.start()


def unique(ledger):
    return {message.subject for message in ledger.accepted}


async def fill(relays, key, ledger, interrupt=None):  # noqa: F811
    """Sends on all relays until each has replied that the cap is reached.

    A message that got no reply, or a 4xx reply, is sent again. `interrupt` is called when a third of the cap is used.
    """
    is_full = [False] * len(relays)
    enough = asyncio.Event()

    async def work(place):
        relay, context, again = relays[place], trusting(relays[place]), None
        while not is_full[place]:
            try:
                client = await Client.connect(relay, key, ledger, context)
            except (OSError, PermissionError, AssertionError):
                # While the server is away, the relay can't look up a key.
                await asyncio.sleep(0.05)
                continue
            while not is_full[place]:
                message = await client.send(again=again)
                if message is None:
                    # The message was refused before its data, because of the rate or the daily cap.
                    is_full[place] = "[rate-day]" in ledger.refusals[-1]
                    if not is_full[place]:
                        break
                elif message.id:
                    again = None
                else:
                    is_full[place] = "[rate-day]" in message.reply
                    again = None if is_full[place] else message
                    if not message.reply:
                        break
                if len(ledger.accepted) > CAP // 3:
                    enough.set()
            client.close()

    async def interrupted():
        await enough.wait()
        assert len(unique(ledger)) < CAP, "the cap was reached before the interruption"
        await asyncio.to_thread(interrupt)

    workers = [work(place) for place in range(len(relays)) for _ in range(4)]
    await asyncio.wait_for(asyncio.gather(*workers, *([interrupted()] if interrupt else [])), DEADLINE)


Attempt = collections.namedtuple("Attempt", "asked answered")


def test_three_relays_together_keep_to_the_rate_of_a_key(own_relay, server):
    # The relay delays no reply. So the time of its decision is between the client's question and the answer.
    group = Group(own_relay, server, settings={"submission.max_rate_delay": "0s"})
    key = group[0].create_key("test", per_second=RATE, burst=BURST)
    admitted = asyncio.run(press(group.relays, key, size(5, 30)))
    assert_rate(admitted)
    span = max(a.answered for a in admitted) - min(a.asked for a in admitted)
    print(f"three relays: {len(admitted)} messages admitted in {span:.1f} s, {len(admitted) / (RATE * span + BURST):.0%} of what the key may")


def test_rate_reserved_by_relays_does_not_add_to_the_burst(own_relay, server):
    group = Group(own_relay, server, settings={"submission.max_rate_delay": "0s"})
    key = group[0].create_key("test", per_second=RATE, burst=BURST)
    admitted = asyncio.run(bursts(group, key, server, size(5, 50)))
    assert_rate(admitted)


def assert_rate(admitted):
    """Asserts that no period has more than rate × length + burst messages that were certainly decided within it."""
    starts = sorted(attempt.asked for attempt in admitted)
    by_end = sorted(admitted, key=lambda attempt: attempt.answered)
    for start in starts:
        inside = [attempt for attempt in by_end if attempt.asked >= start]
        for count, attempt in enumerate(inside, 1):
            length = attempt.answered - start
            assert count <= RATE * length + BURST + 1e-6, f"{count} messages within {length:.3f} s"


async def ask(client, admitted):
    """Sends a message if the rate allows it. Returns whether it did."""
    asked = time.monotonic()
    if await client.begin():
        admitted.append(Attempt(asked, time.monotonic()))
        await client.end()
        return True
    client.write("RSET\r\n")
    await client.reply()
    return False


async def press(relays, key, seconds, clients=3):
    """Sends as often as possible for so many seconds, with so many clients of each relay. Returns the admitted messages."""
    admitted, ledger = [], Ledger()
    end = time.monotonic() + seconds

    async def work(relay):
        client = await Client.connect(relay, key, ledger, trusting(relay))
        while time.monotonic() < end:
            if not await ask(client, admitted):
                await asyncio.sleep(0.01)
        client.close()

    await asyncio.gather(*(work(relay) for relay in relays for _ in range(clients)))
    return admitted


async def bursts(group, key, server, rounds):
    """Each relay admits a message, and may reserve part of the rate.

    When the bucket is full again, all clients send as much as possible.
    """
    admitted, ledger = [], Ledger()
    clients = [await Client.connect(relay, key, ledger, trusting(relay)) for relay in group.relays]
    is_full = (f"SELECT bucket_tokens + {RATE} * (extract(epoch FROM clock_timestamp()) - updated_at) >= {BURST} "
               f"FROM key_rate WHERE key = '{key_id(key)}'")

    async def all_of(client):
        while await ask(client, admitted):
            pass

    for _ in range(rounds):
        for client in clients:
            await ask(client, admitted)
        await asyncio.to_thread(wait_until, lambda: server.psql(is_full) == "t", "the bucket is full")
        await asyncio.gather(*(all_of(client) for client in clients))
        await asyncio.to_thread(wait_until, lambda: server.psql(is_full) == "t", "the bucket is full")
    for client in clients:
        client.close()
    return admitted


def test_a_client_of_one_relay_gets_the_rate_of_its_key(own_relay, server):
    group = Group(own_relay, server)
    key = group[0].create_key("test", per_second=RATE, burst=BURST)
    admitted = asyncio.run(press(group.relays[:1], key, size(3, 30), clients=10))
    begin, end = min(a.answered for a in admitted), max(a.answered for a in admitted)
    share = (len(admitted) - BURST) / (RATE * (end - begin))
    print(f"clients of one relay of three got {share:.1%} of the key's rate")
    assert len(admitted) > BURST
    if IS_FULL:
        assert share >= 0.95

