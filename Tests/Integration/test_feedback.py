"""Events about messages that SES has accepted: the relay reads them from a queue of moto's SQS and records them."""

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

import sqs
from relay import BINARY, ROOT, free_port
from sqs import Queue, event, notification
from submit import submit
from wording import mentions


@pytest.fixture(scope="module")
def moto():
    with sqs.serving() as url:
        yield url


@pytest.fixture
def queue(moto, request):
    return Queue(moto, re.sub(r"\W", "-", request.node.name)[:60])


def settings(moto, queue_url):
    return {"ses.region": sqs.REGION, "ses.endpoint": moto, "feedback.queue_url": queue_url, "feedback.endpoint": moto,
            "ses.configuration_set": "hiveku-relay"}


@pytest.fixture
def relay(own_relay, moto, queue):
    # Without a configuration set, because moto's SES knows only those that were created.
    return own_relay({k: v for k, v in settings(moto, queue.url).items() if k != "ses.configuration_set"},
                     sqs.CREDENTIALS)


def sent(relay, recipients=("to@example.net",)):
    """A live message that SES has accepted. Returns its id, and SES's id for it."""
    key = relay.create_key("live", per_second=1000)
    message_id = submit(relay, key, b"From: from@example.com\r\n\r\nlive\r\n", list(recipients))
    message = relay.wait_for_state(message_id, "sent")
    return message_id, message["deliveries"][0]["ses_message_id"]


def rows(relay, query, *values):
    database = sqlite3.connect(f"file:{relay.directory}/relay.db?mode=ro", uri=True)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()


def events(relay):
    return rows(relay, "SELECT recipient, kind FROM event ORDER BY recipient, kind")


def counted(relay, count):
    return relay.wait_until(lambda: next((e for e in [events(relay)] if len(e) == count), None), f"{count} events")


def empty(relay, queue):
    relay.wait_until(lambda: queue.left() == 0, "the queue is empty")


def status(relay):
    return relay.json("feedback", "status")[0]


def test_every_kind_of_event_is_recorded_and_deleted_from_the_queue(relay, queue):
    _, ses_id = sent(relay, ["a@example.net", "b@example.net"])
    one, both = ["a@example.net"], ["a@example.net", "b@example.net"]
    queue.put(
        # The raw form, the envelope of SNS, moto's variant of the envelope, and a notification of an identity.
        event("Delivery", ses_id, both), notification(event("DeliveryDelay", ses_id, one)),
        notification(event("Bounce", ses_id, one), as_text=False),
        event("Complaint", ses_id, ["B <b@example.net>"], name="notificationType"),
        event("Reject", ses_id, one), event("Send", ses_id, both), event("Open", ses_id, both),
        event("Click", ses_id, both), event("Subscription", ses_id, both), event("Novel", ses_id, both),
        "Successfully validated SNS topic for Amazon SES event publishing.",
        notification("Successfully validated SNS topic for Amazon SES event publishing.", as_text=False))
    assert counted(relay, 6) == [
        ("a@example.net", "bounced"), ("a@example.net", "delayed"), ("a@example.net", "delivered"),
        ("a@example.net", "rejected"), ("b@example.net", "complained"), ("b@example.net", "delivered")]
    empty(relay, queue)
    assert rows(relay, "SELECT bounce_type, subtype, diagnostic, server, feedback_id FROM event WHERE kind = 'bounced'") == [
        ("hard", "General", "550 5.1.1 user unknown", "mta.example.net", "feedback-1")]
    relay.wait_for_log(" kind=Novel")
    # After a hard bounce or a complaint, the address gets no more mail.
    assert rows(relay, "SELECT environment, address, reason FROM suppression ORDER BY address") == [
        ("live", "a@example.net", "hard_bounce"), ("live", "b@example.net", "complaint")]


def test_duplicate_and_out_of_order_events_count_once(relay, queue):
    _, ses_id = sent(relay)
    delivery = event("Delivery", ses_id, ["to@example.net"])
    queue.put(event("Complaint", ses_id, ["TO@example.net"], at="2026-11-25T00:00:00Z"), delivery, notification(delivery),
              delivery)
    counted(relay, 2)
    empty(relay, queue)
    assert events(relay) == [("to@example.net", "complained"), ("to@example.net", "delivered")]


