"""Relays on PostgreSQL servers that fail: a primary and its standby, clients that send again, and checks of the ledger."""

import asyncio
import random
import re
import shutil
import subprocess
import time
from collections import Counter

import pytest

import queue_file
from load import Client, Ledger, trusting
from postgresql import Server, wait_until
from relay import BINARY, DEADLINE, clean_environment, free_port
from sizes import IS_FULL

STANDBY = "standby"


class Pair:
    """A primary and a standby on two ports. They change roles, and the relays' URI stays the same.

    `hosts`: two hosts of a network on which they run. The default is the loopback interface.
    `is_synchronous`: whether each commit waits for the standby.
    """

    def __init__(self, directory, stack, *, hosts=(None, None), is_synchronous=True):
        self._directory, self._stack, self._is_synchronous, self._made = directory, stack, is_synchronous, 0
        self._ports = [free_port(), free_port()]
        self._settings = {"max_connections": 200, "log_min_messages": "error"}
        self.primary = stack.enter_context(
            Server(self._next_directory(), port=self._ports[0], host=hosts[0], settings=self._settings))
        self._spare = (self._ports[1], hosts[1])
        self.standby = None
        self.follow()
        addresses = [hosts[0].address, hosts[1].address] if hosts[0] else ["127.0.0.1"] * 2
        places = ",".join(f"{address}:{port}" for address, port in zip(addresses, self._ports))
        self.url = f"postgresql://relay:{self.primary.password}@{places}/relay"

    def _next_directory(self):
        self._made += 1
        return self._directory / f"server{self._made}"

    def follow(self):
        """Makes a new standby on the port of the server that has gone."""
        port, host = self._spare
        self.standby = self._stack.enter_context(
            self.primary.standby(self._next_directory(), name=STANDBY, port=port, host=host, settings=self._settings))
        if self._is_synchronous:
            self.primary.wait_for_commits_on(STANDBY)
            # The standby has the same setting as the primary. So when it is promoted, its commits wait for a standby
            # that does not exist.
            self.standby.set("synchronous_standby_names", f"1 ({STANDBY})")

    def kill_primary(self):
        self.primary.kill()
        shutil.rmtree(self.primary.data)
        self._spare = (self.primary.port, self.primary.host)

    def promote(self):
        """Promotes the standby. Returns when its commits no longer wait for a standby."""
        self.primary, self.standby = self.standby.promote(), None


def waiting_for_standby(server, table="node"):
    """The process ids of the relays' sessions that have changed that table and whose commit waits for the standby."""
    return server.psql(
        "SELECT DISTINCT pid FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE wait_event = 'SyncRep' AND usename = 'relay' "
        f"AND mode = 'RowExclusiveLock' AND relation = '{table}'::regclass").split()


@pytest.fixture
def relays(own_relay):
    """Makes relays on one database: `relays(url, 3)`."""
    def make(url, count, settings=None):
        made = [own_relay(
            {"database": url, "log.level": "notice", "submission.max_connections_per_client": 1000, **(settings or {})},
            start=False) for _ in range(count)]
        if not has_postgresql(made[0]):
            assert not IS_FULL, "build the relay with --traits PostgreSQL"
            pytest.skip("the relay was built without --traits PostgreSQL")
        for relay in made:
            relay.start()
        return made

    return make


def has_postgresql(relay):
    checked = subprocess.run(
        [BINARY, "config", "check", "--config", str(relay.config)], capture_output=True, text=True, env=clean_environment(),
        timeout=DEADLINE)
    return "--traits PostgreSQL" not in checked.stdout + checked.stderr


