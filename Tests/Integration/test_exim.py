"""After 535, Exim goes on without AUTH, unless it is configured not to.

If a key is refused, Exim must keep its queue and log why.
"""

import os

import pytest

from exim import Exim
from relay import key_id


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Exim changes its user, and needs a mount namespace for that")


@pytest.fixture
def exim(tmp_path, own_relay):
    relay = own_relay()
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return relay, lambda key: Exim(tmp_path, relay, key)


def test_a_queue_waits_until_the_key_is_corrected(exim):
    relay, start = exim
    revoked, good = relay.create_key(per_second=100), relay.create_key(per_second=100)
    client = start(revoked)
    for number in range(10):
        client.inject(f"to{number}@example.net", f"From: from@example.com\nSubject: {number}\n\nHello\n")
    relay.run("keys", "revoke", key_id(revoked))
    client.deliver()
    # Exim returns nothing to the sender, and its log has the reason.
    assert client.queue == 10, client.log
    assert "[key-revoked]" in client.log
    assert " ** " not in client.log
    client.use(good)
    client.deliver()
    assert client.queue == 0, client.log
    assert client.log.count("queued as") == 10
