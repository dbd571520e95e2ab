"""The clock is set forward and back by a day, while the relay runs and while it does not.

The relay goes on, and no message is lost.
"""

import re
import signal
import threading

import pytest

from relay import free_port, key_id
from ses import CREDENTIALS, REGION
from ses_standin import SESStandIn, slow
from shims import Clock
from sizes import IS_FULL
from submit import send, session, submit

DAY = 86_400
CONTENT = "From: from@example.com\r\nSubject: {0}\r\nMessage-ID: <{0}@example.com>\r\n\r\n{0}\r\n"


def content(subject):
    return CONTENT.format(subject).encode()


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def environment(clock):
    return {**CREDENTIALS, **clock.environment}


@pytest.mark.parametrize("steps", [[DAY, 0], [-DAY, 0], [DAY, -DAY, 0]], ids=["forwards", "backwards", "both"])
def test_messages_are_sent_despite_clock_steps_while_the_relay_runs(own_relay, clock, steps):
    with SESStandIn() as ses:
        relay = own_relay({"ses.region": REGION, "ses.endpoint": ses.url}, environment(clock))
        live, test = relay.create_key("live"), relay.create_key("test")
        with session(relay, live) as live_smtp, session(relay, test) as test_smtp:
            for number, ahead in enumerate([0, *steps]):
                clock.is_ahead(ahead)
                # A connection from before the step, and a new one, for which the certificate must be valid.
                for key, smtp, state in [(live, live_smtp, "sent"), (test, test_smtp, "simulated")]:
                    subjects = [f"{number} {way} {state}" for way in ("old", "new")]
                    code, text = send(smtp, content(subjects[0]))
                    assert code == 250, text
                    ids = [re.search(r"queued as (\w+)", text)[1], submit(relay, key, content(subjects[1]))]
                    for message_id in ids:
                        relay.wait_for_state(message_id, state)
        assert sorted(t.subject for t in ses.taken) == sorted(
            f"{number} {way} sent" for number in range(len(steps) + 1) for way in ("old", "new"))
    for key in [live, test]:
        assert relay.json("keys", "show", key_id(key))[0]["emails_total"] == 2 * (len(steps) + 1)


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forwards", "backwards"])
def test_a_clock_step_while_stopped_repeats_no_id_and_delays_no_message(own_relay, clock, ahead):
    """An id, which contains the time, must not occur twice. And a queued message must not wait for a day."""
    relay = own_relay(environment=clock.environment)
    key = relay.create_key(per_second=1000)
    before = [submit(relay, key, content(f"before {number}")) for number in range(3)]
    relay.stop(signal.SIGKILL)
    clock.is_ahead(ahead)
    relay.start()
    after = [submit(relay, key, content(f"after {number}")) for number in range(3)]
    assert sorted(before + after) == before + after
    for message_id in before + after:
        relay.wait_for_state(message_id, "simulated")


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forwards", "backwards"])
def test_a_clock_step_during_an_ses_call_does_not_send_a_message_twice(own_relay, clock, ahead):
    """The lease seems to have ended, but the relay still has it. So the message is sent once."""
    answered = threading.Event()
    with SESStandIn() as ses:
        relay = own_relay({"ses.region": REGION, "ses.endpoint": ses.url}, environment(clock))
        ses.script.append(slow(answered))
        message_id = submit(relay, relay.create_key("live"), content("under way"))
        relay.wait_until(lambda: ses.count("under way"), "SES is called")
        clock.is_ahead(ahead)
        relay.wait_for_state(submit(relay, relay.create_key("test"), content("another")), "simulated")
        answered.set()
        delivery = relay.wait_for_state(message_id, "sent")["deliveries"][0]
        assert (ses.count("under way"), delivery["attempts"], delivery["maybe_duplicate"]) == (1, 1, False)


@pytest.mark.skipif(not IS_FULL, reason="takes the half minute between two checks of the whole queue")
def test_a_retry_is_not_delayed_by_setting_the_clock_back(own_relay, clock):
    port = free_port()
    relay = own_relay({"ses.region": REGION, "ses.endpoint": f"http://127.0.0.1:{port}"}, environment(clock))
    message_id = submit(relay, relay.create_key("live"), content("again"))
    relay.wait_until(lambda: relay.message(message_id)["deliveries"][0]["history"], "a first try")
    clock.is_ahead(-DAY)
    with SESStandIn(port) as ses:
        relay.wait_for_state(message_id, "sent")
        assert ses.count("again") == 1
    relay.wait_for_log("the clock was set back")