class Senders:
    """Clients that each send one message after the other. A message that got no 250 is sent again, to any of the relays.

    `answers` has the time, the relay and the message of each 250.
    """

    def __init__(self, relays, keys, connections, content=b""):
        self.relays, self.keys, self.connections, self.content = relays, keys, connections, content
        self.ledger, self.answers = Ledger(), []
        self._contexts = {relay: trusting(relay) for relay in relays}
        self._stopping = None

    async def run(self, act):
        """Sends while `act()`, a function that blocks, runs in a thread. Then goes on until each message has its 250."""
        self._stopping = asyncio.Event()
        working = [asyncio.create_task(self._work(number)) for number in range(self.connections)]
        try:
            await asyncio.to_thread(act)
        finally:
            self._stopping.set()
            # This is enough time for a failover and for two relays that are in doubt about a commit. It usually takes less.
            await asyncio.wait_for(asyncio.gather(*working), 2 * DEADLINE)

    async def _work(self, number):
        key = self.keys[number % len(self.keys)]
        message, client, relay = None, None, None
        while message is not None or not self._stopping.is_set():
            if client is None:
                relay = random.choice(self.relays)
                try:
                    client = await Client.connect(relay, key, self.ledger, self._contexts[relay])
                except (OSError, AssertionError, PermissionError) as error:
                    # The relay can't be reached, or can't look up the key at the moment.
                    self.ledger.refusals.append(str(error))
                    await asyncio.sleep(0.05)
                    continue
            sent = await client.send(content=self.content, again=message)
            message = sent if sent is not None else message
            if sent is not None and sent.id:
                self.answers.append((time.monotonic(), relay, sent))
                message = None
                # Some clients change the relay. Otherwise all clients could stay with the first relay that accepts
                # again, and the others would have none.
                if random.random() < 0.05:
                    client.close()
                    client = None
            else:
                client.close()
                client = None
                await asyncio.sleep(0.05)
        if client is not None:
            client.close()

    def wait_for_answers(self, count):
        """Waits until so many more messages got a 250."""
        end = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= end, lambda: f"{end} answers; there are {len(self.answers)}")

    def wait_for_each_relay(self, moment, server):
        """Waits until each relay has given a 250 for a message that it got after `moment`."""
        def state():
            sessions = server.psql("SELECT pid, state, wait_event, left(query, 60) FROM pg_stat_activity WHERE usename = 'relay'")
            logs = "\n".join("".join(relay.log[-15:]) for relay in self.relays)
            return f"each relay accepts again: {self.first_answers_after(moment)}\n{sessions}\n{logs}"

        wait_until(lambda: None not in self.first_answers_after(moment), state)

    def first_answers_after(self, moment):
        """For each relay, the seconds from `moment` to its next 250 for a message that it got after `moment`."""
        waits = {}
        for answered_at, relay, message in self.answers:
            if message.ended_at > moment:
                waits.setdefault(relay, answered_at - moment)
        return [waits.get(relay) for relay in self.relays]


def rows(server):
    """The subject and the numeric id of each message in the database."""
    lines = server.psql("SELECT id, subject FROM message").splitlines()
    return [(subject, int(number)) for number, _, subject in (line.partition("|") for line in lines)]


def missing(ledger, server):
    """The messages that got a 250 and are not in the database."""
    there = {number for _, number in rows(server)}
    return [message for message in ledger.accepted if queue_file.number(message.id) not in there]


def compare(ledger, server):
    """Asserts that the database has each message that got a 250 once, under the id in the 250. It has no message twice."""
    found = rows(server)
    times = Counter(subject for subject, _ in found)
    assert {subject for subject, count in times.items() if count > 1} == set(), "accepted twice"
    by_subject = dict(found)
    wrong = [message.subject for message in ledger.accepted if by_subject.get(message.subject) != queue_file.number(message.id)]
    assert wrong == [], "acknowledged, and not there under that id"
    assert set(times) <= {message.subject for message in ledger.sent}
    # Each message is counted once, and has a delivery.
    assert int(server.psql("SELECT coalesce(sum(emails), 0) FROM usage")) == len(found)
    assert server.psql("SELECT count(*) FROM message WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE message = message.id)") == "0"


def refusals(ledger):
    """How often each reply other than 250 was given. Only the beginning of a reply counts, because the texts differ."""
    replies = [message.reply for message in ledger.sent if not message.id] + ledger.refusals
    return Counter(reply[:9] for reply in replies)


def doubts(relays):
    """How often a commit that was in doubt ended in each way, according to the relays' logs."""
    found = re.findall(r"the commit of a batch was in doubt ending=(\w+)", "".join(relay.log_text() for relay in relays))
    return Counter(found)
