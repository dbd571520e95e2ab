"""The README's pictures of the operator's page. WRITE_PICTURES=1 (`make pictures`) writes them again."""

import pytest

from browser import SCREENSHOTS, Page, writes_pictures
from operator_page import PAGE
from page_content import fill, furnish
from relay import ROOT, Relay

PICTURES = ROOT / "docs/pictures"
WIDTH, MOST_OCTETS = 1200, 250_000


@pytest.fixture
def gateway(tmp_path):
    """A relay with a month of use, and the id of a message that bounced."""
    relay = Relay(tmp_path, PAGE)
    keys = furnish(relay)
    relay.start()
    yield relay, fill(relay, keys)
    assert relay.stop() == 0


def test_the_readmes_pictures(chromium, gateway):
    relay, bounced = gateway
    folder = PICTURES if writes_pictures() else SCREENSHOTS / "readme"
    page = Page(chromium, relay).sign_in()
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    # First the page that an operator looks at each day. It shows the keys that need attention.
    page.open("/keys?environment=live")
    page.shows("Newsletter", "Old intranet", "unused", "log in")
    page.picture(folder / "keys.png", 1600)
    page.open(f"/messages/{bounced}")
    frame = page.one("iframe.mail")
    # The browser loads the frame when it becomes visible.
    chromium.execute_script("arguments[0].scrollIntoView()", frame)
    chromium.switch_to.frame(frame)
    page.until(lambda: page.all("h1"), "the message in its frame")
    chromium.switch_to.default_content()
    page.shows("bounced", "mailbox", "b.jansen@example.nl")
    # The picture ends at the end of the frame.
    end = chromium.execute_script("return arguments[0].getBoundingClientRect().bottom + scrollY", page.one("iframe.mail"))
    page.picture(folder / "message.png", round(end) + 24)
    for name in ("keys", "message"):
        assert (folder / f"{name}.png").stat().st_size <= MOST_OCTETS
    page.is_narrow(False)
