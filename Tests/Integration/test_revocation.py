"""Revocation is immediate: after `keys revoke` has returned, no message of the key is answered with 250, on any connection."""

import asyncio
import time

import pytest

from load import Client, Ledger, run, trusting
from relay import key_id
from submit import send, session, submit

ROUNDS = 100
CONNECTIONS = 50
# So many of these connections send the end of their data only after the revocation has returned. In this case, a cache could be out
# of date.
LURKERS = 5
QUIET = b"From: from@example.com\r\nSubject: open\r\n\r\nbody\r\n"
DISPOSITIONS = ["deliver", "hold", "drop"]
# Simulated deliveries usually end at once. Deliveries to this mailbox are throttled twice, so they stay in the queue for a while.
SLOW = "throttle@simulator.amazonses.com"


DROPPED = "dropped: "


def test_a_hundred_revocations_under_load(own_relay):
    relay = own_relay({"submission.max_connections_per_client": 1000, "log.level": "notice"})
    began = time.monotonic()
    accepted = late = 0
    for number in range(ROUNDS):
        key = relay.create_key(per_second=1_000_000, name=f"round {number}")
        disposition = DISPOSITIONS[number % len(DISPOSITIONS)]
        ledger, revoked_at = asyncio.run(revoke_under_load(relay, key, disposition))
        after = [message for message in ledger.sent if message.ended_at > revoked_at]
        assert [message for message in after if message.id] == []
        assert len(after) >= LURKERS
        refused = [message.reply for message in ledger.sent if not message.id]
        assert {reply for reply in refused if not is_revocation("550 5.7.1", reply)} == set()
        assert {reply for reply in ledger.refusals if not is_revocation("530 5.7.0", reply)} == set()
        # The queue's records have exactly the messages that were answered with 250.
        taken = [message.id for message in ledger.accepted]
        assert len(taken) >= CONNECTIONS and len(set(taken)) == len(taken)
        messages = ended(relay, key)
        assert {message["id"] for message in messages} == set(taken)
        may_be = {"deliver": {"simulated"}, "hold": {"simulated", "held"}, "drop": {"simulated", "failed"}}[disposition]
        assert {message["state"] for message in messages} <= may_be
        accepted += len(taken)
        late += len(after)
    print(f"{ROUNDS} rounds in {time.monotonic() - began:.0f} s: {accepted} messages accepted, {late} refused that were "
          "sent after the revocation")


async def revoke_under_load(relay, key, disposition):
    """Revokes a key while clients send with it. Returns the ledger of all clients, and the time at which `keys revoke` returned."""
    context, ledger = trusting(relay), Ledger()
    clients = await asyncio.gather(*(Client.connect(relay, key, ledger, context) for _ in range(CONNECTIONS)))
    revoked_at = await revoke_while(clients, LURKERS, relay, key, disposition)
    with pytest.raises(PermissionError, match=r"^535 5\.7\.8 .*\[key-revoked\]$"):
        await Client.connect(relay, key, ledger, context)
    return ledger, revoked_at


async def revoke_while(clients, lurkers, relay, key, disposition):
    """Revokes a key while clients send with it. Returns the time at which `keys revoke` returned.

    So many `lurkers` of the clients send the end of their data only after that time.
    """
    revoked = asyncio.Event()
    await asyncio.gather(*(client.send() for client in clients))
    lurkers, busy = clients[:lurkers], clients[lurkers:]
    for begun in await asyncio.gather(*(client.begin() for client in lurkers)):
        assert begun

    async def lurk(client):
        await revoked.wait()
        await client.end()

    tasks = [asyncio.create_task(client.send_until_refused()) for client in busy]
    tasks += [asyncio.create_task(lurk(client)) for client in lurkers]
    revoked_at = await run(relay, "keys", "revoke", key_id(key), "--queued", disposition)
    revoked.set()
    await asyncio.gather(*tasks)
    for client in clients:
        client.close()
    return revoked_at


def is_revocation(code, reply):
    return reply.startswith(code + " ") and reply.endswith(" [key-revoked]")


