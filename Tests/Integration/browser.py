"""Chromium in front of the operator's page, as a person uses it: by labels, links and buttons."""

import base64
import contextlib
import os
import shutil
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import axe_selenium_python
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from relay import DEADLINE

SCREENSHOTS = Path(__file__).parent / "screenshots"
AXE = (Path(axe_selenium_python.__file__).parent / "node_modules/axe-core/axe.min.js").read_text()


@contextlib.contextmanager
def chromium(script=True):
    """A driver of a browser with a profile of its own, that asks nobody on the network for anything."""
    options = Options()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--window-size=1200,900", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                     "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    # With both paths given, selenium looks for no driver to download.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(DEADLINE)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """What is open in the browser. `has_script`: whether the page's script runs."""

    def __init__(self, driver, relay, has_script=True):
        self.driver, self.relay, self.has_script = driver, relay, has_script
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.is_dark(False)
        # What another test's page made the browser say: asking for it takes it away.
        driver.get_log("browser")

    # -- how it looks

    def is_dark(self, dark):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def is_narrow(self, narrow, width=360):
        if narrow:
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True})
        else:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def picture(self, path, height=2400, width=None):
        metrics = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width or metrics["width"], "height": min(metrics["height"], height), "scale": 1}
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def violations(self):
        """What axe finds against WCAG 2 A and AA, in words.

        Without the rule of a dt that is no child of its dl: this axe is older than the div that HTML allows between them.
        """
        self.driver.execute_script(AXE)
        found = self.driver.execute_async_script("""
            const done = arguments[arguments.length - 1];
            axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"], rules: {dlitem: {enabled: false}}, iframes: false}).then(
                (result) => done(result.violations), (error) => done([{id: "axe", help: String(error), nodes: []}]));
            """)
        return [f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
                for one in found for node in one["nodes"] or [{"html": "", "failureSummary": ""}]]

    # -- where it is

    def sign_in(self):
        self.driver.get(self.relay.login_link())
        assert self.heading() == "Keys"
        return self

    def open(self, path):
        self.driver.get(path if "://" in path else self.relay.page_url(path))
        return self

    @property
    def path(self):
        return "/" + self.driver.current_url.split("/", 3)[3]

    # -- what it shows

    def heading(self):
        return self.all("h1")[0].text

    def text(self):
        return self.one("main").text

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        found = self.all(selector)
        assert len(found) == 1, (selector, len(found), self.driver.page_source[:5000])
        return found[0]

    def until(self, condition, what):
        """Until `condition` returns something true, which is returned; what changes meanwhile is looked at again."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except (StaleElementReferenceException, IndexError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not within {DEADLINE} s: {what}\n{self.text()}\n{self.relay.log_text()[-3000:]}")

    def comes(self, *texts):
        """Waits until the page shows them, without loading it."""
        for text in texts:
            self.until(lambda: text in self.text(), f"{text!r} on the page {self.path}")

    def shows(self, *texts):
        shown = self.text()
        for text in texts:
            assert text in shown, (text, shown)

    def did(self, what):
        """That the page says what was done, which its URL names; the words are its own."""
        done = parse_qs(urlsplit(self.driver.current_url).query).get("done")
        assert done == [what] and self.one(".done").text, (what, self.path, self.text())
        return self

    # -- what one does

    def press(self, element):
        """Clicks what leads to another page, and waits for that."""
        document = self.one("html")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        self.arrives(document)

    def arrives(self, document):
        """Until the document is another one than `document`, and whole."""
        def is_there():
            try:
                document.is_enabled()
                return False
            except (StaleElementReferenceException, WebDriverException):
                return self.driver.execute_script("return document.readyState") == "complete"
        self.until(is_there, "another page")

    def link(self, text):
        self.press(next(link for link in self.all("a") if link.text == text))

    def unfold(self, name):
        details = self.one(f"details#{name}")
        if not details.get_attribute("open"):
            details.find_element(By.TAG_NAME, "summary").click()
        return details

    def form(self, action):
        """The form for a path, or for paths that end so; of two for one path, the one that changes something."""
        found = self.all(f'form[action$="{action}"]')
        changing = [form for form in found if form.get_attribute("method") == "post"]
        assert found and len(changing or found) == 1, (action, len(found), self.driver.page_source[:5000])
        return (changing or found)[0]

    def fill(self, action, **values):
        """Types into fields by name, or chooses in them: a text, an option's value, a list of the boxes to check."""
        form = self.form(action)
        for name, value in values.items():
            fields = form.find_elements(By.NAME, name)
            assert fields, name
            if fields[0].get_attribute("type") in ("checkbox", "radio"):
                wanted = [value] if isinstance(value, str) else value
                for field in fields:
                    is_wanted = field.get_attribute("value") in wanted
                    if field.is_selected() != is_wanted and (is_wanted or field.get_attribute("type") == "checkbox"):
                        field.click()
            elif fields[0].tag_name == "select":
                Select(fields[0]).select_by_value(value)
            elif fields[0].get_attribute("type") == "date":
                self.driver.execute_script("arguments[0].value = arguments[1]", fields[0], value)
            else:
                fields[0].clear()
                fields[0].send_keys(value)
        return form

    def send(self, action, **values):
        """Fills a form in and sends it, and says yes where the page asks whether one is sure."""
        button = self.fill(action, **values).find_element(By.TAG_NAME, "button")
        asks = self.has_script and button.get_attribute("data-confirm")
        if asks:
            # Said no, nothing happens.
            button.click()
            self.driver.switch_to.alert.dismiss()
            assert self.driver.find_elements(By.TAG_NAME, "main")
            self.driver.execute_script("window.confirm = () => true")
        self.press(button)
        return self

    def messages_of_the_browser(self):
        """What the browser complains of, but for the answers 4xx that tests ask for."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "the server responded with a status" not in entry["message"]]


def writes_pictures():
    return os.environ.get("WRITE_PICTURES") == "1"
