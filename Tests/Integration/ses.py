"""A stand-in for SES v2 that answers GetAccount and GetEmailIdentity as a test wants, in the shapes of botocore's model.

moto does not know GetAccount.
"""

import contextlib
import email.utils
import http.server
import json
import threading
import time
import urllib.parse

REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-EXAMPLE", "AWS_EC2_METADATA_DISABLED": "true"}


class SES:
    def __init__(self):
        self.account = {
            "DedicatedIpAutoWarmupEnabled": False, "EnforcementStatus": "HEALTHY", "ProductionAccessEnabled": True,
            "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1200.0},
            "SendingEnabled": True}
        self.identities = {}
        # (status, error name, message) in place of every answer, or of those to one operation.
        self.refusal = None
        self.account_refusal = None
        # How far SES's clock is ahead of this machine's, in seconds.
        self.clock_ahead = 0
        # Answers to GetEmailIdentity that are throttled before one is given.
        self.throttled = 0
        self.asked = []

    def verify(self, domain, verified=True, **attributes):
        self.identities[domain] = {
            "IdentityType": "DOMAIN", "FeedbackForwardingStatus": True, "VerifiedForSendingStatus": verified,
            "VerificationStatus": "SUCCESS" if verified else "PENDING", "Policies": {}, "Tags": [],
            "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS" if verified else "PENDING", "Tokens": ["a", "b", "c"]},
            "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}, **attributes}

    def answer(self, path, authorization):
        """Status, error name, document."""
        self.asked.append(path)
        if self.refusal:
            status, name, message = self.refusal
            return status, name, {"message": message}
        if "/ses/aws4_request" not in (authorization or ""):
            return 403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"}
        if path == "/v2/email/account":
            if self.account_refusal:
                status, name, message = self.account_refusal
                return status, name, {"message": message}
            return 200, None, self.account
        prefix = "/v2/email/identities/"
        if path.startswith(prefix):
            if self.throttled:
                self.throttled -= 1
                return 429, "TooManyRequestsException", {"message": "Rate exceeded"}
            name = urllib.parse.unquote(path[len(prefix):])
            if name in self.identities:
                return 200, None, self.identities[name]
            return 404, "NotFoundException", {"message": f"Email identity {name} does not exist."}
        return 404, "UnknownOperationException", {}


@contextlib.contextmanager
def serving():
    """Yields the SES, with its `url`."""
    ses = SES()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, name, document = ses.answer(self.path, self.headers.get("Authorization"))
            body = json.dumps(document).encode()
            # Not by send_response, which adds a Date of its own.
            self.send_response_only(status)
            self.send_header("Date", email.utils.formatdate(time.time() + ses.clock_ahead, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if name:
                self.send_header("x-amzn-ErrorType", name)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    ses.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield ses
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
