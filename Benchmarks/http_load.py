"""Puts load on the relay's HTTP API with wrk. Each connection stays open and sends one request after the other."""

import json
import os
import resource
import ssl
import subprocess
import urllib.request

# wrk counts a response with a status of 200 to 399 as a success, and gives latencies in microseconds.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("HTTP_LOAD_KEY")
local file = io.open("{body}")
wrk.body = file:read("*a")
file:close()

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{{"requests": %d, "seconds": %.6f, "failed": %d, "p50": %.3f, "p95": %.3f, "p99": %.3f, "max": %.3f}}\\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""


def email(size):
    """An email whose message is about as long as those of smtp-load."""
    line = "A line of text that stands for what applications write to their customers.\n"
    return {"from": "sender@example.com", "to": "recipient@example.net", "subject": "load",
            "text": (line * (size // len(line) + 1))[:size]}


def personal(number):
    """The few values in which the emails of a batch differ."""
    return {"customer": {"name": f"Customer {number:04}"}, "order": {"number": 100_000 + number}, "link": f"https://shop.example/{number:06}"}


HEAD = "Dear {name}, your order {order} is on its way: {link}\n"
HTML = '<p>Dear {name}, your order <b>{order}</b> is on its way: <a href="{link}">see it</a></p>\n'


def filled(size, values):
    """An email whose text and HTML together have about this size. `values` are the values of one email, or placeholders."""
    given = email(size // 2)
    return {**given, "subject": "Your order {order}".format(**values), "text": HEAD.format(**values) + given["text"],
            "html": HTML.format(**values) + "".join(f"<p>{line}</p>\n" for line in given["text"].splitlines())}


def given(size, number):
    values = personal(number)
    return filled(size, {"name": values["customer"]["name"], "order": values["order"]["number"], "link": values["link"]})


def save_template(server, size):
    """Saves a template from which the emails of ``given`` can be made. Returns its id."""
    template = filled(size, {"name": "{{customer.name}}", "order": "{{order.number}}", "link": "{{link}}"})
    template = {name: template[name] for name in ["subject", "text", "html", "from"]}
    template |= {"name": "benchmark", "variables": [{"name": "order.number", "type": "number"}]}
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(
        f"https://127.0.0.1:{server.https_port}/v1/email/templates", json.dumps(template).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {server.password}"})
    with urllib.request.urlopen(request, context=context) as answer:
        return json.load(answer)["id"]


def emails(server, batch, size, templated):
    """The body of a request. ``templated`` says whether emails that differ use a template. If it is None, all emails are the same."""
    if templated is None:
        return email(size) if batch == 1 else [email(size)] * batch
    if not templated:
        return [given(size, number) for number in range(batch)]
    template = save_template(server, size)
    to = email(size)["to"]
    return [{"to": to, "template_id": template, "variables": personal(number)} for number in range(batch)]


def run(server, directory, sessions, seconds, batch, size, templated=None):
    """Puts load on the server for this many seconds. Returns a report with the same names as that of smtp-load."""
    body = directory / f"body-{batch}.json"
    body.write_text(json.dumps(emails(server, batch, size, templated)))
    script = directory / f"load-{batch}.lua"
    script.write_text(SCRIPT.format(body=body))
    path = "send" if batch == 1 else "batch"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(sessions), "--duration", f"{max(1, round(seconds))}s", "--script",
         str(script), "--timeout", "60s", f"https://127.0.0.1:{server.https_port}/v1/email/{path}"],
        capture_output=True, text=True, check=True, env={**os.environ, "HTTP_LOAD_KEY": server.password})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(result.stdout.splitlines()[-1])
    good = report["requests"] - report["failed"]
    return {
        "accepted": good * batch, "seconds": report["seconds"],
        "client_cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "message_ms": {name: report[name] for name in ["p50", "p95", "p99", "max"]},
        # The most emails that can have been under way when the time was over.
        "under_way": sessions * batch,
        "first_failure": f"{report['failed']} requests failed" if report["failed"] else None,
    }
