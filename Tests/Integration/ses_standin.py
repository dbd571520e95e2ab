"""A stand-in for sending through SES v2. It accepts messages, counts them, and gives bad answers when a test wants them.

moto gives good answers, or none at all.
"""

import base64
import collections
import email.parser
import email.policy
import hashlib
import http.server
import json
import threading
from dataclasses import dataclass

from relay import DEADLINE

SEND = "/v2/email/outbound-emails"
ACCOUNT = "/v2/email/account"


@dataclass(frozen=True)
class Answer:
    """What happens to one SendEmail call."""
    status: int = 200
    error: str = None
    message: str = ""
    # Whether SES accepts the message, whatever the answer says.
    takes: bool = True
    # A body to send instead of the usual one.
    body: bytes = None
    # The answer is held back until this event is set.
    after: threading.Event = None
    never: bool = False
    # The connection is cut instead of an answer.
    cuts: bool = False


def error(status, name, message="No."):
    return Answer(status, name, message, takes=False)


def not_verified(*identities):
    return error(400, "MessageRejected", "Email address is not verified. The following identities failed the check in "
                                         f"region EU-WEST-1: {', '.join(identities)}")


OK = Answer()
THROTTLE = error(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
SERVER_ERROR = error(500, "InternalServiceErrorException", "Something went wrong.")
CUT_BEFORE_TAKING = Answer(takes=False, cuts=True)
CUT_AFTER_TAKING = Answer(cuts=True)
BROKEN_JSON = Answer(body=b'{"MessageId": "01')
NEVER = Answer(never=True)


def slow(until):
    """Accepts the message, and answers when the event is set."""
    return Answer(after=until)


@dataclass(frozen=True)
class Taken:
    subject: str
    message_id: str
    recipients: tuple
    body_digest: bytes
    # Empty if the stand-in keeps no contents.
    raw: bytes
    # FeedbackForwardingEmailAddress, if it was given.
    feedback: str = None


class SESStandIn:
    """Serves within a `with` statement. `script` has the answers to the next calls. When it is empty, `answer` is used."""

    def __init__(self, port=0, keeps_raw=True):
        self.keeps_raw = keeps_raw
        self.answer = OK
        self.script = collections.deque()
        # Addresses that SES has not verified. It refuses them as addresses for reports on bounces.
        self.unverified = set()
        # The quota in the answer to GetAccount. None: the call is denied, as it is for many accounts.
        self.quota = {"MaxSendRate": 500.0, "Max24HourSend": -1.0, "SentLast24Hours": 0.0}
        self.taken = []
        self.calls = []
        self._port = port
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def count(self, subject):
        """How often a message with this subject was accepted."""
        return sum(taken.subject == subject for taken in self.taken)

    def __enter__(self):
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                stand_in._post(self)

            def do_GET(self):
                stand_in._get(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                # A client that was killed does not read its answer.
                pass

        self._server = Server(("127.0.0.1", self._port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)

    # -- the operations

    def _post(self, request):
        document = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.calls.append(request.headers.get("Authorization", ""))
            answer = self.script.popleft() if self.script else self.answer
            sender = document.get("FeedbackForwardingEmailAddress")
            if sender in self.unverified:
                answer = not_verified(sender)
            if request.path != SEND:
                answer = error(404, "UnknownOperationException")
            if answer.takes:
                number = len(self.taken)
                self.taken.append(taken(document, self.keeps_raw))
        if answer.after:
            answer.after.wait(DEADLINE)
        if answer.never:
            self._ended.wait()
        if answer.cuts or answer.never:
            request.close_connection = True
        elif answer.error:
            respond(request, answer.status, {"message": answer.message}, answer.error)
        elif answer.body is not None:
            respond(request, answer.status, answer.body)
        else:
            respond(request, 200, {"MessageId": f"0100018d-stand-in-{number:06}"})

    def _get(self, request):
        if request.path != ACCOUNT:
            respond(request, 404, {"message": ""}, "UnknownOperationException")
        elif self.quota is None:
            respond(request, 403, {"message": "not authorized to perform: ses:GetAccount"}, "AccessDeniedException")
        else:
            respond(request, 200, {"SendQuota": self.quota, "SendingEnabled": True})


def taken(document, keeps_raw=True):
    raw = base64.b64decode(document["Content"]["Raw"]["Data"], validate=True)
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = email.parser.BytesHeaderParser(policy=email.policy.SMTP).parsebytes(head + b"\r\n\r\n")
    return Taken(
        fields["Subject"], fields["Message-ID"], tuple(document["Destination"]["ToAddresses"]),
        hashlib.sha256(body).digest(), raw if keeps_raw else b"", document.get("FeedbackForwardingEmailAddress"))


def respond(request, status, document, error_name=None):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    request.send_response(status)
    if error_name:
        request.send_header("x-amzn-ErrorType", error_name)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
