"""Receivers of webhooks: HTTP servers on loopback addresses that behave as a test wants."""

import contextlib
import http.server
import json
import ssl
import threading

from relay import DEADLINE

HANG = "hang"
TRICKLE = "trickle"
HEADER_WITHOUT_END = "header"
BODY_WITHOUT_END = "body"


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.id = headers["webhook-id"]

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """A receiver of webhooks. `behave(request, number)` decides the answer to the request with this number.

    The answer is a status, a tuple (status, fields, body), HANG (no answer), TRICKLE (one octet each second), or one of the answers
    without end.
    """

    def __init__(self, behave=lambda request, number: 204, address="127.0.0.1", tls=None):
        self.requests = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.connections = 0
        # How many octets have been sent in answers without end.
        self.octets = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = DEADLINE

            def setup(self):
                super().setup()
                with receiver.lock:
                    receiver.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.path, dict(self.headers.items()), body)
                with receiver.lock:
                    receiver.requests.append(request)
                    number = len(receiver.requests)
                answer = behave(request, number)
                if answer == HANG:
                    receiver.ended.wait(DEADLINE)
                    self.close_connection = True
                    return
                if answer == TRICKLE:
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: " + b"x" * 100:
                            self.wfile.write(bytes([octet]))
                            self.wfile.flush()
                            if receiver.ended.wait(1):
                                return
                    return
                if answer in (HEADER_WITHOUT_END, BODY_WITHOUT_END):
                    self.close_connection = True
                    end = b"\r\n" if answer == BODY_WITHOUT_END else b""
                    with contextlib.suppress(OSError):
                        self.wfile.write(b"HTTP/1.1 500 No\r\n" + end)
                        while not receiver.ended.is_set():
                            self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
                            receiver.octets += 1010
                    return
                status, fields, content = answer if isinstance(answer, tuple) else (answer, {}, b"")
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server((address, 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def url(self, path="/hook", scheme="http", host="127.0.0.1"):
        return f"{scheme}://{host}:{self.port}{path}"

    def of_type(self, kind):
        return [request for request in list(self.requests) if request.json["type"] == kind]

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
