"""hiveku-relay admin: how an operator gets a link to the page, and what the command says if there is no page."""

import http.client
import json
import re
import socket
import stat

from operator_page import PAGE, sign_in
from relay import DEADLINE, key_id
from submit import submit
from wording import mentions


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, with the Host field that a request through ssh's tunnel has."""

    def __init__(self, path):
        super().__init__("127.0.0.1", 8025, timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self.path)


def get(path, target, cookie=None):
    connection = UnixConnection(path)
    connection.request("GET", target, headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


def test_admin_login_without_a_page_says_how_to_enable_it(relay):
    result = relay.run("admin", "login", check=False)
    assert result.returncode == 78 and result.stdout == ""
    assert "admin.listen" in result.stderr and "restart" in result.stderr


def test_the_operator_page_is_served_on_a_unix_socket(own_relay, tmp_path):
    path = str(tmp_path / "admin.sock")
    relay = own_relay({"admin.listen": f"unix:{path}", "hostname": "gateway.example.com"})
    # Only the relay's user and group may use the socket.
    assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o660
    result = relay.run("admin", "login")
    link = result.stdout.strip()
    assert f"ssh -N -L 8025:{path} gateway.example.com" in result.stderr
    assert link.startswith("http://127.0.0.1:8025/login?token=")
    response, _ = get(path, link.removeprefix("http://127.0.0.1:8025"))
    assert (response.status, response.headers["Location"]) == (303, "/keys")
    cookie = response.headers["Set-Cookie"].split(";")[0]
    assert "<h1>Keys</h1>" in get(path, "/keys", cookie)[1]
    # When the relay ends, the socket is removed. The session is still valid at the next relay.
    relay.stop()
    assert not (tmp_path / "admin.sock").exists()
    relay.start()
    assert "<h1>Keys</h1>" in get(path, "/keys", cookie)[1]
    assert "Ended 1 session." in relay.run("admin", "logout").stderr
    assert get(path, "/keys", cookie)[0].status == 401


def test_admin_login_prints_the_link_as_json_and_for_another_port(own_relay, tmp_path):
    path = str(tmp_path / "admin.sock")
    relay = own_relay({"admin.listen": f"unix:{path}"})
    document = json.loads(relay.run("admin", "login", "--json", "--port", "9000").stdout)
    assert document["url"].startswith("http://127.0.0.1:9000/login?token=")
    assert document["listen"] == f"unix:{path}" and document["expires_at"].endswith("Z")
    result = relay.run("admin", "login", "--port", "70000", check=False)
    assert result.returncode == 64 and mentions(result.stderr, "--port", "1 to 65535")


def test_messages_dropped_on_the_page_are_counted_first_and_logged(own_relay):
    # Without SES, a live message stays in the queue.
    relay = own_relay(PAGE)
    key = relay.create_key("live", name="Leaving")
    id = key_id(key)
    dropped, held = (submit(relay, key, b"Subject: x\r\nFrom: from@example.com\r\n\r\nText\r\n" + bytes([65 + n])) for n in range(2))
    relay.run("messages", "hold", held)
    visitor = sign_in(relay)
    assert re.search(r"\b2 [^.<]*\bqueue", visitor.text(f"/keys/{id}"))
    assert visitor.post(f"/messages/{dropped}/drop").status == 303
    relay.wait_for_log(f"info failed key={id} lane=live message={dropped} reason=\"dropped")
    assert visitor.post(f"/keys/{id}/revoke", {"confirm": "Leaving", "queued": "drop"}).status == 303
    relay.wait_for_log(f"info failed key={id} lane=live message={held} reason=\"dropped")
    assert relay.log_text().count("reason=\"dropped: ") == 2, relay.log_text()


def test_messages_list_can_search_by_words_without_the_page(relay):
    key = relay.create_key("test")
    submit(
        relay, key, "From: shop@example.com\r\nTo: a@b.example\r\nSubject: =?utf-8?q?Caf=C3=A9_in_Lyon?=\r\n\r\nText\r\n".encode(),
        ["anna.lind@example.net"])
    for words in ["anna.lind@example.net", "ANNA", "cafe lyo*", "example.net café"]:
        assert "anna.lind@example.net" in relay.run("messages", "list", "--search", words).stdout, words
    for words in ["nobody", "lind.anna@example.net", "lyo"]:
        assert "No messages." in relay.run("messages", "list", "--search", words).stderr, words
