"""Revocation, caps and rates over HTTP, and over HTTP and SMTP at once: a key has one bucket and one cap for both."""

import asyncio

import pytest

from http_api import API, HTTP, taken
from http_load import WebClient
from load import Client, Ledger, run, trusting
from relay import key_id
from test_revocation import DISPOSITIONS, ended, is_revocation, revoke_while

ROUNDS = 15
CONNECTIONS = 50
# So many of these connections have sent a request without its last octet when the revocation returns.
LURKERS = 5


@pytest.mark.parametrize("faces", ["http", "both"])
def test_revocations_under_load(own_relay, faces):
    relay = own_relay({**HTTP, "submission.max_connections_per_client": 1000, "log.level": "notice"})
    for number in range(ROUNDS):
        key = relay.create_key(per_second=1_000_000, name=f"round {number}")
        disposition = DISPOSITIONS[number % len(DISPOSITIONS)]
        requests, ledger, revoked_at = asyncio.run(
            revoke_under_load(relay, key, disposition, CONNECTIONS // 2 if faces == "both" else 0))
        after = [request for request in requests if request.ended_at > revoked_at]
        assert len(after) >= LURKERS and [request for request in after if request.id] == []
        assert {(request.status, request.code) for request in requests if not request.id} == {(401, "key-revoked")}
        assert [message for message in ledger.sent if message.id and message.ended_at > revoked_at] == []
        assert {reply for reply in ledger.refusals if not is_revocation("530 5.7.0", reply)} == set()
        accepted = [sent.id for sent in [*requests, *ledger.sent] if sent.id]
        assert len(set(accepted)) == len(accepted)
        assert {message["id"] for message in ended(relay, key)} == set(accepted)


async def revoke_under_load(relay, key, disposition, smtp):
    """Revokes a key while clients use it. `smtp` of them use SMTP.

    Returns all requests, the ledger, and the time at which `keys revoke` returned.
    """
    context, ledger, requests = trusting(relay), Ledger(), []
    clients = await asyncio.gather(
        *(WebClient.connect(relay, key, requests, context) for _ in range(CONNECTIONS - smtp)),
        *(Client.connect(relay, key, ledger, context) for _ in range(smtp)))
    return requests, ledger, await revoke_while(clients, LURKERS, relay, key, disposition)


def test_two_relays_share_one_daily_cap_over_http_and_smtp(own_relay):
    settings = {**HTTP, "submission.max_connections_per_client": 1000}
    first = own_relay(settings)
    second = own_relay({**settings, "database": str(first.directory / "relay.db")})
    key = first.create_key(scopes=("email:send", "email:batch"), per_second=1_000_000, per_day=120)

    async def all_at_once():
        requests, ledger = [], Ledger()
        clients = []
        for relay in [first, second]:
            context = trusting(relay)
            clients += await asyncio.gather(
                *(WebClient.connect(relay, key, requests, context) for _ in range(13)),
                *(Client.connect(relay, key, ledger, context) for _ in range(12)))

        async def four(client):
            for _ in range(4):
                await client.send()

        await asyncio.gather(*(four(client) for client in clients))
        for client in clients:
            client.close()
        return requests, ledger

    requests, ledger = asyncio.run(all_at_once())
    assert sum(1 for sent in [*requests, *ledger.sent] if sent.id) == 120
    assert {request.code for request in requests if not request.id} <= {"rate-day"}
    refused = [message.reply for message in ledger.sent if not message.id] + ledger.refusals
    assert all(reply.startswith("451 ") and reply.endswith("[rate-day]") for reply in refused)
    [usage] = first.json("keys", "show", key_id(key))
    assert usage["emails_today"] == 120


def test_http_and_smtp_share_the_burst_of_a_key(own_relay):
    """A key has one burst for HTTP and SMTP together."""
    relay = own_relay({**HTTP, "submission.max_rate_delay": "0s"})
    # The rate is so low that no more than the burst is allowed during the test.
    key = relay.create_key(per_second=0.001, burst=20)

    async def by_turns():
        requests, ledger, context = [], Ledger(), trusting(relay)
        web = await WebClient.connect(relay, key, requests, context)
        smtp = await Client.connect(relay, key, ledger, context)
        for _ in range(15):
            await web.send()
            await smtp.send()
        web.close()
        smtp.close()
        return requests, ledger

    requests, ledger = asyncio.run(by_turns())
    taken_ones = [sent.id for sent in [*requests, *ledger.sent] if sent.id]
    assert len(taken_ones) == 20
    assert {request.code for request in requests if not request.id} == {"rate-second"}
    # The session keeps the refused envelope, so the later commands are refused too.
    assert ledger.refusals[0].endswith("[rate-second]")


@pytest.mark.parametrize("command, status, code", [
    (["keys", "rotate", "ID", "--grace", "0s"], 401, "key-unknown"), (["keys", "update", "ID", "--no-scopes"], 403, "scope"),
    (["keys", "update", "ID", "--allow-network", "192.0.2.0/24"], 403, "network"),
    (["keys", "update", "ID", "--allow-domain", "example.org"], 403, "sender-domain")])
def test_rights_removed_from_a_key_are_lost_on_open_http_connections(own_relay, command, status, code):
    relay = own_relay(HTTP)
    key = relay.create_key(per_second=1000)

    async def begun_before():
        requests, context = [], trusting(relay)
        client = await WebClient.connect(relay, key, requests, context)
        await client.send()
        await client.begin()
        await run(relay, *[key_id(key) if word == "ID" else word for word in command])
        begun = await client.end()
        next_one = await client.send()
        client.close()
        return begun, next_one

    for request in asyncio.run(begun_before()):
        assert (request.status, request.code) == (status, code)


def test_each_request_on_a_connection_is_judged_by_its_own_key(own_relay):
    """One connection of a reverse proxy carries requests of many clients."""
    relay = own_relay(HTTP)
    keys = [relay.create_key(name=name, per_second=1000) for name in ["one", "two"]]
    with API(relay) as api:
        for key in keys * 3:
            api.key = key
            assert relay.message(taken(api.send()))["key"] == key_id(key)
        api.key = keys[0][:-1] + ("A" if keys[0][-1] != "A" else "B")
        assert api.send().code == "key-malformed"
        api.key = None
        assert api.send().code == "auth-required"
