"""kill -9 at any moment while events arrive: an event that was deleted from SQS is recorded, and each event goes to the webhook."""

import json
import random
import signal
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from relay import DEADLINE, key_id
from ses import CREDENTIALS
from sizes import size
from sqs_standin import SQSStandIn

ROUNDS = size(8, 200)
# The messages of each round. Each gets one or two events.
MESSAGES = 40
# The longest time, in seconds, that a relay runs while there are events to read.
LONGEST = 0.6
KINDS = ["Delivery", "Bounce", "Complaint", "DeliveryDelay"]
RECORDED = {"Delivery": "delivered", "Bounce": "bounced", "Complaint": "complained", "DeliveryDelay": "delayed"}
WEBHOOK = {"delivered": "delivery", "bounced": "bounce", "complained": "complaint", "delayed": "delay"}


def event(kind, ses_id, recipient, moment):
    time_text = f"2026-11-28T12:00:{moment // 1000:02}.{moment % 1000:03}Z"
    part = {
        "Delivery": ("delivery", {"recipients": [recipient], "smtpResponse": "250 ok"}),
        "Bounce": ("bounce", {"bounceType": "Permanent", "bounceSubType": "General", "feedbackId": "f",
                              "bouncedRecipients": [{"emailAddress": recipient, "diagnosticCode": "smtp; 550 5.1.1"}]}),
        "Complaint": ("complaint", {"complainedRecipients": [{"emailAddress": recipient}], "feedbackId": "f"}),
        "DeliveryDelay": ("deliveryDelay", {"delayType": "MailboxFull",
                                            "delayedRecipients": [{"emailAddress": recipient}]}),
    }[kind]
    document = {"eventType": kind, "mail": {"messageId": ses_id, "destination": [recipient]},
                part[0]: {"timestamp": time_text, **part[1]}}
    return json.dumps({"Type": "Notification", "Message": json.dumps(document)})


class Receiver:
    """Accepts every call, and records the webhook-ids with which each event came."""

    def __init__(self):
        self.calls, self.lock = {}, threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                event = (document["type"], document["data"]["email_id"], document["data"]["to"])
                with receiver.lock:
                    receiver.calls.setdefault(event, []).append(self.headers["webhook-id"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def fill_sent(relay, key, round_number):
    """Puts messages into the database as if the relay had sent them to SES. Returns a list of (SES id, recipient, id)."""
    now = round(time.time() * 1000)
    rows = []
    with sqlite3.connect(relay.directory / "relay.db", timeout=DEADLINE) as database:
        for n in range(MESSAGES):
            message = (now - 1_577_836_800_000) << 22 | 1023 << 12 | n
            recipient = f"to-{round_number}-{n}@example.net"
            ses_id = f"ses-{round_number}-{n}"
            database.execute(
                "INSERT INTO message (id, key, lane, reverse_path, subject, size, accepted_at) "
                "VALUES (?, ?, 'live', 'from@example.com', 'killed', 1, ?)", (message, key_id(key), now))
            database.execute(
                "INSERT INTO delivery (message, key, lane, recipients, state, attempts, next_attempt_at, queued_since, "
                "ses_message_id, ended_at) VALUES (?1, ?2, 'live', ?3, 'sent', 1, ?4, ?4, ?5, ?4)",
                (message, key_id(key), recipient, now, ses_id))
            rows.append((ses_id, recipient, message))
    database.close()
    return rows


def recorded(relay):
    database = sqlite3.connect(f"file:{relay.directory}/relay.db?mode=ro", uri=True, timeout=DEADLINE)
    try:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return set(database.execute("SELECT kind, message, recipient FROM event"))
    finally:
        database.close()


def test_kill_at_any_moment_loses_no_event_that_was_deleted_from_the_queue(own_relay):
    chance, receiver = random.Random(), Receiver()
    with SQSStandIn() as queue:
        relay = own_relay({
            "log.level": "notice", "feedback.queue_url": queue.queue_url, "feedback.endpoint": queue.url,
            "feedback.region": "us-east-1", "webhooks.private_networks": ["127.0.0.0/8"]}, CREDENTIALS, start=False)
        key = relay.create_key("live")
        relay.run("webhooks", "create", "--key", key_id(key), "--url", receiver.url)
        expected, told = {}, []
        for number in range(ROUNDS):
            for ses_id, recipient, message in fill_sent(relay, key, number):
                for kind in chance.sample(KINDS, chance.choice([1, 1, 2])):
                    body = event(kind, ses_id, recipient, chance.randrange(60_000))
                    # SQS may hand out a message twice.
                    for _ in range(chance.choice([1, 1, 1, 2])):
                        told.append((queue.send(body), (RECORDED[kind], message, recipient)))
            relay.start()
            time.sleep(chance.random() * LONGEST)
            relay.stop(signal.SIGKILL)
            deleted, there = set(queue.deleted), recorded(relay)
            lost = [what for handle, what in told if handle in deleted and what not in there]
            assert not lost, f"round {number}: {lost[:5]}"
            queue.relay_died()
        relay.start()
        relay.wait_until(lambda: not queue.bodies, "all messages are deleted from the queue")
        there = recorded(relay)
        assert there == {what for _, what in told}
        wanted = {(WEBHOOK[kind], recipient) for kind, _, recipient in there}
        relay.wait_until(lambda: {(kind, to) for kind, _, to in list(receiver.calls)} >= wanted, "all events at the webhook", 300)
        # An event that came twice had the same webhook-id, and no webhook-id was used for two events.
        ids = {event: set(found) for event, found in receiver.calls.items()}
        assert all(len(found) == 1 for found in ids.values())
        assert len(set.union(*ids.values())) == len(ids)
        repeats = sum(len(found) - 1 for found in receiver.calls.values())
        print(f"{ROUNDS} rounds: {len(there)} events, each recorded once, all at the webhook, {repeats} repeats there")
    receiver.close()