def ended(relay, key):
    """Waits until no message of a key is queued or being sent. Returns the messages."""
    def look():
        messages = relay.json("messages", "list", "--key", key_id(key), "--limit", "100000")
        return messages if not {m["state"] for m in messages} & {"queued", "sending"} else None

    return relay.wait_until(look, f"the end of all messages of {key_id(key)}")


@pytest.mark.parametrize("command, word", [
    (["keys", "rotate", "ID", "--grace", "0s"], "key-unknown"), (["keys", "update", "ID", "--no-scopes"], "scope"),
    (["keys", "update", "ID", "--allow-network", "192.0.2.0/24"], "network")], ids=["secret", "scope", "network"])
def test_rights_removed_from_a_key_are_lost_in_open_smtp_sessions(relay, command, word):
    key = relay.create_key()
    with session(relay, key) as smtp:
        assert send(smtp, QUIET)[0] == 250
        assert smtp.mail("from@example.com")[0] == 250 and smtp.rcpt("to@example.net")[0] == 250
        assert smtp.docmd("DATA")[0] == 354
        relay.run(*[key_id(key) if argument == "ID" else argument for argument in command])
        # At the end of data, the change applies at once. Earlier commands are refused soon after.
        smtp.send(QUIET + b".\r\n")
        code, text = smtp.getreply()
        assert (code, text[:6], text[-len(word) - 2:]) == (550, b"5.7.1 ", f"[{word}]".encode())

        def mail():
            smtp.rset()
            code, text = smtp.mail("from@example.com")
            return None if code == 250 else (code, text)

        code, text = relay.wait_until(mail, "MAIL is refused in the open session")
        assert code == 530 and text.endswith(f"[{word}]".encode())


def queued(relay, key):
    """Submits messages that then wait for another attempt. Returns their ids."""
    content = "From: from@example.com\r\nSubject: {}\r\n\r\nwaits\r\n"
    ids = [submit(relay, key, content.format(number).encode(), [SLOW]) for number in range(3)]
    for message_id in ids:
        relay.wait_until(lambda: relay.message(message_id)["deliveries"][0]["history"], "the first try")
    return ids


@pytest.fixture
def patient(own_relay):
    return own_relay()


def test_revoking_with_deliver_sends_the_queued_messages(patient):
    key = patient.create_key()
    ids = queued(patient, key)
    patient.run("keys", "revoke", key_id(key), "--queued", "deliver")
    assert {m["id"]: m["state"] for m in ended(patient, key)} == dict.fromkeys(ids, "simulated")


def test_revoking_with_hold_keeps_the_queued_messages_until_released(patient):
    key = patient.create_key()
    ids = queued(patient, key)
    patient.run("keys", "revoke", key_id(key), "--queued", "hold")
    messages = ended(patient, key)
    # A message may have been sent if its last attempt had already begun.
    held = [m["id"] for m in messages if m["state"] == "held"]
    assert held and {m["state"] for m in messages} <= {"held", "simulated"}
    assert "messages release" in patient.message(held[0])["deliveries"][0]["reason"]
    patient.run("messages", "release", "--key", key_id(key))
    assert {m["id"]: m["state"] for m in ended(patient, key)} == dict.fromkeys(ids, "simulated")


def test_revoking_with_drop_discards_the_queued_messages(patient):
    key = patient.create_key()
    ids = queued(patient, key)
    patient.run("keys", "revoke", key_id(key), "--queued", "drop")
    messages = ended(patient, key)
    dropped = [m for m in messages if m["state"] == "failed"]
    assert dropped and {m["state"] for m in messages} <= {"failed", "simulated"}
    assert all(m["deliveries"][0]["reason"].startswith(DROPPED) for m in dropped)
    assert {m["id"] for m in messages} == set(ids)
    # `messages retry --key` does not retry dropped messages. `messages retry` with the id of one does.
    assert " 0 deliveries" in patient.run("messages", "retry", "--key", key_id(key)).stderr
    patient.run("messages", "retry", dropped[0]["id"])
    assert patient.wait_for_state(dropped[0]["id"], "simulated", "failed")
