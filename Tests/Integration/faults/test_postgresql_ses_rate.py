"""Three relays together keep to SES's rate and use most of it, while one joins and one is killed."""

import asyncio
import signal
import time

from load import Client, Ledger, trusting
from ses_standin import SESStandIn
from shared_database import Group, server, ses_settings, wait_until
from sizes import IS_FULL, size

__all__ = ["server"]

RATE = 20
# Each number of relays works for so many seconds.
STAGE = size(5, 30)


class TimedSES(SESStandIn):
    """Records the time of each call."""

    def __init__(self):
        super().__init__(keeps_raw=False)
        self.quota["MaxSendRate"] = float(RATE)
        self.times = []

    def _post(self, request):
        self.times.append(time.monotonic())
        super()._post(request)


def test_three_relays_keep_to_the_rate_of_ses_while_one_joins_and_one_is_killed(own_relay, server):
    with TimedSES() as ses:
        group = Group(own_relay, server, 2, ses_settings(ses))
        key = group[0].create_key("live", per_second=1_000_000)
        group.wait_for_parts(2)
        ledger = Ledger()
        # These are more messages than the rate allows during the test.
        asyncio.run(fill(group, key, ledger, RATE * (STAGE * 3 + 40)))
        at_work(ses, STAGE)
        group.join()
        group.wait_for_parts(3)
        began = at_work(ses, 2)
        ended = at_work(ses, STAGE)
        group[0].stop(signal.SIGKILL)
        group.wait_for_parts(2)
        at_work(ses, STAGE)
        for relay in group.relays[1:]:
            relay.stop()
        times = sorted(ses.times)
        most = max(within(times, start, 1) for start in times)
        used = sum(began <= moment < ended for moment in times) / (ended - began) / RATE
        print(f"{len(times)} calls to SES, {most} in the busiest second of {RATE}; three relays used {used:.1%} of the rate")
        # On a busy machine, calls reach the stand-in late, and then many at once. So the test uses the recorded times at
        # which the relays began them. It looks at five seconds, because a relay knows the server's time only to some
        # hundredths of a second. Only sent attempts count, because the record of an abandoned one has the time of its
        # claim.
        begun = sorted(int(line) / 1000 for line in server.psql("SELECT started_at FROM attempt WHERE outcome = 'sent'").split())
        assert max(within(begun, start, 5) for start in begun) <= 5 * RATE
        if IS_FULL:
            assert most <= RATE
            assert used >= 0.9


async def fill(group, key, ledger, count):
    clients = [await Client.connect(relay, key, ledger, trusting(relay)) for relay in group.relays]

    async def work(client):
        for _ in range(count // len(clients)):
            assert (await client.send()).id
        client.close()

    await asyncio.gather(*(work(client) for client in clients))


def at_work(ses, seconds):
    """Waits until SES is called more than so many seconds after now. Returns the time."""
    began = time.monotonic()
    wait_until(lambda: ses.times and ses.times[-1] > began + seconds, "SES is called")
    return time.monotonic()


def within(times, start, seconds):
    """The number of calls within so many seconds from `start` on."""
    return sum(start <= moment < start + seconds for moment in times)
