"""Whatever SES answers, no message is lost, and none is sent twice without a mark. The record says what happened and what to do."""

import random
import re
import signal
import threading

import pytest

from relay import free_port, key_id
from ses import CREDENTIALS, REGION
from ses_standin import (
    BROKEN_JSON, CUT_AFTER_TAKING, OK, SERVER_ERROR, THROTTLE, SESStandIn, error, not_verified, slow)
from submit import send, session, submit
from test_lifecycle import refuses
from wording import mentions, one_mentions


@pytest.fixture
def ses():
    with SESStandIn() as ses:
        yield ses


@pytest.fixture
def live(own_relay, ses):
    return own_relay(settings(ses.url), CREDENTIALS)


def settings(url):
    return {"ses.region": REGION, "ses.endpoint": url, "delivery.retry_first": "1s"}


def message(subject):
    return f"From: from@example.com\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n".encode()


def delivery(relay, message_id):
    return relay.message(message_id)["deliveries"][0]


def outcomes(relay, message_id):
    return [attempt["outcome"] for attempt in delivery(relay, message_id)["history"]]


def live_lane(relay):
    return next((lane for lane in relay.json("status")[0]["lanes"] if lane["lane"] == "live"), None)


def test_the_call_to_ses_is_signed_and_complete(live, ses):
    key = live.create_key("live")
    message_id = submit(live, key, message("plain"), ["a@example.net", "b@example.net"])
    live.wait_for_state(message_id, "sent")
    assert [(t.subject, t.recipients) for t in ses.taken] == [("plain", ("a@example.net", "b@example.net"))]
    assert ses.taken[0].raw.endswith(b"\r\n\r\nbody of plain\r\n")
    assert re.match(rf"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{{8}}/{REGION}/ses/aws4_request,", ses.calls[0])
    assert delivery(live, message_id)["ses_message_id"] == "0100018d-stand-in-000000"


@pytest.mark.parametrize("answer, word, times_taken, maybe_duplicate", [
    (THROTTLE, "TooManyRequestsException", 1, False),
    (SERVER_ERROR, "InternalServiceErrorException", 1, True),
    (CUT_AFTER_TAKING, "connection-lost", 2, True),
    (BROKEN_JSON, "unreadable-answer", 2, True),
], ids=["throttled", "server-error", "cut", "broken-json"])
def test_transient_ses_errors_are_retried(live, ses, answer, word, times_taken, maybe_duplicate):
    ses.script.append(answer)
    message_id = submit(live, live.create_key("live"), message("again"))
    live.wait_for_state(message_id, "sent")
    assert outcomes(live, message_id) == ["retry", "sent"]
    found = delivery(live, message_id)
    assert found["history"][0]["reason"].startswith(word + ": ")
    assert (ses.count("again"), found["maybe_duplicate"]) == (times_taken, maybe_duplicate)


@pytest.mark.parametrize("sender", ["www-data@web01", "root@[192.0.2.7]", "cron@nas.local"])
def test_mail_of_a_sender_that_cannot_be_an_ses_identity_is_sent(live, ses, sender):
    """SES would refuse the message because of such a sender, and nobody can verify such a name."""
    ses.unverified = {sender}
    message_id = submit(live, live.create_key("live"), message("cron"), sender=sender)
    live.wait_for_state(message_id, "sent")
    assert [taken.feedback for taken in ses.taken] == [None]
    assert outcomes(live, message_id) == ["sent"]
    note = delivery(live, message_id)["reason"]
    assert sender in note and "From address" in note and "Return-Path" in note
    # A test key's record says the same.
    message_id = submit(live, live.create_key("test"), message("cron"), sender=sender)
    live.wait_for_state(message_id, "simulated")
    assert delivery(live, message_id)["reason"] == note


