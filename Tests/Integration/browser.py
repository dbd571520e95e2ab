"""The operator's page in Chromium, used as a person uses it: by labels, links and buttons."""

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
    """A driver of a browser that has a profile of its own and sends no requests to the network."""
    options = Options()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--window-size=1200,900", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                     "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    # Because both paths are given, selenium does not look for a driver to download.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(DEADLINE)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page that is open in the browser. `has_script`: whether the page's script runs."""

    def __init__(self, driver, relay, has_script=True):
        self.driver, self.relay, self.has_script = driver, relay, has_script
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.is_dark(False)
        # Reading the browser's log empties it. This removes the entries that an earlier test's page caused.
        driver.get_log("browser")

    # -- appearance

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
        """The violations of WCAG 2 A and AA that axe finds, in words.

        The rule that a dt must be a child of its dl is off: HTML allows a div between them, but this version of axe does not know
        that.
        """
        self.driver.execute_script(AXE)
        found = self.driver.execute_async_script("""
            const done = arguments[arguments.length - 1];
            axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"], rules: {dlitem: {enabled: false}}, iframes: false}).then(
                (result) => done(result.violations), (error) => done([{id: "axe", help: String(error), nodes: []}]));
            """)
        return [f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
                for one in found for node in one["nodes"] or [{"html": "", "failureSummary": ""}]]

    # -- navigation

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

    # -- content

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
        """Waits until `condition` returns something true, and returns it. If an element changes meanwhile, it tries again."""
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
        """Waits until the page shows the texts, without loading the page again."""
        for text in texts:
            self.until(lambda: text in self.text(), f"{text!r} on the page {self.path}")

    def shows(self, *texts):
        shown = self.text()
        for text in texts:
            assert text in shown, (text, shown)

    def did(self, what):
        """Asserts that the URL names what was done, and that the page has a sentence about it, in its own words."""
        done = parse_qs(urlsplit(self.driver.current_url).query).get("done")
        assert done == [what] and self.one(".done").text, (what, self.path, self.text())
        return self

    # -- actions

    def press(self, element):
        """Clicks an element that leads to another page, and waits for that page."""
        document = self.one("html")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        self.arrives(document)

    def arrives(self, document):
        """Waits until another document than `document` is completely loaded."""
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
        """The form whose action ends with `action`. If two forms match, it is the one that changes something."""
        found = self.all(f'form[action$="{action}"]')
        changing = [form for form in found if form.get_attribute("method") == "post"]
        assert found and len(changing or found) == 1, (action, len(found), self.driver.page_source[:5000])
        return (changing or found)[0]

    def fill(self, action, **values):
        """Fills in fields by name. A value is a text, the value of an option, or a list of the boxes to check."""
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
        """Fills in a form and sends it. If the page asks for a confirmation, it confirms."""
        button = self.fill(action, **values).find_element(By.TAG_NAME, "button")
        asks = self.has_script and button.get_attribute("data-confirm")
        if asks:
            # If the confirmation is dismissed, nothing happens.
            button.click()
            self.driver.switch_to.alert.dismiss()
            assert self.driver.find_elements(By.TAG_NAME, "main")
            self.driver.execute_script("window.confirm = () => true")
        self.press(button)
        return self

    def messages_of_the_browser(self):
        """The messages in the browser's log, without those about answers 4xx, which tests cause on purpose."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "the server responded with a status" not in entry["message"]]


def writes_pictures():
    return os.environ.get("WRITE_PICTURES") == "1"
