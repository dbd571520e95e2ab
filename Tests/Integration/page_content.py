"""Content for the operator's page, as of a gateway in use: keys with a month of use, messages, addresses and webhooks."""

import random
import sqlite3
import time

from relay import key_id
from submit import submit

DAY_MS = 86_400_000

# Name, environment, age in days, emails on a working day and on a Sunday, options of `keys create`.
KEYS = [
    ("Web shop", "live", 400, (820, 1100), {"allow_domain": ["shop.example.com"], "per_second": 5, "per_day": 5000}),
    ("Newsletter", "live", 310, (40, 9200), {"allow_domain": ["news.example.com"], "per_second": 10, "scope": ["email:batch"]}),
    ("Invoices", "live", 280, (310, 0), {"allow_domain": ["example.com"], "allow_network": ["192.0.2.0/28"]}),
    ("Monitoring", "live", 200, (12, 9), {"allow_network": ["198.51.100.7/32", "198.51.100.8/32"]}),
    ("Old intranet", "live", 700, (0, 0), {"allow_domain": ["intranet.example.com"]}),
    ("Staging of the web shop", "test", 90, (160, 20), {}),
]


def furnish(relay):
    """Fills the database of a relay that has not been started yet. Returns the keys by name."""
    keys = {}
    for name, environment, _, _, options in KEYS:
        keys[name] = relay.create_key(environment, name=name, **options)
    source = random.Random(1)
    now = round(time.time() * 1000)
    today = now // DAY_MS
    with sqlite3.connect(relay.directory / "relay.db") as database:
        for name, _, age, (working, sunday), _ in KEYS:
            id = key_id(keys[name])
            created = now - age * DAY_MS
            database.execute("UPDATE key SET created_at = ?, last_used_at = ? WHERE id = ?", (created, created + DAY_MS, id))
            for day in range(today - 45, today + 1):
                # 1970-01-01 was a Thursday.
                count = round((sunday if day % 7 == 3 else working) * source.uniform(0.7, 1.3))
                if not count:
                    continue
                bounces = round(count * (0.06 if name == "Newsletter" else 0.004))
                database.execute(
                    "INSERT INTO usage (key, day, emails, messages, last_at, deliveries, bounces, hard_bounces, complaints) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (id, day, count, count, now - 240_000 if day == today else day * DAY_MS, count - bounces, bounces, bounces,
                     int(name == "Newsletter" and day % 7 == 3)))
        database.execute("UPDATE key SET auth_failures = 14 WHERE name = 'Monitoring'")
    database.close()
    return keys


HTML = """<!doctype html><html><head><style>
    body { font: 16px sans-serif; color: #222; margin: 2em } h1 { color: #175e7a } td, th { padding: .3em 1.5em .3em 0; text-align: left }
    </style></head><body><h1>Thank you for your order</h1><p>Hello Mrs Bergmann,</p><p>this is what you ordered:</p><table>
    <tr><th>Article</th><th>Price</th></tr><tr><td>Teapot, blue</td><td>39.00 €</td></tr><tr><td>Tea, 250 g</td><td>12.50 €</td></tr>
    </table><p><img src="https://shop.example.com/logo.png" alt="The shop's logo"></p></body></html>"""


def order(number):
    return (f"From: Tea Shop <orders@shop.example.com>\r\nTo: Anna Bergmann <bounce@simulator.amazonses.com>\r\n"
            f"Subject: Your order {number}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
            "Thank you for your order.\r\n\r\n1 teapot, blue\r\n1 tea, 250 g\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
            + HTML.replace("\n", "\r\n") + "\r\n--a--\r\n--b\r\nContent-Type: application/pdf; name=\"order.pdf\"\r\n"
            "Content-Disposition: attachment; filename=\"order.pdf\"\r\n\r\n%PDF-1.4\r\n--b--\r\n").encode()


def fill(relay, keys):
    """Sends messages with the keys of a running relay. Returns the id of a message that bounced."""
    shop = keys["Staging of the web shop"]
    for number, recipient in enumerate([
            "anna@customers.example", "complaint@simulator.amazonses.com", "ooto@simulator.amazonses.com", "c.dupont@example.org"]):
        submit(relay, shop, order(4711 + number), [recipient], "orders@shop.example.com")
    submit(relay, keys["Web shop"], order(4720), ["held@example.net"], "orders@shop.example.com")
    bounced = submit(
        relay, shop, order(4719), ["bounce@simulator.amazonses.com", "b.jansen@example.nl"], "orders@shop.example.com")
    relay.wait_until(lambda: len(relay.json("suppressions", "list")) == 2, "two addresses are suppressed")
    return bounced
