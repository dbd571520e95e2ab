#!/usr/bin/env python3
"""Measures how long the operator's page takes on a gateway with 100,000 keys and 1,000,000 messages.

Fills a database directly, starts a relay on it, asks for each page and each search a number of times, and prints for each the median
and the longest time, and the size. Fails if a request ever takes longer than 300 ms, if a page is larger than 200 KB, or if the
relay's memory has grown by more than 20 MB at the end.
"""

import argparse
import http.client
import json
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preload import EPOCH_MS, close, connect, key_id

ROOT = Path(__file__).resolve().parents[1]
MOST_MS, MOST_KB, MOST_GROWTH_MB = 300, 200, 20
DAY_MS = 86_400_000
DEADLINE = 120

WORDS = """order invoice reminder welcome password reset report weekly monthly shipping delivery payment ticket answer question meeting
    update notice alarm backup contract offer summary receipt return exchange survey newsletter""".split()
NAMES = "anna bernd carla david emma felix greta hugo ines jan karla lukas maria nils olga paul rosa stefan tina ulrich".split()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--binary", default=str(ROOT / ".build/debug/hiveku-relay"), help="the relay program to measure")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=20, help="how many times each page is requested")
    parser.add_argument("--directory", help="where the database is kept for later runs; it is created if it is missing")
    return parser.parse_args()


# -- the database


