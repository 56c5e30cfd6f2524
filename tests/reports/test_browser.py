"""A page in Chromium: nothing is asked of the network, nothing goes wrong, all can be read."""

import base64

import pytest

from tests.browser import MISSING, NARROW, WIDE, show

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")


@pytest.mark.parametrize("kind", ["generator", "detector", "image_generator"])
def test_a_walk_through_the_sections(kind, page_file, driver):
    path = page_file(kind)
    requests = show(driver, path, WIDE)
    assert requests
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    links = driver.find_elements("css selector", "nav a")
    assert len(links) >= 8
    for link in links:
        link.click()
        section = driver.find_element("css selector", ":target")
        assert section.find_element("tag name", "h2").text == link.text
        # The window has gone there, or to the end of the page.
        top, left_below = driver.execute_script(
            "const box = arguments[0].getBoundingClientRect();"
            "const all = document.documentElement;"
            "return [box.top, all.scrollHeight - window.scrollY - window.innerHeight];",
            section,
        )
        assert abs(top) < 2 or left_below < 2
    for picture in driver.find_elements("tag name", "img"):
        assert picture.is_displayed()
        assert picture.get_property("naturalWidth") > 0, picture.get_attribute("alt")
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("kind", ["generator", "levels"])
def test_on_a_telephone_there_is_one_column_and_nothing_to_the_side(kind, page_file, driver):
    show(driver, page_file(kind), NARROW)
    width = driver.execute_script("return document.documentElement.scrollWidth")
    assert width == NARROW
    lefts = {picture.rect["x"] for picture in driver.find_elements("tag name", "img")}
    assert len(lefts) == 1
    # Neither is a number cut in two, nor does one reach beyond the page.
    cut, outside = driver.execute_script(
        """
        const cells = [...document.querySelectorAll("td:not(:has(code)), thead th")];
        const boxes = (cell) => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return [...range.getClientRects()];
        };
        const words = cells.filter((cell) => cell.textContent && !/\\s/.test(cell.textContent));
        return [
            words.filter((cell) => boxes(cell).length > 1).map((cell) => cell.textContent),
            cells.filter((cell) => boxes(cell).some((box) => box.right > arguments[0]))
                 .map((cell) => cell.textContent),
        ];
        """,
        NARROW,
    )
    assert cut == []
    assert outside == []


def test_letters_stand_out_in_light_and_in_dark(page_file, driver):
    from vqssl.plots._colors import contrast

    grounds = []
    for scheme in ("light", "dark"):
        show(driver, page_file("generator"), WIDE, scheme=scheme)
        ground = color_of(driver, "body", "background-color")
        card = color_of(driver, "ol.findings li", "background-color")
        grounds.append(ground)
        for place in ("body", "small", "figcaption", "a", "thead th", "footer"):
            assert contrast(color_of(driver, place, "color"), ground) > 4.5, (scheme, place)
        assert contrast(color_of(driver, "ol.findings strong", "color"), card) > 4.5, scheme
        assert color_of(driver, "figure img", "background-color") == (1, 1, 1)
    assert contrast(*grounds) > 10


def color_of(driver, selector, name):
    """RGB of a property of the first element."""
    text = driver.find_element("css selector", selector).value_of_css_property(name)
    numbers = text.partition("(")[2].rstrip(")").split(",")
    return tuple(float(number) / 255 for number in numbers[:3])


def test_on_paper_the_links_to_sections_are_left_out(page_file, driver):
    show(driver, page_file("generator"), WIDE, media="print", scheme="dark")
    assert not driver.find_element("tag name", "nav").is_displayed()
    assert color_of(driver, "body", "background-color") == (1, 1, 1)
    sheet = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert sheet.startswith(b"%PDF")
