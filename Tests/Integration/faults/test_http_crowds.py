"""Many clients of the HTTP API at once: memory stays bounded, and no email is lost.

The full size is 200 clients: FAULTS_SIZE=full, or make faults FAULTS="-k http_crowds".
"""

import asyncio
import base64
import json
import os

from http_api import API, HTTP, taken
from process import descriptors, memory
from relay import DEADLINE, key_id
from sizes import size

CLIENTS = size(30, 200)
# The size of the JSON that each client sends, in octets.
BODY = 20_000_000
# The most memory that the relay may use, in MiB.
LIMIT = 300


def test_many_large_requests_at_once(own_relay):
    relay = own_relay({**HTTP, "submission.max_connections_per_client": 1000})
    key = relay.create_key(per_second=1_000_000)
    content = base64.b64encode(os.urandom(BODY * 3 // 4)).decode()
    body = json.dumps({"from": "a@example.com", "to": "b@example.net", "subject": "large", "text": "x",
                       "attachments": [{"filename": "a.bin", "content": content}]}).encode()
    head = (f"POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n").encode()

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["http"])
        writer.write(head)
        for start in range(0, len(body), 65536):
            writer.write(body[start:start + 65536])
            await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10 * DEADLINE)
        writer.close()
        return answer.split(b"\r\n")[0]

    async def crowd():
        return await asyncio.gather(*(client() for _ in range(CLIENTS)))

    answers = asyncio.run(crowd())
    most = memory(relay, "VmHWM") >> 20
    print(f"{CLIENTS} clients, {len(body)} octets each: {most} MiB")
    assert set(answers) == {b"HTTP/1.1 200 OK"}
    assert most < LIMIT
    assert len(relay.json("messages", "list", "--key", key_id(key), "--limit", "1000")) == CLIENTS


def test_aborted_request_bodies_leave_no_files_or_descriptors(own_relay):
    """No file has content of an aborted request, and the descriptors are closed."""
    relay = own_relay({**HTTP, "submission.max_connections_per_client": 1000})
    key = relay.create_key(per_second=1000)
    with API(relay, key, secure=False) as api:
        taken(api.send())
    files = {path.name for path in relay.directory.iterdir()}
    before = len(descriptors(relay))

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.ports["http"])
        writer.write((f"POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
                      f"Authorization: Bearer {key}\r\nContent-Length: 5000000\r\n\r\n").encode() + b" " * 1_000_000)
        await writer.drain()
        return writer

    async def crowd():
        for writer in await asyncio.gather(*(client() for _ in range(CLIENTS))):
            writer.transport.abort()

    asyncio.run(crowd())
    relay.wait_until(lambda: len(descriptors(relay)) <= before, "the descriptors of the requests are closed")
    # The file of an incomplete body has no name. So no file can be left.
    assert {path.name for path in relay.directory.iterdir()} == files
    assert len(relay.json("messages", "list", "--key", key_id(key))) == 1
