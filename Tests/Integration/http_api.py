"""The HTTP API as a client sees it: one request at a time, with the unchanged answer."""

import contextlib
import http.client
import json
import socket
import ssl

from relay import DEADLINE

HTTP = {"http.listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"]}
EMAIL = {"from": "from@example.com", "to": "to@example.net", "subject": "Hello", "text": "It works.\n"}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.fields = response.headers
        self.octets = response.read()

    @property
    def json(self):
        return json.loads(self.octets)

    @property
    def code(self):
        """The reason word of a problem document. It also checks the document's form."""
        assert self.fields["Content-Type"] == "application/problem+json", (self.status, self.octets)
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"].endswith(":" + problem["code"]) and problem["title"] and problem["detail"][-1] in ".?"
        return problem["code"]

    def __repr__(self):
        return f"{self.status} {self.octets[:500]!r}"


class API:
    """Requests on one connection, which stays open."""

    def __init__(self, relay, key=None, secure=True, source=None, port=None):
        """`port`: the port of a load balancer in front of the relay."""
        self.key = key
        source = (source, 0) if source else None
        if secure:
            context = ssl.create_default_context(cafile=str(relay.certificate))
            self.connection = http.client.HTTPSConnection(
                "localhost", port or relay.ports["https"], timeout=DEADLINE, context=context, source_address=source)
        else:
            self.connection = http.client.HTTPConnection(
                "127.0.0.1", port or relay.ports["http"], timeout=DEADLINE, source_address=source)

    def request(self, method, path, body=None, **fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        self.connection.request(method, path, body, headers)
        return Answer(self.connection.getresponse())

    def get(self, path, **fields):
        return self.request("GET", path, **fields)

    def post(self, path, body=None, **fields):
        return self.request("POST", path, body, **fields)

    def send(self, email=None, **fields):
        return self.post("/v1/email/send", EMAIL if email is None else email, **fields)

    def batch(self, emails, **fields):
        return self.post("/v1/email/batch", emails, **fields)

    def message(self, message_id):
        return self.get(f"/v1/email/messages/{message_id}")

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def taken(answer):
    """The id of an email that was accepted."""
    assert answer.status == 200, answer
    assert answer.json["messageId"].startswith("msg_")
    return answer.json["messageId"]


@contextlib.contextmanager
def raw(relay, port="http"):
    """A connection on which a test sends its own octets."""
    with socket.create_connection(("127.0.0.1", relay.ports[port]), timeout=DEADLINE) as connection:
        yield connection


def read_to_end(connection):
    octets = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            octets += piece
    return octets
