"""The operator's page as a program sees it: one request at a time, with the unchanged answer."""

import contextlib
import http.client
import re
import urllib.parse

from http_api import Answer
from relay import DEADLINE

PAGE = {"admin.listen": "http://127.0.0.1:0"}
FORM = "application/x-www-form-urlencoded"


class Visitor:
    """A visitor with the given cookie. Each request has a connection of its own."""

    def __init__(self, relay, cookie=None):
        self.relay = relay
        self.cookie = cookie

    def request(self, method, path, body=None, fields=(), hosts=None):
        """`fields`: pairs of name and value; a name may occur twice. `hosts`: the values of Host; None: the right one."""
        port = self.relay.ports["page"]
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for host in [f"127.0.0.1:{port}"] if hosts is None else hosts:
                connection.putheader("Host", host)
            names = {name.lower() for name, _ in fields}
            if self.cookie is not None and "cookie" not in names:
                fields.append(("Cookie", self.cookie))
            if body is not None and not names & {"content-length", "transfer-encoding"}:
                fields.append(("Content-Length", str(len(body))))
            for name, value in fields:
                connection.putheader(name, value)
            connection.endheaders(body)
            return Answer(connection.getresponse())

    def get(self, path, fields=(), **options):
        return self.request("GET", path, None, fields, **options)

    def text(self, path, status=200):
        answer = self.get(path)
        assert answer.status == status, (path, answer)
        return answer.octets.decode()

    @property
    def token(self):
        """The token that the forms of this session carry."""
        return re.search(r'name="token" value="([^"]+)"', self.text("/keys"))[1]

    def post(self, path, values=(), token=True, content_type=FORM, fields=(), body=None, **options):
        """Sends a form. `token`: True for this session's token, None for no token, or the token to send."""
        values = list(values.items() if isinstance(values, dict) else values)
        if token is not None:
            values.append(("token", self.token if token is True else token))
        if body is None:
            body = urllib.parse.urlencode(values).encode()
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        if content_type is not None:
            fields.append(("Content-Type", content_type))
        return self.request("POST", path, body, fields, **options)

    def followed(self, answer):
        """The page to which the answer to a form redirects."""
        assert answer.status == 303, answer
        return self.text(answer.fields["Location"])


def path_of(link):
    """The path and query of a URL."""
    return "/" + link.split("/", 3)[3]


def cookie_of(answer):
    """The cookie of the new session, as the browser sends it back."""
    assert answer.status == 303, answer
    return answer.fields["Set-Cookie"].partition(";")[0]


def sign_in(relay):
    return Visitor(relay, cookie_of(Visitor(relay).get(path_of(relay.login_link()))))
