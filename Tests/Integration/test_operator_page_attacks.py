"""Attacks on the operator's page over HTTP: by other pages in the operator's browser, and with links, cookies, forms and paths."""

import concurrent.futures
import contextlib
import http.client
import re
import socket
import sqlite3
import threading
import time

import pytest

from http_api import API, HTTP
from operator_page import FORM, PAGE, Visitor, cookie_of, path_of, sign_in
from receivers import Receiver
from relay import DEADLINE, Relay, key_id
from submit import submit

SETTINGS = {**PAGE, **HTTP, "log.level": "trace", "webhooks.private_networks": ["127.0.0.0/8"]}


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("attacks"), SETTINGS).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture(scope="module")
def visitor(relay):
    return sign_in(relay)


def change(relay, statement, *values):
    with contextlib.closing(sqlite3.connect(relay.directory / "relay.db", timeout=DEADLINE, isolation_level=None)) as database:
        return database.execute(statement, values).rowcount


def keys(relay):
    return [key["name"] for key in relay.json("keys", "list")]


# -- Host


def of(port):
    """Names under which the browser may reach the page: directly, and through ssh at another port."""
    return [f"127.0.0.1:{port}", "127.0.0.1", "localhost", f"localhost:{port}", "LOCALHOST:8025", "127.0.0.1:8025", "[::1]", "[::1]:8025",
            "127.9.8.7"]


def test_loopback_host_names_are_accepted(relay, visitor):
    for host in of(relay.ports["page"]):
        assert visitor.get("/keys", hosts=[host]).status == 200, host


