"""Revocation is immediate on three relays: after `keys revoke` has returned, none of them answers a message of the key with 250."""

import asyncio
import itertools
import time

from load import Client, Ledger, run, trusting
from relay import key_id
from shared_database import Group, server
from sizes import IS_FULL, size

__all__ = ["server"]

RACES = size(200, 10_000)
# The number of races that run at the same time.
ABREAST = 4


def test_nothing_is_accepted_on_any_relay_after_a_revocation_has_returned(own_relay, server):
    group = Group(own_relay, server)
    delays, began = [], time.monotonic()
    ledger = Ledger()

    async def all_races():
        contexts = [trusting(relay) for relay in group.relays]
        races = itertools.count()

        async def races_in_turn():
            while next(races) < RACES:
                delays.extend(await race(group, contexts, ledger))

        await asyncio.gather(*(races_in_turn() for _ in range(ABREAST)))

    asyncio.run(all_races())
    group.compare(ledger)
    delays.sort()
    p99 = delays[len(delays) * 99 // 100]
    print(f"{RACES} revocations in {time.monotonic() - began:.0f} s, {len(ledger.accepted)} messages accepted; open sessions were refused "
          f"early {delays[len(delays) // 2] * 1000:.0f} ms afterwards (median), {p99 * 1000:.0f} ms (p99), {delays[-1] * 1000:.0f} ms at most")
    if IS_FULL:
        assert p99 <= 0.5


async def race(group, contexts, ledger):
    """Revokes a key while it is used on each relay.

    Returns, for each relay, the seconds until it refused MAIL in an idle session.
    """
    key = await asyncio.to_thread(create_key, group)
    own = Ledger()

    async def connect(relay, context):
        return await Client.connect(relay, key, own, context)

    places = list(zip(group.relays, contexts))
    idle = await asyncio.gather(*(connect(*place) for place in places))
    lurking = await asyncio.gather(*(connect(*place) for place in places))
    busy = await asyncio.gather(*(connect(*place) for place in places))
    assert all(await asyncio.gather(*(client.begin() for client in lurking)))
    revoked = asyncio.Event()

    async def lurk(client):
        await revoked.wait()
        await client.end()

    async def look(client):
        await revoked.wait()
        while True:
            client.write("MAIL FROM:<from@example.com>\r\n")
            asked_at = time.monotonic()
            reply = await client.reply()
            if not reply.startswith("250 "):
                assert is_revocation("530 5.7.0", reply), reply
                return asked_at - revoked_at
            client.write("RSET\r\n")
            assert (await client.reply()).startswith("250 ")
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(client.send_until_refused()) for client in busy]
    tasks += [asyncio.create_task(lurk(client)) for client in lurking]
    looks = [asyncio.create_task(look(client)) for client in idle]
    while len(own.accepted) < len(busy):
        await asyncio.sleep(0.01)
    revoked_at = await run(group[0], "keys", "revoke", key_id(key))
    revoked.set()
    await asyncio.gather(*tasks)
    delays = await asyncio.gather(*looks)
    for client in (*idle, *lurking, *busy):
        client.close()
    late = [message for message in own.sent if message.ended_at > revoked_at]
    assert len(late) >= len(lurking) and not [message for message in late if message.id]
    assert all(is_revocation("550 5.7.1", message.reply) for message in own.sent if not message.id)
    assert all(is_revocation("530 5.7.0", reply) for reply in own.refusals)
    ledger.sent += own.sent
    return delays


def is_revocation(code, reply):
    return reply.startswith(code + " ") and reply.endswith(" [key-revoked]")


def create_key(group):
    return group[1].create_key("test", per_second=1_000_000)
