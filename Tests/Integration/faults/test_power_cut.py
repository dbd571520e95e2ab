"""A power cut on a disk whose syncs sometimes fail: an acknowledged message is on the disk, because a sync for it has succeeded.

After a failed sync, the system considers the pages written. So the next sync succeeds without writing them. The relay must not
acknowledge a message because of that next sync.
"""

import asyncio
import signal

import pytest

import queue_file
from load import Client, Ledger, trusting
from power_cut import PowerCut
from sizes import size
from submit import submit
from system_calls import calls, traced

CONNECTIONS = 10
MESSAGES = size(12, 100)
LARGE = (b"z" * 70 + b"\r\n") * 3000
# (first, step): in each thread, this sync fails, and then every sync after so many more. The syncs before belong to the start.
FAILING = size([(3, 5)], [(3, 2), (3, 3), (4, 5), (5, 11)])


@pytest.mark.parametrize("first, step", FAILING)
def test_a_sync_that_succeeds_after_a_failed_one_acknowledges_nothing(own_relay, tmp_path, first, step):
    relay = own_relay({"submission.max_connections_per_client": 1000, "log.level": "notice"}, start=False)
    key = relay.create_key(per_second=1_000_000)
    disk = PowerCut(relay.directory)
    traced(relay, tmp_path / "trace", "-e", f"inject=fsync,fdatasync:error=EIO:when={first}+{step}")
    relay.start()
    ledger = Ledger()
    asyncio.run(load(relay, key, ledger))
    relay.stop(signal.SIGKILL)
    found = calls(tmp_path / "trace")
    disk.after(found)

    after = own_relay(start=False)
    for left in ["relay.db", "relay.db.instances"]:
        (after.directory / left).unlink(missing_ok=True)
    disk.leave(after.directory)
    refused = [message.reply for message in ledger.sent if not message.id]
    assert ledger.accepted and {reply[:10] for reply in refused} <= {"452 4.3.1 "}
    with queue_file.copy(after, tmp_path / "copy") as database:
        assert queue_file.is_sound(database)
        for message in ledger.accepted:
            assert queue_file.content(database, after, message.id).endswith(b"\r\n\r\n" + message.body)
    after.start()
    after.wait_for_state(submit(after, key, b"From: from@example.com\r\n\r\nafterwards\r\n"), "simulated")
    failed = [call for call in found if call.name in ("fsync", "fdatasync") and call.result != 0]
    assert failed and refused
    print(f"{len(ledger.accepted)} acknowledged, {len(refused)} refused, {len(failed)} syncs failed")


async def load(relay, key, ledger):
    context = trusting(relay)

    async def work(number):
        client = await Client.connect(relay, key, ledger, context)
        for message in range(MESSAGES):
            await client.send(content=LARGE if (number + message) % 5 == 0 else b"")
        client.close()

    await asyncio.gather(*(work(number) for number in range(CONNECTIONS)))
