#!/usr/bin/env python3
"""Acts as SQS: gives out SES events at a given rate, and accepts their deletion.

  sqs_standin.py PREFIX COUNT RATE

There is one event for each of the SES message ids PREFIX0 to PREFIX(COUNT - 1): a delivery, in a notification from SNS. RATE
is the number of events a second. 0 means that events come as fast as they are requested. The program prints its port. When
its input ends, it prints how many events it gave out and how many were deleted.
"""

import asyncio
import json
import sys
import time

PREFIX, COUNT, RATE = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def body(number):
    event = {
        "eventType": "Delivery",
        "mail": {
            "timestamp": "2026-11-28T12:00:00.000Z", "source": "sender@example.com", "messageId": f"{PREFIX}{number}",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com", "sendingAccountId": "123456789012",
            "destination": ["recipient@example.net"], "headersTruncated": False,
            "headers": [{"name": "From", "value": "sender@example.com"}, {"name": "To", "value": "recipient@example.net"},
                        {"name": "Subject", "value": "a message that was sent"}, {"name": "MIME-Version", "value": "1.0"}],
            "commonHeaders": {"from": ["sender@example.com"], "to": ["recipient@example.net"],
                              "subject": "a message that was sent"},
            "tags": {"ses:configuration-set": ["hiveku"], "ses:source-ip": ["192.0.2.1"],
                     "ses:from-domain": ["example.com"], "ses:caller-identity": ["relay"]}},
        "delivery": {"timestamp": "2026-11-28T12:00:01.500Z", "processingTimeMillis": 1500,
                     "recipients": ["recipient@example.net"], "smtpResponse": "250 2.0.0 Ok: queued as 1A2B3C",
                     "remoteMtaIp": "192.0.2.99", "reportingMTA": "a8-70.smtp-out.amazonses.com"}}
    return json.dumps({
        "Type": "Notification", "MessageId": f"m-{number}", "TopicArn": "arn:aws:sns:us-east-1:123456789012:hiveku",
        "Subject": "Amazon SES Email Event Notification", "Message": json.dumps(event),
        "Timestamp": "2026-11-28T12:00:02.000Z", "SignatureVersion": "1", "Signature": "x" * 344,
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/x.pem", "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/x"})


class Queue:
    def __init__(self):
        self.handed, self.deleted, self.began, self.ended = 0, 0, None, None

    async def receive(self, wanted, wait):
        if self.began is None:
            self.began = time.monotonic()
        end = time.monotonic() + wait
        while True:
            allowed = COUNT
            if RATE:
                allowed = min(COUNT, int((time.monotonic() - self.began) * RATE))
            count = min(wanted, allowed - self.handed)
            # A real queue returns the events that it has. This queue waits for a full batch: calls that return one
            # event each would only measure the calls.
            if count >= min(wanted, COUNT - self.handed) > 0 or count > 0 and time.monotonic() >= end:
                break
            if time.monotonic() >= end:
                return []
            await asyncio.sleep(0.005)
        first = self.handed
        self.handed += count
        return [{"MessageId": f"m-{n}", "ReceiptHandle": f"r-{n}", "MD5OfBody": "0" * 32, "Body": body(n)}
                for n in range(first, first + count)]

    def delete(self, entries):
        self.deleted += len(entries)
        self.ended = time.monotonic()
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


async def serve(queue, reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if ": " in line)
            request = json.loads(await reader.readexactly(int(fields["content-length"])))
            action = fields["x-amz-target"].split(".")[-1]
            if action == "receivemessage":
                found = await queue.receive(request.get("MaxNumberOfMessages", 1), request.get("WaitTimeSeconds", 0))
                answer = {"Messages": found} if found else {}
            elif action == "deletemessagebatch":
                answer = queue.delete(request["Entries"])
            else:
                answer = {"Attributes": {"ApproximateNumberOfMessages": "0"}}
            octets = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"
                         % len(octets) + octets)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    queue = Queue()
    server = await asyncio.start_server(lambda r, w: serve(queue, r, w), "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    seconds = (queue.ended or 0) - (queue.began or 0)
    print(json.dumps({"handed": queue.handed, "deleted": queue.deleted, "seconds": seconds}), flush=True)
    server.close()


asyncio.run(main())