def fill(path, keys, messages):
    """Fills the database. The rows are always the same, except that their times are relative to the present."""
    source = random.Random(1)
    now = round(time.time() * 1000)
    today = now // DAY_MS
    database = connect(path)
    database.execute("BEGIN")
    ids = [key_id(number) for number in source.sample(range(62**8), keys)]
    # One in five is in use; the first of those has a tenth of all messages.
    used = ids[:keys // 5]
    is_live = {id: i % 3 != 2 for i, id in enumerate(ids)}
    database.executemany(
        "INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, revoked_at, digest, last_used_at, "
        "rate_limit_hits, auth_failures) VALUES (?, ?, ?, 'email:send', 10, ?, '', ?, ?, ?, ?, ?, ?)",
        ((id, f"application {i} of {source.choice(NAMES)}", "live" if is_live[id] else "test", f"app{i}.example.com" if i % 2 else "",
          now - (1 + i % 1000) * DAY_MS - i, now - DAY_MS if i % 10 == 9 else None, source.randbytes(32),
          now - source.randrange(DAY_MS) if i < len(used) else None, int(i % 500 == 0), 3 if i % 700 == 0 else 0)
         for i, id in enumerate(ids)))
    database.executemany(
        "INSERT INTO usage (key, day, emails, messages, last_at, deliveries, bounces, hard_bounces, complaints) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((id, day, 40 + (i + day) % 60, 40, day * DAY_MS, 39, 1, 1, int(i % 300 == 0))
         for i, id in enumerate(used) for day in range(today - 29, today + 1)))
    database.execute(
        "INSERT INTO feedback_by_day (environment, day, deliveries, bounces, hard_bounces, complaints) "
        "SELECT environment, day, SUM(deliveries), SUM(bounces), SUM(hard_bounces), SUM(complaints) "
        "FROM usage JOIN key ON key.id = usage.key GROUP BY environment, day")
    say(f"{keys:,} keys, {30 * len(used):,} days of use")
    fill_messages(database, source, now, used, is_live, messages)
    suppressions = keys
    database.executemany(
        "INSERT INTO suppression (environment, match_key, address, reason, created_at, note) VALUES (?, ?, ?, ?, ?, ?)",
        (("live" if i % 5 else "test", address, address, ("hard_bounce", "complaint", "manual")[i % 3], now - i * 1000,
          "asked for it" if i % 3 == 2 else None)
         for i, address in ((i, f"{NAMES[i % 20]}.{i}@gone{i % 997}.example.net") for i in range(suppressions))))
    hooks = ["wh_" + "".join(source.choices("0123456789abcdefghjkmnpqrstvwxyz", k=20)) for _ in range(1000)]
    database.executemany(
        "INSERT INTO webhook (id, key, url, events, enabled, created_at, secret) VALUES (?, ?, ?, '', 1, ?, ?)",
        ((hook, used[i % len(used)], f"https://hooks{i}.example.com/events", now - i * 60_000, source.randbytes(24)) for i, hook in enumerate(hooks)))
    body = json.dumps({"type": "delivered", "id": "evt_1", "data": {"to": "anna@example.net"}}).encode()
    database.executemany(
        "INSERT INTO webhook_call (webhook, event, type, body, created_at, state, attempts, next_attempt_at, last_attempt_at, "
        "last_duration, last_status) VALUES (?, ?, 'delivered', ?, ?, 'delivered', 1, ?, ?, 12, 204)",
        ((hooks[0 if i % 10 else i // 10 % 1000], f"evt_{i}", body, now - i * 500, now, now - i * 500) for i in range(100_000)))
    database.execute("COMMIT")
    say(f"{suppressions:,} suppressions, {len(hooks):,} webhooks with 100,000 calls")
    close(database)


def fill_messages(database, source, now, used, is_live, count):
    live = [id for id in used if is_live[id]]
    accepted = [now - 25 * DAY_MS + round(i * 25 * DAY_MS / count) for i in range(count)]
    messages = [(moment - EPOCH_MS) << 22 | i % 4096 for i, moment in enumerate(accepted)]

    def state(i):
        # Messages that wait are live. No region of SES is set, so their lane is held, and their states do not change.
        return "queued" if i % 50 == 7 else "held" if i % 1000 == 3 else "failed" if i % 100 == 1 else "suppressed" if i % 400 == 2 else "sent"

    def key(i):
        return used[0] if i % 10 == 0 else live[i * 7919 % len(live)] if state(i) != "sent" else used[i * 7919 % len(used)]

    def recipient(i):
        return f"{NAMES[i % 20]}.{i * 31 % 200_003}@customers{i % 499}.example.net"

    def recipients(i):
        # Some messages have the recipients of a newsletter.
        return "\n".join(recipient(i + n) for n in range(50 if i % 5000 == 0 else 1))

    database.executemany(
        "INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, tags) VALUES (?, ?, ?, ?, ?, ?, 2000, ?, ?)",
        ((id, key(i), "live" if is_live[key(i)] else "test", b"\x7f\0\0\1", f"app{i % 1000}@example.com",
          f"Your {WORDS[i % len(WORDS)]} {WORDS[i * 13 % 27]} no. {i}", accepted[i], f"tag{i % 40}" if i % 10 == 5 else None)
         for i, id in enumerate(messages)))
    say(f"{count:,} messages")
    database.executemany(
        "INSERT INTO delivery (id, message, key, lane, recipients, state, attempts, next_attempt_at, queued_since, ses_message_id, reason, "
        "ended_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
        ((i + 1, id, key(i), "live" if is_live[key(i)] else "test", recipients(i), state(i), accepted[i], accepted[i],
          f"0100{i:012}" if state(i) == "sent" else None, "MessageRejected: no" if state(i) == "failed" else None,
          None if state(i) in ("queued", "held") else accepted[i] + 500)
         for i, id in enumerate(messages)))
    database.executemany(
        "INSERT INTO attempt (delivery, number, started_at, finished_at, outcome) VALUES (?, 1, ?, ?, ?)",
        ((i + 1, accepted[i], accepted[i] + 500, "sent" if state(i) == "sent" else "refused") for i in range(count)
         if state(i) in ("sent", "failed")))
    say("their deliveries and attempts")
    database.executemany(
        "INSERT INTO event (message, recipient, kind, at, bounce_type, diagnostic) VALUES (?, ?, ?, ?, ?, ?)",
        ((id, recipient(i), kind, accepted[i] + 2000, "hard" if kind == "bounced" else None, "550 5.1.1 user unknown" if kind == "bounced" else None)
         for i, id in enumerate(messages) if state(i) == "sent"
         for kind in [("bounced" if i % 40 == 9 else "complained" if i % 2000 == 11 else "delivered")]))
    database.executemany(
        "INSERT INTO tag (key, tag, message) VALUES (?, ?, ?)",
        ((key(i), f"tag{i % 40}", id) for i, id in enumerate(messages) if i % 10 == 5))
    body = b"From: app@example.com\r\nSubject: A message that waits\r\n\r\n" + 40 * b"Some text of a message.\r\n"
    database.executemany(
        "INSERT INTO body (message, bytes) VALUES (?, ?)", ((id, body) for i, id in enumerate(messages) if state(i) in ("queued", "held")))
    say("their events, tags and bodies")
    database.execute(
        "INSERT INTO message_words (rowid, recipients, subject) SELECT message.id, recipients, subject "
        "FROM delivery JOIN message ON message.id = delivery.message ORDER BY message.id")
    database.execute("UPDATE words_position SET delivery = (SELECT MAX(id) FROM delivery)")
    say("the index of their words")


def say(text):
    print(f"  {time.monotonic() - START:6.1f} s  {text}", file=sys.stderr, flush=True)


# -- the relay


class Relay:
    def __init__(self, binary, directory):
        self.binary, self.directory = binary, Path(directory)
        self.config = self.directory / "relay.yaml"
        certificate, key = self.directory / "relay.pem", self.directory / "relay.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out",
             certificate, "-days", "30", "-subj", "/CN=relay"], check=True, capture_output=True)
        self.config.write_text(json.dumps({
            "hostname": "relay.example.com", "database": str(self.directory / "relay.db"), "listen": ["smtp://127.0.0.1:0"],
            "admin": {"listen": "http://127.0.0.1:0"}, "tls": {"certificate": [str(certificate)], "private_key": [str(key)]},
            "storage": {"reserve": 0, "reserve_test": 0}}))

    def run(self, *arguments):
        return subprocess.run(
            [self.binary, *arguments, "--config", self.config], check=True, capture_output=True, text=True, timeout=DEADLINE).stdout

    def __enter__(self):
        self.log = open(self.directory / "relay.log", "w+")
        self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stderr=self.log, stdout=subprocess.DEVNULL)
        end = time.monotonic() + DEADLINE
        while not (found := re.search(r"page is there address=127\.0\.0\.1:(\d+)", (self.directory / "relay.log").read_text())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the relay did not start:\n" + (self.directory / "relay.log").read_text())
            time.sleep(0.05)
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=DEADLINE)
        link = json.loads(self.run("admin", "login", "--json"))["url"]
        self.connection.request("GET", "/login?" + link.partition("?")[2])
        answer = self.connection.getresponse()
        answer.read()
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.log.close()

    def get(self, path):
        """Requests a page. Returns the status, the content, and the milliseconds until the last octet."""
        start = time.perf_counter()
        self.connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, content, (time.perf_counter() - start) * 1000

    def memory(self, field="RssAnon"):
        """The relay's memory in MB. RssAnon leaves out the mapped files of the database, whose memory the kernel can free at any time."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024


# -- the pages


def pages(database_path):
    database = sqlite3.connect(f"file:{database_path}?mode=ro", uri=True)

    def one(query):
        return database.execute(query).fetchone()[0]

    busy = one("SELECT key FROM message WHERE key = (SELECT key FROM message ORDER BY id LIMIT 1) LIMIT 1")
    rare = one("SELECT key FROM message ORDER BY id DESC LIMIT 1 OFFSET 1")
    unused = one("SELECT id FROM key WHERE last_used_at IS NULL AND revoked_at IS NULL ORDER BY created_at LIMIT 1")
    middle, created = database.execute(
        "SELECT id, created_at FROM key WHERE revoked_at IS NULL ORDER BY created_at "
        "LIMIT 1 OFFSET (SELECT COUNT(*) / 2 FROM key)").fetchone()
    count = one("SELECT MAX(id) FROM delivery")
    half = message_id(one(f"SELECT message FROM delivery WHERE id = {count // 2}"))
    sent = message_id(one("SELECT message FROM delivery WHERE state = 'sent' ORDER BY id DESC LIMIT 1"))
    many = message_id(one("SELECT message FROM delivery WHERE recipients LIKE '%' || char(10) || '%' ORDER BY id DESC LIMIT 1"))
    waiting = message_id(one("SELECT message FROM body ORDER BY message DESC LIMIT 1"))
    address = one(f"SELECT recipients FROM delivery WHERE id = {count // 2 + 1}").partition("\n")[0]
    hook = one("SELECT webhook FROM webhook_call ORDER BY id DESC LIMIT 1 OFFSET 1")
    listed, place = database.execute("SELECT address, match_key FROM suppression WHERE environment = 'live' LIMIT 1 OFFSET 40000").fetchone() \
        if one("SELECT COUNT(*) FROM suppression") > 80_000 else database.execute("SELECT address, match_key FROM suppression LIMIT 1").fetchone()
    database.close()
    states = ["delivered", "delayed", "bounced", "complained", "rejected", "queued", "scheduled", "sending", "sent", "simulated", "failed",
              "held", "cancelled", "suppressed", "partly-failed"]
    return [
        "/keys/new", "/keys", "/keys?revoked=1", "/keys?environment=test", "/keys?notes=1", "/keys?notes=1&revoked=1", "/keys?q=application",
        "/keys?q=application+777", "/keys?q=anna", "/keys?q=nothing+like+it", f"/keys?q={middle}", f"/keys?after={created}-{middle}",
        f"/keys?q=nothing+like+it&after={created}-{middle}", f"/keys/{busy}", f"/keys/{rare}", f"/keys/{unused}",
        "/messages", f"/messages?after={half}", f"/messages?q={address}", "/messages?q=your", "/messages?q=you*", "/messages?q=invoice", "/messages?q=invoice+reminder",
        "/messages?q=no.+4711", "/messages?q=a", "/messages?q=nothinglikeit", f"/messages?q=your&after={half}", "/messages?q=example.net",
        "/messages?q=anna+your", f"/messages?q={sent}",
        *(f"/messages?state={state}" for state in states), *(f"/messages?state={state}&key={busy}" for state in states),
        *(f"/messages?state={state}&q=your" for state in states), f"/messages?key={busy}", f"/messages?key={rare}", f"/messages?key={unused}",
        f"/messages?key={busy}&after={half}", f"/messages?key={rare}&q=your", f"/messages?key={busy}&q=invoice", f"/messages?key={unused}&q=your",
        f"/messages/{sent}", f"/messages/{many}", f"/messages/{waiting}", "/queue", "/suppressions", f"/suppressions?q={listed}",
        "/suppressions?q=gone7.example.net", "/suppressions?q=nothinglikeit", "/suppressions?reason=manual", "/suppressions?environment=test&reason=complaint",
        f"/suppressions?after_environment=live&after={place}", "/webhooks", f"/webhooks?key={busy}", f"/webhooks/{hook}",
    ]


def message_id(number):
    alphabet, text = "0123456789abcdefghjkmnpqrstvwxyz", ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        text = alphabet[digit] + text
    return text


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="operator-page-") as temporary:
        directory = Path(options.directory or temporary)
        directory.mkdir(exist_ok=True)
        relay = Relay(options.binary, directory)
        database = directory / "relay.db"
        if not database.exists():
            relay.run("keys", "list")
            fill(database, options.keys, options.messages)
        print(f"{database.stat().st_size / 1e6:,.0f} MB in the database; each page {options.times} times", file=sys.stderr)
        asked = pages(database)
        wrong = []
        with relay:
            # The memory that the relay needs for its first page does not count.
            relay.get("/keys/new")
            before = (relay.memory(), relay.memory("VmRSS"))
            print(f"{'median':>9} {'longest':>9} {'size':>8} {'memory':>9}")
            for path in asked:
                results = [relay.get(path) for _ in range(options.times)]
                times = [milliseconds for _, _, milliseconds in results]
                status, size = results[0][0], len(results[0][1]) / 1000
                median = statistics.median(times)
                faults = [text for fails, text in (
                    (status not in (200, 303), f"answered {status}"), (max(times) > MOST_MS, "too slow"), (size > MOST_KB, "too large")) if fails]
                wrong += [f"{path}: {fault}" for fault in faults]
                print(f"{median:6.1f} ms {max(times):6.1f} ms {size:5.1f} KB {relay.memory() - before[0]:+6.1f} MB  {path}  {', '.join(faults)}", flush=True)
            growth = relay.memory() - before[0]
            print(f"memory: {before[0]:.1f} MB, and {growth:+.1f} MB after all pages; with mapped files {before[1]:.1f} MB and "
                  f"{relay.memory('VmRSS') - before[1]:+.1f} MB")
        if growth > MOST_GROWTH_MB:
            wrong.append(f"the memory has grown by {growth:.1f} MB")
        if wrong:
            raise SystemExit("\n".join(wrong))


START = time.monotonic()
if __name__ == "__main__":
    main()
