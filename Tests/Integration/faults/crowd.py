"""Many connections that do not authenticate, in a process of their own: python crowd.py PORT COUNT DRIPPING.

They come at once, from 200 addresses, and say nothing, except the first DRIPPING of them, which say an octet a second. When each
has been greeted, refused or cut, what became of them is printed; they stay until standard input ends.
"""

import json
import selectors
import socket
import sys
import threading

ADDRESSES = 200
# So many seconds without a word from any of them are the end of it.
PATIENCE = 60
LINE = b"NOOP or anything\r\n"


def main(port, count, dripping):
    selector = selectors.DefaultSelector()
    heard = {}
    for number in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.bind((f"127.1.0.{number % ADDRESSES + 1}", 0))
        client.connect_ex(("127.0.0.1", port))
        heard[client] = b""
        selector.register(client, selectors.EVENT_READ)
        # While the rest are still coming.
        listen(selector, heard, 0)
    quiet_seconds = 0
    while quiet_seconds < PATIENCE and not all(
            b"\r\n" in data or client.fileno() < 0 for client, data in heard.items()):
        quiet_seconds = 0 if listen(selector, heard, 1) else quiet_seconds + 1
    print(json.dumps({
        "greeted": sum(data.startswith(b"220 ") for data in heard.values()),
        "refused": sum(data.startswith(b"421 ") for data in heard.values()),
        "silent": sum(not data for data in heard.values())}), flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    clients = list(heard)[:dripping]
    place = 0
    while not ended.wait(1):
        for client in clients:
            try:
                client.send(LINE[place:place + 1])
            except OSError:
                pass
        place = (place + 1) % len(LINE)
        listen(selector, heard, 0)


def listen(selector, heard, timeout):
    """Returns whether anything was heard."""
    events = selector.select(timeout)
    for key, _ in events:
        client = key.fileobj
        try:
            data = client.recv(4096)
        except OSError:
            data = b""
        heard[client] += data
        if not data:
            selector.unregister(client)
            client.close()
    return bool(events)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
