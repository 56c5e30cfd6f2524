"""Pages in Chromium, for the tests of reports and of the documentation.

Chromium and its driver are Debian's packages chromium and chromium-driver.
"""

import json
import shutil
from importlib.util import find_spec
from typing import Any

WIDE, NARROW = 1280, 400

MISSING = [
    *(name for name in ("chromium", "chromedriver") if shutil.which(name) is None),
    *([] if find_spec("selenium") else ["selenium"]),
]


def start_browser() -> Any:
    """Return a driver of Chromium without a window, which the caller quits."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    # In containers Chromium runs as root, with little shared memory.
    for flag in (
        "headless",
        "no-sandbox",
        "disable-background-networking",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{flag}")
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def show(driver, path, width, media="screen", scheme="light"):
    """Open a page in a window of some width; return what was asked for on the way."""
    driver.get_log("performance")
    driver.get_log("browser")
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(path.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
