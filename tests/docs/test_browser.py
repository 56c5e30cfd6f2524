"""Key pages in Chromium: nothing asked of the network, no error, nothing out of sight."""

import pytest

from tests.browser import MISSING, NARROW, WIDE, show

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")

PAGES = [
    "index.html",
    "guide/classify.html",
    "guide/equations.html",
    "gallery/index.html",
    "reference/generated/vqssl.SSLVQTokenizer.html",
    "reference/generated/vqssl.metrics.frechet_distance.html",
]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_and_can_be_read(page, width, site, driver):
    requests = show(driver, site / page, width)
    assert requests
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert driver.find_element("css selector", "article h1").is_displayed()
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
    # Code and tables scroll by themselves; the page does not, and nothing else reaches beyond it.
    wide, outside = driver.execute_script(
        """
        const inside = [...document.querySelectorAll("article :is(p, dt, dd, li, h1, h2, h3, img)")]
            .filter((one) => !one.closest("pre, .pst-scrollable-table-container"));
        const beyond = inside.filter((one) => one.getBoundingClientRect().right > arguments[0]);
        return [document.documentElement.scrollWidth, beyond.map((one) => one.textContent)];
        """,
        width,
    )
    assert wide <= width
    assert outside == []
    for picture in driver.find_elements("css selector", "article img"):
        assert picture.get_property("naturalWidth") > 0, picture.get_attribute("src")


def test_the_search_finds_a_class(site, driver):
    show(driver, site / "search.html", WIDE)
    driver.get(f"{(site / 'search.html').as_uri()}?q=BarlowTwins")
    from selenium.webdriver.support.ui import WebDriverWait

    def hits(driver):
        links = driver.find_elements("css selector", "#search-results ul.search a")
        return [link.text for link in links]

    WebDriverWait(driver, 30).until(hits)
    assert any("BarlowTwins" in text for text in hits(driver))