def test_a_sender_that_is_not_verified_is_left_out(live, ses):
    ses.unverified = {"app@other.example"}
    key = live.create_key("live")
    for number in range(2):
        message_id = submit(live, key, message(f"other {number}"), sender="app@other.example")
        live.wait_for_state(message_id, "sent")
        assert outcomes(live, message_id) == ["sent"]
        assert mentions(delivery(live, message_id)["reason"], "app@other.example", "ses.region")
    # For the second message, the relay leaves the sender out from the beginning, without another call.
    assert ([taken.feedback for taken in ses.taken], len(ses.calls)) == ([None, None], 3)
    message_id = submit(live, key, message("own"), sender="app@shop.example")
    live.wait_for_state(message_id, "sent")
    assert ses.taken[-1].feedback == "app@shop.example" and delivery(live, message_id)["reason"] is None


def test_messages_wait_while_ses_is_unreachable(own_relay):
    port = free_port()
    relay = own_relay(settings(f"http://127.0.0.1:{port}"), CREDENTIALS)
    message_id = submit(relay, relay.create_key("live"), message("early"))
    relay.wait_until(lambda: outcomes(relay, message_id), "a first try")
    assert delivery(relay, message_id)["reason"].startswith("connection-failed: ")
    with SESStandIn(port) as ses:
        relay.wait_for_state(message_id, "sent")
        assert ses.count("early") == 1
    # No SES can have accepted the message before.
    assert not delivery(relay, message_id)["maybe_duplicate"]


@pytest.mark.parametrize("answer, calls, parts", [
    (error(404, "NotFoundException", "Configuration set <none> does not exist."), 1, ["ses.configuration_set"]),
    # The envelope sender is the same address. So the relay first tries again without it.
    (not_verified("from@example.com"), 2, ["sender", "ses.region"]),
    (error(400, "MailFromDomainNotVerifiedException"), 1, ["MAIL FROM", "MX record"]),
], ids=["not-found", "not-verified", "mail-from"])
def test_a_fixable_ses_error_fails_with_a_remedy_and_can_be_retried(live, ses, answer, calls, parts):
    ses.script.extend([answer] * calls)
    message_id = submit(live, live.create_key("live"), message("corrected"))
    live.wait_for_state(message_id, "failed")
    reason = delivery(live, message_id)["reason"]
    assert reason.startswith(answer.error + ": ") and mentions(reason, *parts) and "hiveku-relay messages retry" in reason
    assert answer.message in reason
    assert " 1 delivery" in live.run("messages", "retry", message_id).stderr
    live.wait_for_state(message_id, "sent")
    assert ses.count("corrected") == 1
    assert outcomes(live, message_id) == ["failed", "sent"]


@pytest.mark.parametrize("answer, level", [
    (error(403, "AccountSuspendedException", "Your account is suspended."), "CRITICAL"),
    (error(400, "SendingPausedException", "Sending is paused."), "CRITICAL"),
    (error(429, "TooManyRequestsException", "Daily message quota exceeded."), "WARNING"),
    (error(403, "InvalidClientTokenId", "The security token included in the request is invalid."), "CRITICAL"),
], ids=["suspended", "paused", "quota", "credentials"])
def test_an_account_wide_ses_error_holds_the_lane_and_fails_no_message(live, ses, answer, level):
    """The lane is held until a probe, after 30 s, succeeds.

    Another test covers that with a simulated clock. A new start tries at once.
    """
    ses.answer = answer
    key, test_key = live.create_key("live"), live.create_key("test")
    with session(live, key) as smtp:
        for number in range(5):
            assert send(smtp, message(f"held {number}"))[0] == 250
    live.wait_until(lambda: (lane := live_lane(live)) and lane["held"], "the live lane is held")
    assert answer.error in live_lane(live)["held_because"]
    assert "HELD" in live.run("status").stdout
    # Messages of test keys are not affected.
    live.wait_for_state(submit(live, test_key, message("test")), "simulated")
    live.wait_until(
        lambda: {m["state"] for m in live.json("messages", "list", "--key", key_id(key))} == {"queued"},
        "all messages are queued again")
    held = live.json("messages", "list", "--key", key_id(key))
    assert [m["deliveries"][0]["attempts"] for m in held] == [0] * 5
    assert ses.taken == []
    live.wait_for_log("the lane is held")
    told = [line for line in live.log_text().splitlines() if "the lane is held" in line]
    assert len(told) == 1 and level in told[0].upper()
    ses.answer = OK
    assert live.stop() == 0
    live.start()
    for number, found in enumerate(reversed(held)):
        live.wait_for_state(found["id"], "sent")
        assert ses.count(f"held {number}") == 1
    assert not live_lane(live)["held"]