def test_an_event_for_one_of_fifty_recipients_affects_only_that_one(relay, queue):
    recipients = [f"r{i}@example.net" for i in range(50)]
    _, ses_id = sent(relay, recipients)
    queue.put(event("Bounce", ses_id, ["r17@example.net"]), event("Delivery", ses_id, ["stranger@example.net"]))
    counted(relay, 1)
    empty(relay, queue)
    assert events(relay) == [("r17@example.net", "bounced")]


def test_an_event_that_arrives_before_its_send_is_recorded_waits(relay, queue):
    message_id, ses_id = sent(relay)
    queue.put(event("Delivery", "not-known-yet", ["to@example.net"]))
    relay.wait_until(lambda: status(relay)["waiting"] == 1, "the event waits")
    empty(relay, queue)
    # Now the relay has recorded SES's id for the message.
    database = sqlite3.connect(f"{relay.directory}/relay.db", timeout=60)
    with database:
        database.execute("UPDATE delivery SET ses_message_id = 'not-known-yet' WHERE ses_message_id = ?", (ses_id,))
    database.close()
    counted(relay, 1)
    relay.wait_until(lambda: status(relay)["waiting"] == 0, "nothing waits")


def test_a_message_that_is_not_an_event_is_logged_counted_and_deleted(relay, queue):
    _, ses_id = sent(relay)
    queue.put("this is no JSON hidden@example.net", {"Type": "Notification"}, event("Bounce", "", ["to@example.net"]), "[]",
              event("Delivery", ses_id, ["to@example.net"]))
    counted(relay, 1)
    empty(relay, queue)
    relay.wait_for_log("a message in the SQS queue is not an SES event; it was deleted")
    assert "hidden@example.net" not in relay.log_text()


def test_a_message_of_256_kib_is_read(relay, queue):
    _, ses_id = sent(relay)
    large = event("Bounce", ses_id, ["to@example.net"])
    large["mail"]["headers"] += [{"name": f"X-{i}", "value": "v" * 990} for i in range(255)]
    text = json.dumps(large)
    assert 250 << 10 < len(text) < 256 << 10
    queue.put(*[text])
    counted(relay, 1)
    empty(relay, queue)


def test_a_thousand_events_at_once_are_recorded(relay, queue):
    recipients = [f"r{i}@example.net" for i in range(50)]
    ids = [sent(relay, recipients)[1] for _ in range(2)]
    queue.put(*[event("Delivery", ses_id, [r], at=f"2026-11-24T14:33:{n:02d}Z")
                for ses_id in ids for r in recipients for n in range(10)])
    counted(relay, 1000)
    empty(relay, queue)


def test_events_that_arrived_while_the_relay_was_down_are_read_later(relay, queue):
    _, ses_id = sent(relay)
    relay.stop()
    queue.put(event("Delivery", ses_id, ["to@example.net"]))
    assert status(relay)["state"] in ("idle", "silent", "untried", "working")
    relay.start()
    counted(relay, 1)
    empty(relay, queue)


def test_the_relay_stops_at_once_during_a_long_poll(relay, queue):
    # An event ends the first poll before its time. The next poll finds the queue empty and waits.
    queue.put(event("Delivery", "unknown", ["to@example.net"]))
    relay.wait_until(lambda: status(relay)["last_answer_at"], "an answer from the queue")
    began = time.monotonic()
    assert relay.stop() == 0
    # A long poll lasts 20 s. The relay does not wait for its end.
    assert time.monotonic() - began < 15


def test_an_sqs_outage_is_reported_once_with_a_remedy_and_ends_by_itself(own_relay):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    relay = own_relay({"ses.region": sqs.REGION, "ses.endpoint": url,
                       "feedback.queue_url": f"https://sqs.{sqs.REGION}.amazonaws.com/123456789012/events",
                       "feedback.endpoint": url}, sqs.CREDENTIALS)
    found = relay.wait_until(lambda: next((s for s in [status(relay)] if s["failure"]), None), "the failure")
    assert found["state"] == "failing" and "Connection refused" in found["failure"]
    assert "feedback.queue_url" in found["failure"]
    assert mentions(relay.run("feedback", "status").stdout, "failing", found["failure"])
    with sqs.serving(port):
        # The server is there now, but it does not have this queue yet.
        relay.wait_for_log("reason=no_queue")
        queue = Queue(url)
        _, ses_id = sent(relay)
        queue.put(event("Delivery", ses_id, ["to@example.net"]))
        counted(relay, 1)
        relay.wait_for_log("the SQS queue of events is read again")
        relay.wait_until(lambda: status(relay)["failure"] is None, "the failure is over")
        assert relay.log_text().count("reason=unreachable") == 1
        relay.stop()


