"""Content from others on the operator's page: mail, names, notes. The page runs none of it as code, and fetches nothing for it."""

import http.server
import threading

import pytest

from browser import Page
from operator_page import PAGE
from receivers import Receiver
from relay import key_id
from submit import submit

SETTINGS = {**PAGE, "webhooks.private_networks": ["127.0.0.0/8"]}

# If a browser took one of these texts for markup or script, it would set the title or the global variable that the tests check.
HOSTILE = [
    "<script>document.title = 'run'; window.run = 1</script>",
    "<img src=x onerror=\"document.title='run';window.run=1\">",
    "\"><svg onload='window.run=1'>",
    "' autofocus onfocus='window.run=1' x='",
    "</title><script>window.run=1</script>",
    "</textarea><script>window.run=1</script>",
    "javascript:window.run=1//",
    "{{constructor.constructor('window.run=1')()}}",
    "&lt;script&gt;window.run=1&lt;/script&gt;",
    "<!--", "]]>", "<style>*{display:none}</style>",
]


class Listener:
    """A server whose address occurs only in hostile content. It records requests and connections."""

    def __enter__(self):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            do_POST = do_HEAD = do_OPTIONS = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def verify_request(self, request, client):
                # Even a connection without a request (rel=preconnect) would tell the sender that the message was opened.
                asked.append("a connection")
                return True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def relay(own_relay):
    return own_relay(SETTINGS)


@pytest.fixture
def page(chromium, relay):
    return Page(chromium, relay).sign_in()


def is_untouched(page):
    """Asserts that the browser treated every hostile text as plain text."""
    assert page.driver.execute_script("return window.run") is None, page.path
    assert "run" != page.driver.title
    own = page.driver.execute_script("""
        return [...document.querySelectorAll("script, style, object, embed, base, [autofocus], meta[http-equiv]")]
            .map((element) => element.outerHTML);
        """)
    assert [element.partition(" src=")[0] for element in own] == ["<script"], own
    handlers = page.driver.execute_script("""
        return [...document.querySelectorAll("*")].flatMap((element) => element.getAttributeNames())
            .filter((name) => name.startsWith("on") || name === "style");
        """)
    assert handlers == []


def hostile_html(url):
    """A hostile page. `url`: the server that must not get any request."""
    return f"""<!doctype html><html><head>
        <base href="{url}/base/"><link rel="stylesheet" href="{url}/link.css"><link rel="prefetch" href="{url}/prefetch">
        <link rel="preconnect" href="{url}"><link rel="dns-prefetch" href="{url}"><link rel="icon" href="{url}/icon">
        <meta http-equiv="refresh" content="0; url={url}/refresh">
        <meta http-equiv="Content-Security-Policy" content="default-src *">
        <style>@import url("{url}/import.css"); body {{ background: url({url}/background.png) }}
        @font-face {{ font-family: f; src: url({url}/font.woff) }} p {{ font-family: f }}
        body {{ position: fixed; inset: 0; z-index: 99999 }}</style>
        <script>document.title = "run"; top.document.title = "run"; window.run = parent.run = top.run = 1; fetch("{url}/fetch")</script>
        <script src="{url}/script.js"></script></head>
        <body background="{url}/body.png" onload="top.run = 1; new Image().src = '{url}/onload'">
        <p id="seen">Dear operator, this text is seen.</p>
        <img src="{url}/image.png" srcset="{url}/image2.png 2x"><img src="x" onerror="top.run = 1; location = '{url}/error'">
        <img src="//127.0.0.1:{url.rpartition(':')[2]}/relative.png"><picture><source srcset="{url}/source.png"><img></picture>
        <iframe srcdoc="&lt;link rel=preconnect href={url}&gt;"></iframe><div><template shadowrootmode="open"><link rel="preconnect" href="{url}">
        </template></div>
        <form id="f" action="{url}/form" method="post"><input name="a" value="b" autofocus onfocus="top.run = 1"><button id="send">Pay</button></form>
        <iframe src="{url}/frame"></iframe><iframe srcdoc="<script>top.run = 1</script><img src='{url}/srcdoc'>"></iframe>
        <object data="{url}/object"></object><embed src="{url}/embed"><video src="{url}/video" autoplay poster="{url}/poster"></video>
        <audio src="{url}/audio" autoplay></audio><table background="{url}/table"><tr><td background="{url}/cell">x</td></tr></table>
        <svg onload="top.run = 1"><image href="{url}/svg.png"/><script>top.run = 1</script><use href="{url}/use.svg#a"/>
        <a href="javascript:top.run = 1"><text>x</text></a><animate onbegin="top.run = 1" attributeName="x" dur="1s"/></svg>
        <math><mtext><script>top.run = 1</script></mtext></math><noscript><img src="{url}/noscript"></noscript>
        <a id="out" href="{url}/target" target="_top">here</a> <a id="code" href="javascript:top.run = 1">there</a>
        <div style="background: url({url}/style.png); position: fixed; inset: 0; z-index: 99999">over everything</div>
        </body></html>"""