def test_a_missing_ses_quota_is_logged_and_mail_is_still_sent(own_relay, ses):
    ses.quota = None
    relay = own_relay(settings(ses.url), CREDENTIALS)
    message_id = submit(relay, relay.create_key("live"), message("untold"))
    relay.wait_for_state(message_id, "sent")
    relay.wait_until(lambda: one_mentions(relay.log, "GetAccount", "ses.max_send_rate"), "the missing quota in the log")


def test_a_shutdown_waits_for_the_pending_ses_answer(live, ses):
    answered = threading.Event()
    ses.script.append(slow(answered))
    message_id = submit(live, live.create_key("live"), message("at the end"))
    live.wait_until(lambda: ses.count("at the end"), "SES is called")
    status = []
    stopper = threading.Thread(target=lambda: status.append(live.stop()))
    process = live.process
    stopper.start()
    # The relay first closes its listeners, and then waits.
    live.wait_until(lambda: refuses(live.ports["smtps"]), "the listener is closed")
    assert process.poll() is None
    answered.set()
    stopper.join()
    assert status == [0]
    found = live.message(message_id)
    assert (found["state"], found["deliveries"][0]["maybe_duplicate"]) == ("sent", False)
    assert ses.count("at the end") == 1


def test_a_kill_before_the_ses_answer_marks_a_possible_duplicate(live, ses):
    answered = threading.Event()
    ses.script.append(slow(answered))
    message_id = submit(live, live.create_key("live"), message("twice"))
    live.wait_until(lambda: ses.count("twice"), "SES is called")
    live.stop(signal.SIGKILL)
    answered.set()
    live.start()
    live.wait_for_state(message_id, "sent")
    assert ses.count("twice") == 2
    assert delivery(live, message_id)["maybe_duplicate"]
    assert outcomes(live, message_id) == ["retry", "sent"]
    assert delivery(live, message_id)["history"][0]["reason"].startswith("interrupted: ")


def test_every_message_arrives_although_half_of_ses_answers_are_bad(live, ses):
    """Half of the answers to many messages are bad. Each message arrives, and a message that arrives twice is marked."""
    answers = [THROTTLE, SERVER_ERROR, CUT_AFTER_TAKING, BROKEN_JSON]
    ses.script.extend(random.Random(1).choices([OK] * 4 + answers, k=60))
    keys = [live.create_key("live", per_second=1000) for _ in range(3)]
    ledger = {}
    for index, key in enumerate(keys):
        with session(live, key) as smtp:
            for number in range(20):
                code, text = send(smtp, message(f"weather {index} {number}"))
                assert code == 250
                ledger[re.search(r"queued as (\w+)", text)[1]] = f"weather {index} {number}"

    def ended():
        found = [m for key in keys for m in live.json("messages", "list", "--key", key_id(key))]
        return found if {m["state"] for m in found} == {"sent"} else None

    messages = live.wait_until(ended, "all messages sent")
    assert {m["id"]: m["subject"] for m in messages} == ledger
    marked = {m["subject"] for m in messages if m["deliveries"][0]["maybe_duplicate"]}
    counts = {subject: ses.count(subject) for subject in ledger.values()}
    assert min(counts.values()) == 1
    assert {subject for subject, count in counts.items() if count > 1} <= marked
