"""Real clients over HTTPS: the recipes of docs/applications.md as the page shows them, and other clients that people use."""

import asyncio
import itertools
import json
import re
import subprocess
import sys

import httpx
import pytest
import requests

from http_api import EMAIL, HTTP
from relay import BINARY, DEADLINE, ROOT, Relay, clean_environment, key_id, self_signed
from test_recipes import recipe


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("clients"), {**HTTP, "submission.max_rate_delay": "0s"}).start()
    yield relay
    assert relay.stop() == 0, relay.log_text()


@pytest.fixture
def key(relay):
    return relay.create_key(scopes=("email:send", "email:batch"), per_second=1000)


def node(directory, text):
    (directory / "send.mjs").write_text(text)
    return ["node", "send.mjs"]


def python(directory, text):
    (directory / "send.py").write_text(text)
    return [sys.executable, "send.py"]


def php(directory, text):
    (directory / "send.php").write_text(text)
    return ["php", "send.php"]


def go(directory, text):
    (directory / "send.go").write_text(text)
    return ["go", "run", "send.go"]


RECIPES = {"Node, over HTTP": ("js", node), "Python, over HTTP": ("python", python), "PHP, over HTTP": ("php", php),
           "Go, over HTTP": ("go", go)}


def run(relay, key, directory, section, authority=None):
    language, write = RECIPES[section]
    port = relay.ports["https"]
    text = recipe(section, language).replace("relay.example.com", f"localhost:{port}")
    authority = str(authority or relay.certificate)
    if language == "php":
        # The page has this line for a certificate that PHP does not know.
        text = text.replace("CURLOPT_TIMEOUT => 60,", f'CURLOPT_TIMEOUT => 60, CURLOPT_CAINFO => "{authority}",')
    environment = clean_environment({
        "HIVEKU_API_KEY": key, "NODE_EXTRA_CA_CERTS": authority, "REQUESTS_CA_BUNDLE": authority, "SSL_CERT_FILE": authority,
        "HOME": str(directory), "GOCACHE": str(directory / "go"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
    return subprocess.run(
        write(directory, text), cwd=directory, env=environment, capture_output=True, text=True, timeout=DEADLINE)


@pytest.mark.parametrize("section", RECIPES)
def test_a_recipe_sends(relay, key, tmp_path, section):
    result = run(relay, key, tmp_path, section)
    assert result.returncode == 0, result.stdout + result.stderr
    message_id = re.search(r"msg_[0-9a-z]{13}", result.stdout)[0]
    message = relay.wait_for_state(message_id, "simulated")
    assert (message["key"], message["subject"]) == (key_id(key), "Your order")
    # The recipes have an idempotency key. So the second run queues nothing, and prints the same id.
    assert message_id in run(relay, key, tmp_path, section).stdout
    assert len(relay.json("messages", "list", "--key", key_id(key))) == 1


@pytest.mark.parametrize("section", RECIPES)
def test_a_recipe_shows_why_it_was_refused(relay, tmp_path, section):
    key = relay.create_key(allow_domain="example.org")
    result = run(relay, key, tmp_path, section)
    assert result.returncode != 0
    assert "sender-domain" in result.stdout + result.stderr


@pytest.mark.parametrize("section", RECIPES)
def test_a_recipe_does_not_send_its_key_to_an_untrusted_server(relay, key, tmp_path, section):
    """If the client does not know the relay's certificate, it sends nothing to the relay."""
    foreign, _ = self_signed(tmp_path, "foreign")
    result = run(relay, key, tmp_path, section, authority=foreign)
    assert result.returncode != 0 and "msg_" not in result.stdout
    assert relay.json("messages", "list", "--key", key_id(key)) == []


def test_httpx(relay, key):
    import ssl
    context = ssl.create_default_context(cafile=str(relay.certificate))
    with httpx.Client(verify=context, base_url=f"https://localhost:{relay.ports['https']}",
                      headers={"Authorization": f"Bearer {key}"}) as client:
        answers = [client.post("/v1/email/send", json=EMAIL) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        listed = client.get("/v1/email/messages", params={"limit": 3}).json()["data"]
        assert [m["messageId"] for m in listed] == [a.json()["messageId"] for a in answers][::-1]


JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class Send {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int number = 0; number < 3; number++) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).timeout(Duration.ofSeconds(30))
                .header("Authorization", "Bearer " + System.getenv("HIVEKU_API_KEY"))
                .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
"""


def test_javas_http_client_sends_despite_its_http_2_upgrade_request(relay, key, tmp_path):
    """Without TLS, Java's client asks for HTTP/2 with the first request of each connection."""
    (tmp_path / "Send.java").write_text(JAVA)
    result = subprocess.run(
        ["java", "Send.java", f"http://127.0.0.1:{relay.ports['http']}/v1/email/send", json.dumps(EMAIL)], cwd=tmp_path,
        capture_output=True, text=True, timeout=DEADLINE, env=clean_environment({"HIVEKU_API_KEY": key}))
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["queued"] * 3


def test_the_curl_command_of_the_readme_works(relay, key):
    readme = (ROOT / "README.md").read_text()
    line = re.search(r"^curl https://relay\.example\.com/v1/email/send.*?^```", readme, re.M | re.S)[0][:-3]
    line = line.replace("relay.example.com", f"localhost:{relay.ports['https']}", 1)
    result = subprocess.run(
        ["sh", "-c", line.replace("curl ", "curl --silent --show-error --fail ", 1)], capture_output=True, text=True,
        timeout=DEADLINE, env=clean_environment({"KEY": key, "CURL_CA_BUNDLE": str(relay.certificate)}))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == "queued"


class SDK:
    """Behaves as the documentation of the vendor's SDK says.

    After a 429, it waits as long as Retry-After says, and somewhat longer at each attempt. Then it sends the request again.
    """

    def __init__(self, relay, key):
        self.url = f"https://localhost:{relay.ports['https']}/v1/email/send"
        self.session = requests.Session()
        # The session must use the relay's certificate, whatever the environment says.
        self.session.trust_env = False
        self.session.verify = str(relay.certificate)
        self.session.headers["Authorization"] = f"Bearer {key}"
        self.refused = 0

    async def send(self, email, idempotency_key):
        for attempt in itertools.count():
            answer = await asyncio.to_thread(
                self.session.post, self.url, json={**email, "idempotency_key": idempotency_key}, timeout=DEADLINE)
            if answer.status_code != 429:
                answer.raise_for_status()
                return answer.json()["messageId"]
            self.refused += 1
            await asyncio.sleep(int(answer.headers["Retry-After"]) + min(attempt, 4) * 0.5)


def test_a_burst_of_200_messages_at_10_per_second_arrives_completely(relay):
    key = relay.create_key(per_second=10)
    sdk = SDK(relay, key)

    async def burst():
        return await asyncio.gather(*(sdk.send({**EMAIL, "subject": f"No. {i}"}, f"burst {i}") for i in range(200)))

    ids = asyncio.run(burst())
    assert len(set(ids)) == 200 and sdk.refused > 0

    def ended():
        messages = relay.json("messages", "list", "--key", key_id(key), "--limit", "1000")
        return messages if {m["state"] for m in messages} == {"simulated"} else None

    messages = relay.wait_until(ended, "all 200 messages have been sent (simulated)")
    assert sorted(m["subject"] for m in messages) == sorted(f"No. {i}" for i in range(200))


def test_the_demos_curl_command_works_when_pasted(tmp_path):
    environment = clean_environment({
        "HIVEKU_RELAY_LISTEN": "smtp://127.0.0.1:0,smtps://127.0.0.1:0", "HIVEKU_RELAY_HTTP_LISTEN": "http://127.0.0.1:0",
        "HIVEKU_RELAY_ADMIN_LISTEN": "http://127.0.0.1:0"})
    process = subprocess.Popen(
        [BINARY, "serve", "--demo"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        lines = iter(process.stdout.readline, "")
        line = next(line for line in lines if line.startswith("  curl "))
        result = subprocess.run(
            ["sh", "-c", line.replace("curl ", "curl --silent ", 1)], capture_output=True, text=True, timeout=DEADLINE)
        message_id = json.loads(result.stdout)["messageId"]
        assert next(line for line in lines if line.startswith("Sent (simulated)")).split()[2] == message_id[4:]
    finally:
        process.terminate()
        process.wait(DEADLINE)
