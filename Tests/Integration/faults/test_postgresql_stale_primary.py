"""After a failover, the old primary starts again as a primary. No relay uses it, and no acknowledged message is lost."""

import asyncio
import contextlib
import json
import os
import signal
import time

import pytest

from network import Network
from postgresql import wait_until
from postgresql_relays import STANDBY, Pair, Senders, compare, relays  # noqa: F401
from sizes import size
from wording import mentions, one_mentions

CONNECTIONS = size(6, 20)
MESSAGES = size(30, 200)


def doctor(relay):
    """doctor's checks of the database: the outcome, the finding and the remedy of each check in one text."""
    checks = json.loads(relay.run("doctor", "--json", check=False).stdout)["checks"]
    return [f"{check['outcome']}: {check['found']} / {check['remedy']}" for check in checks if check["name"] == "database"]


def live_nodes(relay):
    return sorted(node["number"] for node in relay.json("status")[0]["nodes"] if node["live"])


def tells_of_old(relay, old):
    """Whether the log says that the server `old` accepts writes too, and that the other server was promoted."""
    return one_mentions(relay.log, "two primaries", old, "promoted")


def test_an_old_primary_that_starts_again_is_refused(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        *two, third = relays(pair.url, 3)
        old_port = pair.primary.port
        senders = Senders(two, [two[0].create_key(per_second=1_000_000)], CONNECTIONS)

        def act():
            senders.wait_for_answers(MESSAGES)
            old = pair.primary
            old.kill()
            pair.promote()
            senders.wait_for_answers(MESSAGES)
            old.start()
            # Commits on the old primary wait for a standby until an operator resets this setting. After the reset, it
            # could accept mail.
            old.set("synchronous_standby_names", "")
            for relay in two:
                wait_until(lambda: tells_of_old(relay, f"127.0.0.1:{old_port}"), relay.log_text)
                assert " critical" in relay.log_text().lower()
            # A relay and commands that connect for the first time use the new primary, although the URI names the old one first.
            assert len(live_nodes(third)) == 3
            third.stop()
            third.start()
            assert len(live_nodes(third)) == 3
            problems = [text for text in doctor(third) if text.startswith("problem")]
            assert one_mentions(problems, "two primaries", "not reset", "synchronous_standby_names"), problems
            assert not any("ALTER SYSTEM RESET" in text for text in problems), problems
            senders.wait_for_answers(MESSAGES)
            # The relays do not use the old primary while the new one is away either: messages that the old one accepted
            # would be lost.
            before = old.psql("SELECT count(*) FROM message")
            pair.primary.stop("immediate")
            for relay in two:
                wait_until(
                    lambda: one_mentions(relay.log, f"127.0.0.1:{old_port}", "timeline 1", "timeline 2"), relay.log_text)
            pair.primary.start()
            senders.wait_for_answers(MESSAGES)
            assert old.psql("SELECT count(*) FROM message") == before

        asyncio.run(senders.run(act))
        compare(senders.ledger, pair.primary)


def test_an_old_primary_that_comes_back_into_the_network_is_refused(relays, tmp_path):  # noqa: F811
    with Network("primary", "standby", "relays") as network, network["relays"].entered(), contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack, hosts=(network["primary"], network["standby"]))
        two, moments = relays(pair.url, 2), []
        senders, old = Senders(two, [two[0].create_key(per_second=1_000_000)], CONNECTIONS), pair.primary

        def act():
            senders.wait_for_answers(MESSAGES)
            # The packets of the old primary vanish, and no program gets an error.
            network.isolate("primary")
            pair.promote()
            moments.append(time.monotonic())
            senders.wait_for_each_relay(moments[0], pair.primary)
            old.set("synchronous_standby_names", "")
            network.heal()
            for relay in two:
                wait_until(lambda: tells_of_old(relay, f"{old.address}:{old.port}"), relay.log_text)
            # The messages are counted only now, because a late COMMIT may have arrived. Its message was not acknowledged.
            before = old.psql("SELECT count(*) FROM message")
            senders.wait_for_answers(MESSAGES)
            assert old.psql("SELECT count(*) FROM message") == before

        asyncio.run(senders.run(act))
        compare(senders.ledger, pair.primary)
        waits = senders.first_answers_after(moments[0])
        print(f"relays accept again {min(waits):.1f} to {max(waits):.1f} s after the promotion")


def test_of_two_primaries_on_one_timeline_neither_is_used(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        (relay,) = relays(pair.url, 1)
        pair.primary.set("synchronous_standby_names", "")
        # An operator may start a standby as a server of its own in this way. It then begins no new timeline.
        pair.standby.stop()
        (pair.standby.data / "standby.signal").unlink()
        pair.standby.start()
        pair.standby.set("synchronous_standby_names", "")
        wait_until(lambda: one_mentions(relay.log, "two primaries", "timeline 1"), relay.log_text)
        listed = relay.run("keys", "list", check=False)
        assert listed.returncode != 0 and mentions(listed.stderr, "two primaries", "timeline 1", "neither")
        assert any(text.startswith("problem: two primaries") for text in doctor(relay))
        relay.stop()
        with pytest.raises(RuntimeError, match="two primaries.*timeline 1.*neither"):
            relay.start()
        relay.process.wait()
        relay.process = None
        # When one of them is stopped, the relay uses the other one.
        pair.standby.stop()
        relay.start()
        assert live_nodes(relay)


def test_doctor_reports_each_servers_role_and_waiting_commits(relays, tmp_path):  # noqa: F811
    with contextlib.ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        (relay,) = relays(pair.url, 1)
        standby = pair.standby
        names = [f"127.0.0.1:{server.port}" for server in (pair.primary, standby)]
        pair.primary.psql("GRANT pg_monitor TO relay")
        assert any(text.startswith("ok: ") and mentions(text, "commit", f" {STANDBY} / None") for text in doctor(relay))

        # The standby stops without a word, as after a power cut. The primary does not know yet that it has gone.
        processes = standby.processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        wait_until(
            lambda: pair.primary.psql(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query_start < now() - interval '4 seconds'") == "t",
            "a renewal waits for the standby")
        silent = doctor(relay)
        assert one_mentions(silent, "problem: ", "commit", names[0], STANDBY), silent
        assert "pg_terminate_backend" not in "\n".join(silent)
        for process in processes:
            os.kill(process, signal.SIGCONT)

        pair.primary.stop("immediate")
        (lost,) = [text for text in doctor(relay) if text.startswith("problem")]
        found = (f"{names[0]}: Connection refused", f"{names[1]}: standby")
        promotion = "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf(); SELECT pg_promote()"
        assert mentions(lost, "no server", *found, names[1], promotion), lost
        listed = relay.run("keys", "list", check=False)
        assert mentions(listed.stderr, *found)

        pair.promote()
        warnings = [text for text in doctor(relay) if text.startswith("warning: ") and "no standby" in text]
        assert len(warnings) == 1 and f"{names[0]}: Connection refused" in warnings[0], warnings
