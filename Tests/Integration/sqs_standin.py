"""A stand-in for SQS, over its JSON protocol. It keeps messages until they are deleted, and hands out again those that are not.

Tests of behaviour use moto as the server. This stand-in also reports which messages were deleted. And when a relay was killed, it
can make that relay's messages visible again.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# The visibility timeout, in seconds. A request of a killed relay may be read after `relay_died`, and then receives messages. These
# become visible again after this time, like all messages that nobody deletes.
VISIBILITY = 5


class SQSStandIn:
    """Use it in a with statement. Calls may come from any thread."""

    def __init__(self):
        self.lock = threading.Condition()
        # By receipt handle: the bodies of the messages in the queue, and the time until which a received message is invisible.
        self.bodies, self.under_way = {}, {}
        self.deleted = set()
        self.number = 0
        queue = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
                octets = json.dumps(getattr(queue, action)(request)).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/x-amz-json-1.0")
                    self.send_header("Content-Length", str(len(octets)))
                    self.end_headers()
                    self.wfile.write(octets)
                except ConnectionError:
                    pass  # The relay was killed.

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.queue_url = f"{self.url}/123456789012/events"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def send(self, body):
        """Puts a message into the queue. Returns its handle, by which ``deleted`` lists it."""
        with self.lock:
            self.number += 1
            handle = f"handle-{self.number}"
            self.bodies[handle] = body
            self.lock.notify_all()
            return handle

    def relay_died(self):
        """Makes the dead relay's messages visible at once, so that the test need not wait for the visibility timeout."""
        with self.lock:
            self.under_way.clear()

    def ReceiveMessage(self, request):
        end = time.monotonic() + min(request.get("WaitTimeSeconds", 0), 1)
        with self.lock:
            while True:
                now = time.monotonic()
                visible = [h for h in self.bodies if self.under_way.get(h, 0) <= now]
                handles = visible[:request.get("MaxNumberOfMessages", 1)]
                if handles or not self.lock.wait(max(0, end - time.monotonic())):
                    break
            self.under_way.update(dict.fromkeys(handles, time.monotonic() + VISIBILITY))
            messages = [{"MessageId": h, "ReceiptHandle": h, "MD5OfBody": "", "Body": self.bodies[h]} for h in handles]
        return {"Messages": messages} if messages else {}

    def DeleteMessageBatch(self, request):
        with self.lock:
            for entry in request["Entries"]:
                handle = entry["ReceiptHandle"]
                self.deleted.add(handle)
                self.bodies.pop(handle, None)
                self.under_way.pop(handle, None)
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}

    def GetQueueAttributes(self, _):
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.bodies))}}