FOREIGN = [
    "evil.example", "evil.example:{}", "127.0.0.1.evil.example", "localhost.evil.example", "localhost.evil.example:{}", "evil-localhost",
    "127.0.0.1@evil.example", "evil.example@127.0.0.1", "evil.example#127.0.0.1", "evil.example/127.0.0.1", "127.0.0.1/evil.example",
    "localhost.", "127.0.0.1.", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "0", "0.0.0.0", "0.0.0.0:{}", "192.0.2.1",
    "[::ffff:192.0.2.1]", "[::]", "[2001:db8::1]", "[::1].evil.example", "[::1]evil.example", "[::1", "::1", "[127.0.0.1]", "[evil.example]",
    "127.0.0.1:80:80", "127.0.0.1:x", "127.0.0.1:{}x", "127.0.0.1,evil.example", "127.0.0.1 evil.example",
    "relay.example.com", "xn--localhost-", "ｌocalhost", "",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_host_name_is_refused(relay, visitor, host):
    """DNS rebinding: the browser believes that it talks to the attacker's host.

    So it would let the attacker's page read the answer.
    """
    host = host.format(relay.ports["page"])
    for method, path in (("GET", "/keys"), ("GET", "/style.css"), ("GET", "/login?token=x"), ("POST", "/sign-out")):
        answer = visitor.request(method, path, b"" if method == "POST" else None, hosts=[host.encode("utf-8")])
        assert answer.status in (400, 421), (host, answer)
        assert b"Create a key" not in answer.octets and b"--accent" not in answer.octets


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"], ["evil.example", "127.0.0.1"], ["127.0.0.1", "127.0.0.1"]])
def test_a_request_without_exactly_one_host_is_refused(visitor, hosts):
    assert visitor.get("/keys", hosts=hosts).status in (400, 421)


def test_a_target_that_names_another_host_is_refused(relay, visitor):
    """A browser sends such a target to a proxy, with the same name in Host (RFC 9112, section 3.2.2)."""
    for name in ("evil.example", f"evil.example:{relay.ports['page']}"):
        assert visitor.get(f"http://{name}/keys", hosts=[name]).status == 421
    for target in ("//evil.example/keys", "evil.example:443"):
        answer = visitor.get(target)
        assert answer.status in (400, 404), (target, answer)
        assert b"Create a key" not in answer.octets


def test_forwarding_header_fields_are_ignored(visitor):
    for field in ("X-Forwarded-Host", "X-Original-Host", "Forwarded", "X-Host", "X-Original-URL", "X-HTTP-Method-Override"):
        value = "host=127.0.0.1" if field == "Forwarded" else "127.0.0.1"
        assert visitor.get("/keys", {field: value}, hosts=["evil.example"]).status == 421


# -- other pages


ORIGINS = ["null", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "https://127.0.0.1:{}", "http://localhost:{}",
           "http://127.0.0.1:{}.evil.example", "http://evil.example#http://127.0.0.1:{}", "", "file://", "http://127.0.0.1:{} http://evil.example"]
CROSS_SITE = [("Origin", origin) for origin in ORIGINS] + [
    ("Sec-Fetch-Site", site) for site in ("cross-site", "same-site", "Cross-Site", "", "none, cross-site")]


@pytest.mark.parametrize("field", CROSS_SITE, ids=lambda field: f"{field[0]} {field[1]}")
def test_cross_origin_requests_are_refused(relay, visitor, field):
    """The request is refused even with the operator's cookie and token, which another page does not have."""
    field = (field[0], field[1].format(relay.ports["page"]))
    token = visitor.token
    for path in ("/keys", "/messages", "/style.css", "/login?token=x"):
        assert visitor.get(path, [field]).status == 403, path
    before = keys(relay)
    assert visitor.post("/keys", {"name": "Foreign", "scope": "email:send"}, token, fields=[field]).status == 403
    assert keys(relay) == before
    same = f"http://127.0.0.1:{relay.ports['page']}"
    assert visitor.post("/keys", {"name": "Foreign"}, token, fields=[("Origin", same), field]).status in (400, 403)
    assert keys(relay) == before


def test_same_origin_requests_are_accepted(relay, visitor):
    own = {"Origin": f"http://127.0.0.1:{relay.ports['page']}", "Sec-Fetch-Site": "same-origin"}
    assert visitor.get("/keys", own).status == 200
    assert visitor.post("/suppressions", {"address": "own@example.net", "environment": "test"}, fields=own).status == 303
    assert visitor.get("/keys", {"Sec-Fetch-Site": "none"}).status == 200


def test_no_answer_has_cors_header_fields(visitor):
    for method in ("GET", "OPTIONS"):
        answer = visitor.request(method, "/keys", None, {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
        assert not [name for name in answer.fields if name.lower().startswith("access-control")]


def form_actions(relay, visitor):
    """Each path that changes something, with the values of its form."""
    key = key_id(relay.create_key(name="Target"))
    message = submit(relay, relay.create_key(name="Sender"), b"From: a@example.com\r\n\r\nx\r\n")
    location = visitor.post("/webhooks", {"key": key, "url": "http://127.0.0.1:9/"}).fields["Location"].partition("?")[0]
    return {
        "/keys": {"name": "Made", "scope": "email:send"}, f"/keys/{key}/rules": {"name": "Changed"}, f"/keys/{key}/rotate": {"grace": "0"},
        f"/keys/{key}/revoke": {"confirm": "Target", "queued": "drop"}, f"/keys/{key}/test": {"from": "a@example.com", "to": "b@example.com"},
        **{f"/messages/{message}/{word}": {} for word in ("retry", "hold", "release", "drop")},
        "/suppressions": {"address": "x@example.com", "environment": "live"},
        "/suppressions/remove": {"address": "kept@example.com", "environment": "live"}, "/webhooks": {"key": key, "url": "http://127.0.0.1:9/x"},
        **{f"{location}/{word}": {} for word in ("test", "enable", "disable", "delete")}, "/sign-out": {},
    }


def state(relay):
    """Everything that a form could have changed."""
    with contextlib.closing(sqlite3.connect(f"file:{relay.directory}/relay.db?mode=ro", uri=True)) as database:
        # The time of a key's last use is left out, because the relay writes it some time later.
        rules = database.execute("SELECT id, name, scopes, per_second, domains, networks, expires_at, revoked_at, digest FROM key").fetchall()
        return [rules] + [database.execute(f"SELECT * FROM {table}").fetchall() for table in
                          ("message", "delivery", "suppression", "webhook", "webhook_call", "operator_session")]


def test_a_form_counts_only_with_the_token_of_its_session(relay, visitor):
    actions = form_actions(relay, visitor)
    visitor.post("/suppressions", {"address": "kept@example.com", "environment": "live"})
    relay.wait_until(lambda: not relay.json("status")[0]["queue"], "an empty queue")
    other = sign_in(relay)
    own, foreign = visitor.token, other.token
    assert own != foreign
    before = state(relay)
    for path, values in actions.items():
        for token in (None, "", "x", foreign, own[:-1], own + "A", own.swapcase(), visitor.cookie.partition("=")[2]):
            assert visitor.post(path, values, token).status == 403, (path, token)
        # The token must be in the form. It does not count in the query, in a header field or in a cookie.
        assert visitor.post(f"{path}?token={own}", values, None).status == 403, path
        for field in ("X-CSRF-Token", "token", "X-Token"):
            assert visitor.post(path, values, None, fields={field: own}).status == 403
        assert visitor.post(path, values, None, fields={"Cookie": f"{visitor.cookie}; token={own}"}).status == 403
        # If a form has two tokens, the first one counts. So an attacker can't put a token of his own before it.
        assert visitor.post(path, [("token", foreign), *values.items()], own).status == 403
        assert Visitor(relay).post(path, values, own).status == 401, path
    assert state(relay) == before


def test_only_url_encoded_forms_are_accepted(relay, visitor):
    """A page of another origin can send text/plain and multipart without asking. JSON is not a form either."""
    token = visitor.token
    before = state(relay)
    good = f"name=Made&scope=email:send&token={token}".encode()
    multipart = (f'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n'
                 '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nMade\r\n--x--\r\n').encode()
    for content_type, body in [
            ("text/plain", good), (None, good), ("", good), ("application/json", good), ("multipart/form-data; boundary=x", multipart),
            ("multipart/form-data; boundary=x", good), ("application/x-www-form-urlencoded2", good), (f"text/plain; {FORM}", good),
            ("application/octet-stream", good), (FORM, good + b"&x=%"), (FORM, b"\xff" + good), (FORM, b"{" + good + b"}"),
            (FORM, b'{"token": "' + token.encode() + b'"}')]:
        answer = visitor.post("/keys", content_type=content_type, body=body)
        assert answer.status in (400, 403, 413, 415, 422), (content_type, body, answer)
    assert state(relay) == before


def test_methods_other_than_post_change_nothing(relay, visitor):
    actions = form_actions(relay, visitor)
    relay.wait_until(lambda: not relay.json("status")[0]["queue"], "an empty queue")
    token = visitor.token
    before = state(relay)
    for path, values in actions.items():
        query = "&".join([f"{name}={value}" for name, value in values.items()] + [f"token={token}"])
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            for target in (path, f"{path}?{query}"):
                answer = visitor.request(method, target)
                assert answer.status in (200, 400, 405, 501) or path == "/login", (method, target, answer)
                if answer.status == 200:
                    assert path in ("/keys", "/suppressions", "/webhooks"), (method, target)
    assert state(relay) == before


# -- links and sessions


def test_a_login_link_works_only_once(relay):
    link = path_of(relay.login_link())
    first = Visitor(relay).get(link)
    assert Visitor(relay, cookie_of(first)).get("/keys").status == 200
    again = Visitor(relay).get(link)
    assert again.status == 403 and "Set-Cookie" not in again.fields
    assert b"hiveku-relay admin login" in again.octets


def test_a_link_is_good_for_five_minutes(relay):
    with contextlib.closing(sqlite3.connect(relay.directory / "relay.db")) as database:
        link = path_of(relay.login_link())
        end = database.execute("SELECT MAX(ends_at) FROM operator_login").fetchone()[0]
    assert 280 < end / 1000 - time.time() <= 300
    # This changes the database as if five minutes had passed.
    change(relay, "UPDATE operator_login SET ends_at = ? WHERE ends_at = ?", round(time.time() * 1000) - 1, end)
    answer = Visitor(relay).get(link)
    assert answer.status == 403 and "Set-Cookie" not in answer.fields


def test_previewing_a_login_link_does_not_use_it_up(relay):
    """Mail scanners, previews in chats, and browsers that fetch ahead look at links."""
    link = path_of(relay.login_link())
    somebody = Visitor(relay)
    for method, fields in [("HEAD", {}), ("OPTIONS", {}), ("POST", {}), ("GET", {"Sec-Purpose": "prefetch"}),
                           ("GET", {"Sec-Purpose": "prefetch;prerender"}), ("GET", {"Purpose": "prefetch"}),
                           ("GET", {"Sec-Fetch-Site": "cross-site"}), ("GET", {"Origin": "https://evil.example"})]:
        answer = somebody.request(method, link, b"" if method == "POST" else None, fields)
        assert "Set-Cookie" not in answer.fields, (method, fields)
    assert cookie_of(somebody.get(link))


def test_only_one_of_several_concurrent_logins_by_one_link_succeeds(relay):
    for _ in range(5):
        link = path_of(relay.login_link())
        barrier = threading.Barrier(8)

        def get():
            barrier.wait(DEADLINE)
            return Visitor(relay).get(link).status

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = sorted(future.result() for future in [pool.submit(get) for _ in range(8)])
        assert statuses == [303] + 7 * [403]


def test_made_up_links_and_cookies_let_nobody_in(relay, visitor):
    name, _, secret = visitor.cookie.partition("=")
    for made_up in ("", "x", "A" * 43, secret[:-1], secret + "A", secret.swapcase(), "'" + secret, "' OR 1=1 --", "%", "%00", "A" * 30_000):
        answer = Visitor(relay, f"{name}={made_up}").get("/keys")
        assert answer.status in (401, 431), (made_up[:50], answer.status)
        if len(made_up) < 100 and not re.search(r"[ ]", made_up):
            assert Visitor(relay).get(f"/login?token={made_up}").status in (400, 403)
    # The token of the forms and the session's own secret can't be used as links.
    for secret_of in (secret, visitor.token):
        assert Visitor(relay).get(f"/login?token={secret_of}").status == 403
        assert Visitor(relay).get(f"/login?token={secret_of}&token=x").status in (400, 403)
    assert Visitor(relay, f"{name}={visitor.token}").get("/keys").status == 401
    assert Visitor(relay).get("/keys").status == 401


def test_the_valid_one_of_several_cookies_is_used(relay, visitor):
    """Another program on this machine may set a cookie with the same name and a longer path. It must not shut the operator out."""
    name, _, secret = visitor.cookie.partition("=")
    bad = f"{name}={'A' * 43}"
    assert Visitor(relay, f"{bad}; {visitor.cookie}").get("/keys").status == 200
    assert Visitor(relay, f"a=b; {visitor.cookie}; {bad}").get("/keys").status == 200
    assert Visitor(relay, f"{name.upper()}={secret}").get("/keys").status == 401
    # The relay does not look at an unlimited number of cookies.
    assert Visitor(relay, "; ".join(50 * [bad])).get("/keys").status == 401


def test_the_session_cookie_is_http_only_and_same_site(relay):
    answer = Visitor(relay).get(path_of(relay.login_link()))
    attributes = {part.strip().lower() for part in answer.fields["Set-Cookie"].split(";")[1:]}
    assert attributes == {"path=/", f"max-age={12 * 3600}", "httponly", "samesite=strict"}
    assert answer.fields["Location"] == "/keys" and answer.fields["Cache-Control"] == "no-store"


def test_a_session_ends_after_twelve_hours(relay):
    with contextlib.closing(sqlite3.connect(relay.directory / "relay.db")) as database:
        here = sign_in(relay)
        end = database.execute("SELECT MAX(ends_at) FROM operator_session").fetchone()[0]
    assert 12 * 3600 - 20 < end / 1000 - time.time() <= 12 * 3600
    assert here.get("/keys").status == 200
    token = here.token
    change(relay, "UPDATE operator_session SET ends_at = ? WHERE ends_at = ?", round(time.time() * 1000) - 1, end)
    assert here.get("/keys").status == 401
    before = state(relay)
    assert here.post("/keys", {"name": "Late"}, token).status == 401
    assert state(relay) == before


def test_signing_out_ends_the_session_on_the_server(relay):
    here, other = sign_in(relay), sign_in(relay)
    answer = here.post("/sign-out")
    assert answer.status == 303 and "Max-Age=0" in answer.fields["Set-Cookie"]
    # The browser has forgotten the cookie. A copy of the cookie is no longer valid either.
    assert here.get("/keys").status == 401 and other.get("/keys").status == 200


def test_admin_logout_ends_all_sessions_and_links(own_relay):
    relay = own_relay(PAGE)
    here, other, link = sign_in(relay), sign_in(relay), path_of(relay.login_link())
    assert "Ended 2 sessions" in relay.run("admin", "logout").stderr
    assert [one.get("/keys").status for one in (here, other)] == [401, 401]
    assert Visitor(relay).get(link).status == 403


# -- answers


POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
          "form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
HTML_OF_MAIL = ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'self'")
MAIL = (b"From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
        b"--b\r\nContent-Type: image/png; name=\"a\\\"b%0d%0aSet-Cookie: x=y.png\"\r\nContent-Disposition: attachment; "
        b"filename=\"=?utf-8?q?x=0D=0ASet-Cookie:_a=3Db?=\"\r\n\r\nx\r\n--b--\r\n")


def test_every_answer_has_the_security_header_fields(relay, visitor):
    message = submit(relay, relay.create_key(), MAIL)
    asset = re.search(r'href="(/style\.css\?[^"]+)"', visitor.text("/keys"))[1]
    pages = ["/keys", "/keys/new", "/messages", f"/messages/{message}", "/queue", "/suppressions", "/webhooks", "/nothing", "/login?token=x"]
    answers = {path: visitor.get(path) for path in pages}
    answers |= {"signed out": Visitor(relay).get("/keys"), "foreign": visitor.get("/keys", {"Origin": "null"}),
                "host": visitor.get("/keys", hosts=["evil.example"]), "method": visitor.request("DELETE", "/keys"),
                "token": visitor.post("/keys", {}, None), "too long": visitor.post("/keys", body=b"x" * 70_000)}
    for name, answer in answers.items():
        assert answer.fields.get_all("Content-Security-Policy") == [POLICY], (name, answer.status)
        assert answer.fields.get_all("X-Frame-Options") == ["DENY"], name
    html = visitor.get(f"/messages/{message}/html")
    assert html.status == 200 and html.fields["Content-Security-Policy"] == HTML_OF_MAIL
    raw = visitor.get(f"/messages/{message}/raw")
    assert raw.fields["Content-Security-Policy"].startswith("default-src 'none'")
    assert raw.fields["Content-Disposition"] == f'attachment; filename="{message}.eml"'
    assert raw.octets == relay.raw(message)
    answers |= {"html": html, "raw": raw, "redirect": visitor.get("/"), "asset": visitor.get(asset),
                "form": visitor.post("/suppressions", {"address": "y@example.com", "environment": "test"})}
    for name, answer in answers.items():
        assert answer.fields["X-Content-Type-Options"] == "nosniff", name
        if name == "asset":
            assert answer.fields["Cache-Control"] == "max-age=31536000, immutable"
            continue
        assert answer.fields["Cache-Control"] == "no-store", name
        if name not in ("redirect", "form"):
            assert answer.fields["Referrer-Policy"] == "same-origin", name
            assert answer.fields["Cross-Origin-Opener-Policy"] == "same-origin", name
            assert answer.fields["Cross-Origin-Resource-Policy"] == "same-origin", name


def test_no_value_can_inject_response_header_fields(relay, visitor):
    message = submit(relay, relay.create_key(), MAIL.replace(b"Subject: x", b"Subject: x\r\nHiveku-Tags: a"))
    value = "x%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a<script>"
    paths = [f"/keys?q={value}", f"/keys?after={value}", f"/messages?q={value}", f"/messages?state={value}&key={value}&after={value}",
             f"/suppressions?after={value}&after_environment=live&q={value}", f"/webhooks?key={value}", f"/login?token={value}",
             f"/keys?done={value}", f"/{value}", f"/messages/{value}", f"/keys/{value}/secret?of={value}", f"/messages/{message}",
             f"/messages/{message}/raw"]
    for path in paths:
        answer = visitor.get(path)
        assert "Set-Cookie" not in answer.fields and b"<script>" not in answer.octets.replace(b"<script src", b""), path
    for values in ({"address": "a@example.com\r\nSet-Cookie: evil=1", "environment": "live\r\nX: y"},
                   {"address": "a@example.com", "environment": "live", "note": "x\r\nSet-Cookie: evil=1"}):
        assert "Set-Cookie" not in visitor.post("/suppressions", values).fields
    # The target of a redirect never comes from the request.
    for path in ("//evil.example", "/\\evil.example", "/?next=//evil.example", "/keys?next=https://evil.example"):
        assert visitor.get(path).fields.get("Location") in (None, "/keys"), path


# -- limits for a client


def test_malformed_and_unknown_paths_are_not_found(visitor):
    for path in ("/../keys", "/keys/../keys", "/keys/..%2fkeys", "/%2e%2e/%2e%2e/etc/passwd", "/style.css/../../etc/passwd", "/keys%00", "/%00",
                 "/keys/%00", "/messages/%2fetc%2fpasswd", "/keys//", "//keys", "/keys/new/x", "/messages/1/raw/x", "/page.js/", "/Keys", "/keys;x",
                 "/messages/-1", "/messages/99999999999999999999999", "/webhooks/..", "/keys/" + "a" * 8000, "/" + "/".join("a" * 2000)):
        answer = visitor.get(path)
        assert answer.status in (400, 404, 414), (path[:80], answer)
        assert b"root:" not in answer.octets
    assert visitor.get("/" + "a" * 100_000).status in (400, 414, 431)
    for query in ("%", "%zz", "%ff%fe", "q=%00", "&&&&", "q=" + "a" * 10_000, "q=%e2%80%ae", "a&" * 5000, "q=%22%22*)(", "q=' OR 1=1 --".replace(" ", "+")):
        for path in ("/keys", "/messages", "/suppressions", "/webhooks"):
            assert visitor.get(f"{path}?{query}").status == 200, (path, query[:50])


def test_a_form_is_64_kib_at_most(relay, visitor):
    values = f"token={visitor.token}&name=Made&scope=email:send&x="
    before = keys(relay)
    assert visitor.post("/keys", body=(values + "a" * (64 * 1024 + 1 - len(values))).encode()).status == 413
    for body in (b"a" * 1_000_000, b"a" * 5_000_000):
        with contextlib.suppress(ConnectionError):
            assert visitor.post("/keys", body=body).status == 413
    assert keys(relay) == before and visitor.get("/keys").status == 200
    assert visitor.post("/keys", body=(values + "a" * (64 * 1024 - len(values))).encode()).status == 303


def test_connections_beyond_the_limit_are_closed_until_there_is_room(own_relay):
    """The page accepts 64 connections at a time. It closes further ones. When connections end, there is room again."""
    relay = own_relay(PAGE)
    here = sign_in(relay)
    port = relay.ports["page"]
    with contextlib.ExitStack() as stack:
        crowd = []
        for _ in range(70):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE))
            # This request is never completed.
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            crowd.append(connection)

        def is_closed(connection):
            connection.setblocking(False)
            try:
                return connection.recv(1) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True

        relay.wait_until(lambda: sum(map(is_closed, crowd)) == 6, "six of 70 are closed")
    relay.wait_until(lambda: answers(here), "the page answers again")


def answers(visitor):
    try:
        return visitor.get("/keys").status == 200
    except (OSError, http.client.HTTPException):
        return False


# -- secrets


def test_no_secret_is_in_the_log(own_relay):
    relay = own_relay(SETTINGS)
    link = relay.login_link()
    answer = Visitor(relay).get(path_of(link))
    visitor = Visitor(relay, cookie_of(answer))
    Visitor(relay).get(path_of(link))
    secrets = {"link": link.partition("token=")[2], "cookie": visitor.cookie.partition("=")[2], "token": visitor.token}

    def shown(answer):
        return re.search(r"<code>((?:hk|whsec)_[^<]+)</code>", visitor.followed(answer))[1]

    secrets["key"] = shown(visitor.post("/keys", {"name": "Secret", "scope": "email:send", "form": "1"}))
    id = key_id(secrets["key"])
    secrets["rotated"] = shown(visitor.post(f"/keys/{id}/rotate", {"grace": "3600", "form": "2"}))
    with Receiver() as receiver:
        secrets["webhook"] = shown(visitor.post("/webhooks", {"key": id, "url": receiver.url(), "form": "3"}))
        submit(relay, secrets["rotated"], b"From: a@example.com\r\n\r\nx\r\n")
        relay.wait_until(lambda: receiver.requests, "an event")
        with API(relay, secrets["key"]) as api:
            api.send({"from": "a@example.com", "to": "b@example.com", "subject": "x", "text": "x"})
    visitor.post("/sign-out")
    assert relay.stop() == 0
    log = relay.log_text()
    assert "the operator has signed in" in log and "create a key" in log
    for name, secret in secrets.items():
        assert len(secret) > 30 and secret not in log, name
        # The secret part must not be in the log by itself either. Only a key's public id is shown.
        assert secret[-24:] not in log, name
    # The secrets are not in the database either.
    content = b"".join(path.read_bytes() for path in relay.directory.glob("relay.db*") if path.is_file())
    for name in ("link", "cookie", "token", "key", "rotated"):
        assert secrets[name].encode() not in content, name
