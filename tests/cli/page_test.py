"""The HTML page in a browser: what its script draws, keys, search, mouse, dark, print.

Needs chromium and chromedriver; drives them by WebDriver (https://www.w3.org/TR/webdriver2/).
With STUCKTRACE_SCREENSHOTS=DIRECTORY it leaves pictures there.
"""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

from harness import SOURCE, Case, main, stucktrace, wait_until

STUCK = os.path.join(SOURCE, "tests", "replay", "queue-join.trace")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
KEYS = {"enter": "\ue007", "escape": "\ue00c", "down": "\ue015", "left": "\ue012"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One headless browser, at one page at a time."""

    def __init__(self, directory):
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       encoding="utf-8")
        port = None
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = int(line.rsplit(" ", 1)[1].strip(" .\n"))
                break
        self.base = "http://127.0.0.1:%d" % port
        options = {"binary": CHROMIUM,
                   "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                            "--disable-dev-shm-usage", "--window-size=1400,1200",
                            "--user-data-dir=" + os.path.join(directory, "profile")]}
        session = self.call("POST", "/session", {
            "capabilities": {"alwaysMatch": {"browserName": "chrome",
                                             "goog:chromeOptions": options,
                                             "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.base += "/session/" + session["sessionId"]

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self.call("POST", "/url", {"url": "file://" + path})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def frame(self):
        """Waits for what is drawn once a frame."""
        self.call("POST", "/execute/async", {
            "script": "const done = arguments[0];"
                      "requestAnimationFrame(() => requestAnimationFrame(() => done(null)))",
            "args": []})

    def find(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + found[ELEMENT]

    def click(self, selector):
        self.call("POST", self.find(selector) + "/click", {})
        self.frame()

    def click_at(self, selector, right):
        """With the mouse, this many pixels from the left edge of the element."""
        x, y = self.run("const box = document.querySelector(%s); box.scrollIntoView({block: 'center'});"
                        "const place = box.getBoundingClientRect();"
                        "return [place.left + %d, (place.top + place.bottom) / 2]"
                        % (json.dumps(selector), right))
        self.call("POST", "/actions", {"actions": [{
            "type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
            "actions": [{"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)},
                        {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]}]})
        self.frame()

    def type(self, selector, text):
        self.call("POST", self.find(selector) + "/value", {"text": text})
        self.frame()

    def text(self, selector):
        return self.call("GET", self.find(selector) + "/text")

    def count(self, selector):
        return self.run("return document.querySelectorAll(%s).length" % json.dumps(selector))

    def emulate(self, **media):
        self.call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"media": media.pop("media", ""),
                       "features": [{"name": name.replace("_", "-"), "value": value}
                                    for name, value in media.items()]}})

    def complaints(self):
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def picture(self, name):
        directory = os.environ.get("STUCKTRACE_SCREENSHOTS")
        if directory:
            shot = self.call("POST", "/goog/cdp/execute", {
                "cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}})
            with open(os.path.join(directory, name + ".png"), "wb") as file:
                file.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()


@unittest.skipIf(not (CHROMIUM and DRIVER), "chromium and chromedriver are not installed")
class Page(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.profile = tempfile.mkdtemp(prefix="stucktrace-page-")
        cls.addClassCleanup(shutil.rmtree, cls.profile, ignore_errors=True)
        cls.pages = {}
        cls.browser = Browser(cls.profile)
        cls.addClassCleanup(cls.browser.close)

    def open(self, recording=STUCK):
        if recording not in self.pages:
            page = os.path.join(self.profile, "page%d.html" % len(self.pages))
            result = stucktrace("export", recording, "--format", "html", "-o", page)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.pages[recording] = page
        self.browser.open(self.pages[recording])
        return self.browser

    def test_graph_and_lanes_are_drawn(self):
        browser = self.open()
        self.assertEqual(browser.count("#graph .node.cycle"), 3)
        self.assertEqual(browser.count("#graph .edge.cycle path"), 3)
        lanes = browser.run("return JSON.parse(document.getElementById('data').textContent).lanes.length")
        self.assertEqual(browser.count("#timeline .lane-name"), lanes)
        self.assertEqual(browser.count("#timeline .found"), 3)
        self.assertGreater(browser.count("#timeline .span"), 20)
        self.assertIn("WAS STUCK", browser.text("h1"))
        self.assertEqual(browser.complaints(), [])
        browser.picture("light")

    def test_keys_zoom_and_select(self):
        browser = self.open()
        ticks = browser.run("return [...document.querySelectorAll('#timeline .tick + text')]"
                            ".map(t => t.textContent).join()")
        browser.type("#timeline", "+++")
        zoomed = browser.run("return [...document.querySelectorAll('#timeline .tick + text')]"
                             ".map(t => t.textContent).join()")
        self.assertNotEqual(ticks, zoomed)
        browser.type("#timeline", KEYS["left"])
        browser.type("#timeline", "0")
        self.assertEqual(ticks, browser.run(
            "return [...document.querySelectorAll('#timeline .tick + text')]"
            ".map(t => t.textContent).join()"))
        browser.type("#timeline", KEYS["down"] + "]")
        self.assertEqual(browser.run("return document.querySelector("
                                     "'#timeline .lane.selected').dataset.row"), "1")
        self.assertEqual(browser.count("#timeline .span.chosen"), 1)
        self.assertTrue(browser.text("#detail").startswith("P2.T1 "), browser.text("#detail"))
        browser.type("#timeline", "f")
        self.assertIn("WAS STUCK", browser.text("#detail"))
        browser.type("#timeline", "?")
        self.assertIn("next finding", browser.text("#keys"))

    def test_the_axis_is_as_fine_as_the_zoom(self):
        browser = self.open()
        # A finding of the trace, seconds after its start; in as far as it goes.
        browser.type("#timeline", "f" + "+" * 30)
        ticks = browser.run("return [...document.querySelectorAll('#timeline .tick + text')]"
                            ".map(t => t.textContent)")
        self.assertGreater(len(ticks), 3)
        self.assertEqual(len(ticks), len(set(ticks)), ticks)
        self.assertTrue(ticks[0].endswith(" s"), ticks)

    def test_arrows_tell_the_thread(self):
        browser = self.open()
        browser.type("#timeline", KEYS["down"])
        lane = browser.run("return JSON.parse(document.getElementById('data').textContent).lanes[1]")
        told = browser.text("#detail")
        self.assertTrue(told.startswith("%s %s (%d): " % (lane["role"], lane["name"], lane["tid"])),
                        told)
        self.assertIn(lane["spans"][-1][3].split("(")[0] + "(", told)

    def test_a_call_shows_its_stack(self):
        recording = os.path.join(self.profile, "stacks.trace")
        made = stucktrace("run", "-q", "-o", recording, "-k", "write", "--", "sh", "-c", "echo it")
        self.assertEqual(made.returncode, 0, made.stderr)
        browser = self.open(recording)
        data = browser.run("return JSON.parse(document.getElementById('data').textContent)")
        spans = data["lanes"][0]["spans"]
        index = next(i for i, span in enumerate(spans) if len(span) > 6)
        browser.type("#timeline", "]" * (index + 1))
        self.assertIn("write(", browser.text("#detail"))
        told = browser.run("return [...document.querySelectorAll('#stack li')]"
                           ".map(line => line.textContent)")
        self.assertEqual(told, data["stacks"][spans[index][6]])
        self.assertTrue(any("write" in line for line in told), told)
        browser.picture("stack")
        # What has none leaves none of the last one.
        browser.type("#timeline", KEYS["escape"])
        self.assertEqual(browser.count("#stack li"), 0)
        self.assertEqual(browser.complaints(), [])

    def test_letters_are_the_timelines_only_where_it_has_the_focus(self):
        browser = self.open()
        browser.type(".finding", "f")
        self.assertEqual(browser.text("#detail"), "")
        browser.type("body", "f")
        self.assertIn("WAS STUCK", browser.text("#detail"))

    def test_many_changes_are_drawn_once(self):
        browser = self.open()
        drawn = browser.call("POST", "/execute/async", {"args": [], "script": """
            const done = arguments[0], box = document.getElementById('timeline');
            let drawn = 0;
            new MutationObserver(list => { drawn += list.length; }).observe(box, {childList: true});
            for (let i = 0; i < 20; ++i) {
              box.dispatchEvent(new KeyboardEvent('keydown', {key: '+', bubbles: true}));
            }
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(drawn))));
            """})
        self.assertEqual(drawn, 1)

    def test_a_cancelled_drag_is_over(self):
        browser = self.open()
        moving = browser.run("""
            const box = document.getElementById('timeline');
            const send = (on, type, x) => on.dispatchEvent(
                new PointerEvent(type, {clientX: x, button: 0, bubbles: true}));
            send(box, 'pointerdown', 600);
            send(window, 'pointermove', 500);
            const before = box.classList.contains('moving');
            send(window, 'pointercancel', 500);
            send(window, 'pointermove', 400);
            return [before, box.classList.contains('moving')];
            """)
        self.assertEqual(moving, [True, False])

    def test_spans_stand_out_from_their_lane(self):
        browser = self.open()

        def luminance(color):
            parts = [int(part) / 255 for part in color[4:-1].split(",")]
            linear = [part / 12.92 if part <= .03928 else ((part + .055) / 1.055) ** 2.4
                      for part in parts]
            return sum(share * part for share, part in zip((.2126, .7152, .0722), linear))

        for scheme in ("light", "dark"):
            browser.emulate(prefers_color_scheme=scheme)
            lane, *spans = browser.run("""
                const fill = className => {
                  const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
                  rect.setAttribute('class', className);
                  document.querySelector('#timeline svg').append(rect);
                  const style = getComputedStyle(rect);
                  return [style.fill, style.fillOpacity, style.stroke];
                };
                return ['lane-life', ...['io', 'lock', 'child', 'poll', 'sleep', 'call'].flatMap(
                    kind => ['span ' + kind, `span ${kind} open`])].map(fill);
                """)
            for number, (fill, opacity, stroke) in enumerate(spans):
                high, low = sorted((luminance(fill), luminance(lane[0])), reverse=True)
                self.assertGreaterEqual((high + .05) / (low + .05), 3, (scheme, fill))
                self.assertEqual(opacity, "1")
                self.assertEqual(stroke != "none", number % 2 == 1)
        browser.emulate()

    def test_search(self):
        browser = self.open()
        browser.type("#timeline", "/")
        browser.type("#search", "goodbye")
        self.assertRegex(browser.text("#matches"), r"^\d+ found$")
        browser.type("#search", KEYS["enter"])
        self.assertIn("All done! Goodbye!", browser.text("#detail"))
        self.assertRegex(browser.text("#matches"), r"^1 of \d+$")
        self.assertGreater(browser.count("#timeline svg.searching .match"), 0)
        browser.type("#search", KEYS["escape"])
        self.assertEqual(browser.count("#timeline svg.searching"), 0)

    def test_a_click_shows_the_call(self):
        browser = self.open()
        # The feeder's long write.
        tid = browser.run("return document.querySelector('.finding').dataset.tid")
        browser.click_at("#timeline .lane[data-tid='%s'] .span" % tid, 60)
        self.assertIn("write(", browser.text("#detail"))
        self.assertIn("ended by P1.T1", browser.text("#detail"))
        browser.click("#graph .node[data-tid='%s']" % tid)
        self.assertEqual(browser.run("return document.querySelector("
                                     "'#timeline .lane.selected').dataset.tid"), tid)

    def test_dark_and_print(self):
        browser = self.open()
        color = "return getComputedStyle(document.body).backgroundColor"
        self.assertEqual(browser.run(color), "rgb(255, 255, 255)")
        browser.emulate(prefers_color_scheme="dark")
        self.assertEqual(browser.run(color), "rgb(21, 25, 28)")
        browser.picture("dark")
        browser.emulate(media="print", prefers_color_scheme="dark")
        self.assertEqual(browser.run(color), "rgb(255, 255, 255)")
        browser.picture("print")
        self.assertEqual(browser.run("return getComputedStyle("
                                     "document.querySelector('.tools')).display"), "none")
        browser.emulate()

    def test_nothing_stuck(self):
        browser = self.open(os.path.join(os.path.dirname(STUCK), "pipeline-healthy.trace"))
        self.assertIn("Nothing is stuck", browser.text("h1.calm"))
        self.assertTrue(browser.run("return document.getElementById('graph-section').hidden"))
        self.assertTrue(wait_until(lambda: browser.count("#timeline .lane-name") > 2))
        self.assertEqual(browser.complaints(), [])


if __name__ == "__main__":
    main()