def message(html, subject="Hostile", fields=""):
    return (f"From: from@example.com\r\nSubject: {subject}\r\n{fields}MIME-Version: 1.0\r\n"
            "Content-Type: text/html; charset=utf-8\r\n\r\n" + html.replace("\n", "\r\n") + "\r\n").encode()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_the_html_of_a_message_runs_no_code_and_fetches_nothing(request, relay, script):
    driver = request.getfixturevalue("chromium" if script else "chromium_without_script")
    page = Page(driver, relay).sign_in()
    with Listener() as listener:
        found = submit(relay, relay.create_key(), message(hostile_html(listener.url)))
        page.open(f"/messages/{found}")
        title = driver.title
        frame = page.one("iframe.mail")
        driver.execute_script("arguments[0].scrollIntoView()", frame)
        driver.switch_to.frame(frame)
        page.until(lambda: page.all("#seen"), "the frame's text")
        assert page.one("#seen").text == "Dear operator, this text is seen."
        # The frame has an origin of its own, so its content has no access to the page around it.
        assert driver.execute_script("return origin") == "null"
        assert listener.asked == []
        for dangerous in ("send", "out", "code"):
            for element in page.all(f"#{dangerous}"):
                driver.execute_script("arguments[0].click()", element)
        page.until(lambda: driver.execute_script("return document.readyState") == "complete", "the frame")
        driver.switch_to.default_content()
        assert page.path == f"/messages/{found}" and driver.title == title
        is_untouched(page)
        # An element that is placed over everything covers only its own frame.
        assert driver.execute_script("scrollTo(0, 0); return document.elementFromPoint(40, 40).closest('header') !== null")
        # Then the message is opened by itself, without the frame around it.
        page.open(f"/messages/{found}/html")
        assert driver.execute_script("return window.run") is None and driver.execute_script("return origin") == "null"
        page.until(lambda: page.all("#seen"), "the text")
        assert page.path == f"/messages/{found}/html"
        # A click on a link leads nowhere. The browser may connect to the link's host, but sends no request.
        assert set(listener.asked) <= {"a connection"}


def test_other_pages_cannot_show_this_page_in_a_frame(page, relay):
    """Clickjacking: X-Frame-Options and frame-ancestors forbid other pages to show this one in a frame."""
    found = submit(relay, relay.create_key(), message("<p id=seen>x</p>"))
    for path in ("/keys", "/keys/new", f"/messages/{found}/html", "/login?token=x", "/style.css"):
        framing = f'<title>framing</title><iframe src="{page.relay.page_url(path)}"></iframe>'

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(framing.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page.open(f"http://127.0.0.1:{server.server_port}/")
            assert page.driver.title == "framing"
            page.driver.switch_to.frame(page.one("iframe"))
            shown = page.driver.page_source
            assert "Hiveku" not in shown and "seen" not in shown and "accent" not in shown, (path, shown[:300])
        finally:
            page.driver.switch_to.default_content()
            server.shutdown()
            server.server_close()


def test_hostile_text_is_shown_as_text(page, relay):
    with Listener() as listener, Receiver() as receiver:
        texts = [text.replace("src=x", f"src={listener.url}/x") for text in HOSTILE]
        for number, text in enumerate(texts):
            key = relay.create_key(name=f"{number} {text}"[:100])
            page.open(f"/keys/{key_id(key)}")
            assert page.heading().startswith(f"{number} {text[:60]}"), page.heading()
            is_untouched(page)
            page.unfold("test")
            page.driver.execute_script("arguments[0].noValidate = true", page.fill("/test", to=text))
            page.press(page.form("/test").find_element("css selector", "button"))
            assert page.form("/test").find_element("name", "to").get_attribute("value") == text
            is_untouched(page)
            found = submit(
                relay, key, message("<p>x</p>", text, f"X-Hostile: {text}\r\n"), ['"<b>x"@example.net'])
            page.open(f"/messages/{found}")
            assert page.heading() == text, page.heading()
            for summary in page.all("details:not([open]) > summary"):
                summary.click()
            page.shows("X-Hostile", text)
            is_untouched(page)
            page.open("/suppressions").send("/suppressions", address=f"a{number}@example.net", note=text)
            page.shows(text)
            is_untouched(page)
        for path in ("/keys", "/messages", "/suppressions", "/webhooks", "/queue"):
            page.open(path)
            is_untouched(page)
            for text in texts if path == "/messages" else ():
                assert text[:80] in page.text(), (path, text)
        # The page shows texts from a query or from a form with a mistake again, in fields and in sentences.
        for text in texts:
            for path in ("/keys", "/messages", "/suppressions"):
                page.open(path).send(path, **{"address" if path == "/suppressions" else "q": text})
                is_untouched(page)
            page.open("/webhooks").send("/webhooks", key=key_id(key), url="https://example.com/", tags=text)
            is_untouched(page)
        hook = receiver.url("/a?x=%3Cscript%3E'onerror=window.run=1")
        page.open("/webhooks").send("/webhooks", key=key_id(key), url=hook)
        page.shows("onerror")
        is_untouched(page)
        assert listener.asked == []


def test_a_webhook_receivers_response_is_shown_as_text(page, relay):
    answer = "".join(HOSTILE).encode()
    with Receiver(lambda request, number: (500, {"Content-Type": "text/html"}, answer)) as receiver:
        key = relay.create_key()
        page.open("/webhooks").send("/webhooks", key=key_id(key), url=receiver.url())
        page.send("/test")
        page.comes("answered 500")
        page.one("li.card summary").click()
        page.shows("Response", HOSTILE[0])
        is_untouched(page)


def test_bidirectional_control_characters_are_replaced(page, relay):
    """Characters that change the direction of text could make one name look like another. The page shows U+FFFD instead of them."""
    found = submit(relay, relay.create_key(name="pay"), message("<p>x</p>", "=?utf-8?q?abc=E2=80=AEgpj.exe=E2=81=A6?="))
    page.open(f"/messages/{found}")
    assert page.heading() == "abc\ufffdgpj.exe\ufffd"
    assert not set("\u202e\u2066") & set(page.driver.page_source)