def test_an_event_that_cannot_be_committed_is_not_deleted(relay, queue):
    _, ses_id = sent(relay)
    # Another process locks the database for longer than the relay waits.
    database = sqlite3.connect(f"{relay.directory}/relay.db", timeout=60, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    queue.put(event("Delivery", ses_id, ["to@example.net"]))
    relay.wait_for_log("events can't be recorded")
    assert queue.left() == 1
    database.execute("COMMIT")
    database.close()
    counted(relay, 1)
    empty(relay, queue)


def test_metrics_count_events(own_relay, moto, queue):
    port = free_port()
    chosen = settings(moto, queue.url)
    del chosen["ses.configuration_set"]
    relay = own_relay({**chosen, "metrics.listen": f"127.0.0.1:{port}"}, sqs.CREDENTIALS)
    _, ses_id = sent(relay)
    queue.put(event("Delivery", ses_id, ["to@example.net"]), "no JSON")
    counted(relay, 1)
    empty(relay, queue)

    def page():
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    for line in ('hiveku_relay_feedback_events_total{kind="delivered"} 1', "hiveku_relay_feedback_queue_failing 0",
                 'hiveku_relay_feedback_dropped_total{reason="malformed"} 1', "hiveku_relay_feedback_messages_total 2"):
        relay.wait_until(lambda: line in page(), line)


# -- commands


def test_feedback_status_without_a_queue_is_off_and_points_to_the_help(own_relay):
    relay = own_relay()
    assert status(relay)["state"] == "off"
    assert "feedback --help" in relay.run("feedback", "status").stdout


def test_the_template_passes_cfn_lint(tmp_path):
    template = tmp_path / "template.yaml"
    template.write_text(subprocess.run([BINARY, "feedback", "template"], capture_output=True, text=True, check=True).stdout)
    linted = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--regions", "us-east-1", "eu-west-1", "--include-checks", "I", "--", str(template)],
        capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_template_holds_what_the_relay_needs():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: (
        loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True)))
    text = subprocess.run([BINARY, "feedback", "template"], capture_output=True, text=True, check=True).stdout
    template = yaml.load(text, Loader)
    resources = template["Resources"]
    statements = resources["RelayPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    actions = {action for statement in statements for action in statement["Action"]}
    assert actions == {"ses:SendEmail", "ses:SendRawEmail", "ses:GetAccount", "ses:GetEmailIdentity", "ses:ListEmailIdentities",
                       "ses:CreateEmailIdentity", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    # The README names every right that the template gives, and no other.
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"`((?:ses|sqs):\w+)`", readme)) == actions
    kinds = resources["EventDestination"]["Properties"]["EventDestination"]["MatchingEventTypes"]
    assert not {"open", "click"} & set(kinds) and {"bounce", "complaint", "delivery"} < set(kinds)
    # The lines of the output are settings of the relay.
    lines = yaml.safe_load(re.sub(r"\$\{[\w:]+\}", "x", template["Outputs"]["RelaySettings"]["Value"]))
    assert lines == {"ses": {"region": "x", "configuration_set": "x"}, "feedback": {"queue_url": "x"}}


def test_doctor_checks_the_queue_and_reports_a_missing_one(own_relay, moto, queue):
    relay = own_relay(settings(moto, queue.url), sqs.CREDENTIALS)
    found = [c for c in json.loads(relay.run("doctor", "--json", check=False).stdout)["checks"] if c["name"] == "feedback"]
    assert found[0]["outcome"] == "ok" and mentions(found[0]["found"], queue.url, "0")
    relay.stop()
    relay.write_settings({**settings(moto, queue.url + "-other")})
    found = [c for c in json.loads(relay.run("doctor", "--json", check=False).stdout)["checks"] if c["name"] == "feedback"]
    assert found[0]["outcome"] == "problem" and mentions(found[0]["found"], queue.url + "-other", "feedback.queue_url")


def test_doctor_warns_if_there_is_no_event_queue(own_relay):
    relay = own_relay()
    relay.create_key("live")
    checks = json.loads(relay.run("doctor", "--json", check=False).stdout)["checks"]
    found = next(c for c in checks if c["name"] == "feedback")
    assert found["outcome"] == "warning" and "feedback.queue_url" in found["found"]
