"""moto's server with SES and SQS, and events in the shapes that SES documents.

moto has no event destinations, so the tests put the events into the queue themselves.
"""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request

import boto3

from relay import DEADLINE, clean_environment, free_port

REGION = "eu-west-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}


def client(url, service):
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


@contextlib.contextmanager
def serving(port=None):
    """Yields the URL of a server whose SES has verified example.com."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=DEADLINE).read()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, "moto's server did not start"
                time.sleep(0.05)
        client(url, "sesv2").create_email_identity(EmailIdentity="example.com")
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE)


class Queue:
    def __init__(self, url, name="events", visibility=30):
        self.sqs = client(url, "sqs")
        self.url = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility)})["QueueUrl"]

    def put(self, *bodies):
        bodies = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        for start in range(0, len(bodies), 10):
            self.sqs.send_message_batch(
                QueueUrl=self.url,
                Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start:start + 10])])

    def left(self):
        """How many messages have not been deleted, whether a consumer has received them or not."""
        found = self.sqs.get_queue_attributes(
            QueueUrl=self.url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])["Attributes"]
        return sum(int(number) for number in found.values())


def event(kind, ses_id, recipients, at="2026-11-24T14:33:17.042Z", name="eventType", **details):
    """An event of SES, in the form of "Contents of event data that Amazon SES publishes to Amazon SNS"."""
    member = {"Bounce": "bounce", "Complaint": "complaint", "Delivery": "delivery", "DeliveryDelay": "deliveryDelay",
              "Reject": "reject", "Rendering Failure": "failure", "Send": "send", "Open": "open", "Click": "click",
              "Subscription": "subscription"}.get(kind, kind.lower())
    entries = [{"emailAddress": address, "status": "5.1.1", "action": "failed",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown"} for address in recipients]
    what = {
        "Bounce": {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": entries,
                   "timestamp": at, "feedbackId": "feedback-1", "reportingMTA": "dns; mta.example.net"},
        "Complaint": {"complainedRecipients": [{"emailAddress": a} for a in recipients], "timestamp": at,
                      "feedbackId": "feedback-2", "complaintSubType": None, "complaintFeedbackType": "abuse"},
        "Delivery": {"recipients": recipients, "timestamp": at, "processingTimeMillis": 500,
                     "smtpResponse": "250 2.6.0 OK", "remoteMtaIp": "192.0.2.7",
                     "reportingMTA": "a1.smtp-out.amazonses.com"},
        "DeliveryDelay": {"delayedRecipients": entries, "timestamp": at, "delayType": "MailboxFull",
                          "expirationTime": at},
        "Reject": {"reason": "Bad content"},
        "Rendering Failure": {"templateName": "t", "errorMessage": "Attribute 'name' is not present"},
    }.get(kind, {})
    return {
        name: kind, member: {**what, **details},
        "mail": {"timestamp": at, "messageId": ses_id, "source": "from@example.com", "destination": recipients,
                 "sendingAccountId": "123456789012", "headersTruncated": False,
                 "headers": [{"name": "Subject", "value": "Grüße"}], "commonHeaders": {"subject": "Grüße"},
                 "tags": {"ses:configuration-set": ["hiveku-relay"]}}}


def notification(event, as_text=True):
    """The event in the envelope of SNS. moto's envelope has the event as an object instead of text."""
    return {"Type": "Notification", "MessageId": "0ec3ac6d", "TopicArn": f"arn:aws:sns:{REGION}:123456789012:events",
            "Message": json.dumps(event) if as_text else event, "Timestamp": "2026-11-24T14:33:18.000Z",
            "SignatureVersion": "1", "Signature": "c2ln"}
