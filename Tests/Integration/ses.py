"""A stand-in for SES v2. It answers GetAccount and the calls about identities as a test wants, in the shapes of botocore's model.

moto does not know GetAccount, gives no DKIM tokens, and verifies each identity at once.
"""

import contextlib
import email.utils
import http.server
import json
import threading
import time
import urllib.parse

from relay import DEADLINE

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
        # (status, error name, message): answered instead of every answer (`refusal`), or of those to GetAccount
        # (`account_refusal`).
        self.refusal = None
        self.account_refusal = None
        # How far SES's clock is ahead of this machine's, in seconds.
        self.clock_ahead = 0
        # How many calls of GetEmailIdentity are throttled before one gets an answer.
        self.throttled = 0
        # No call gets an answer until this is set. None: answers come at once.
        self.gate = None
        # By the name of an operation: (status, error name, message), answered instead of the operation's own answer.
        self.refusals = {}
        # How many identities an answer to ListEmailIdentities has.
        self.page_size = 1000
        self.asked = []

    def verify(self, domain, verified=True, **attributes):
        self.identities[domain] = {
            "IdentityType": "DOMAIN", "FeedbackForwardingStatus": True, "VerifiedForSendingStatus": verified,
            "VerificationStatus": "SUCCESS" if verified else "PENDING", "Policies": {}, "Tags": [],
            "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS" if verified else "PENDING", "Tokens": ["a", "b", "c"]},
            "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}, **attributes}

    def create(self, domain):
        self.verify(domain, verified=False)
        tokens = [f"{word}{abs(hash(domain)) % 10**10:010}" for word in ("first", "second", "third")]
        self.identities[domain]["DkimAttributes"] = {
            "SigningEnabled": True, "Status": "PENDING", "Tokens": tokens, "SigningAttributesOrigin": "AWS_SES",
            "SigningHostedZone": f"dkim.{REGION}.amazonses.com"}

    def found(self, domain):
        """From now on, SES has found the records of the domain."""
        self.identities[domain].update(VerifiedForSendingStatus=True, VerificationStatus="SUCCESS")

    def write(self, path, document):
        """The answer to a POST."""
        creates = path == "/v2/email/identities"
        operation = "CreateEmailIdentity" if creates else "ListEmailIdentities"
        if operation in self.refusals:
            status, name, message = self.refusals[operation]
            return status, name, {"message": message}
        if creates:
            name = document["EmailIdentity"]
            if name in self.identities:
                return 400, "AlreadyExistsException", {"message": f"Email identity {name} already exists."}
            self.create(name)
            identity = self.identities[name]
            return 200, None, {key: identity[key] for key in ("IdentityType", "VerifiedForSendingStatus", "DkimAttributes")}
        if path == "/v2/email/list-identities":
            start = int(document.get("NextToken", "0"))
            names = list(self.identities)[start:start + self.page_size]
            answer = {"EmailIdentities": [
                {"IdentityName": name, "IdentityType": self.identities[name]["IdentityType"],
                 "SendingEnabled": self.identities[name]["VerifiedForSendingStatus"],
                 "VerificationStatus": self.identities[name]["VerificationStatus"]} for name in names]}
            if start + self.page_size < len(self.identities):
                answer["NextToken"] = str(start + self.page_size)
            return 200, None, answer
        return 404, "UnknownOperationException", {}

    def answer(self, path, authorization, document=None):
        """Returns status, error name and document. `document`: the document of a POST."""
        self.asked.append(path)
        if self.gate:
            self.gate.wait(DEADLINE)
        if self.refusal:
            status, name, message = self.refusal
            return status, name, {"message": message}
        if "/ses/aws4_request" not in (authorization or ""):
            return 403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"}
        if document is not None:
            return self.write(path, document)
        if path == "/v2/email/account":
            if self.account_refusal:
                status, name, message = self.account_refusal
                return status, name, {"message": message}
            return 200, None, self.account
        prefix = "/v2/email/identities/"
        if path.startswith(prefix):
            if "GetEmailIdentity" in self.refusals:
                status, name, message = self.refusals["GetEmailIdentity"]
                return status, name, {"message": message}
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
    """Yields an SES, with its `url`."""
    ses = SES()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply()

        def do_POST(self):
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, given=None):
            status, name, document = ses.answer(self.path, self.headers.get("Authorization"), given)
            body = json.dumps(document).encode()
            # `send_response` would add a Date of its own.
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
