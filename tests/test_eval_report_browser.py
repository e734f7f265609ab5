"""The page of a report in Chromium: sounds play, versions take over, the blind test counts, nothing complains."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from pages import CLIPS, SECONDS, swept
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from eval import report

pytestmark = pytest.mark.browser

FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update "
    "disable-sync autoplay-policy=no-user-gesture-required disable-dev-shm-usage"
)
VERSIONS = 1 + 3 + 1


def program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(f"{names[0]} is missing: apt-get install chromium chromium-driver")
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    results, data = swept(folder)
    return report.write(results, folder / "out", data, 2).as_uri()


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Iterator[webdriver.Chrome]:
    browser.get(address)
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def run(page: webdriver.Chrome, script: str) -> Any:
    return page.execute_async_script(f"const done = arguments[0]; (async () => {{ {script} }})().then(done);")


def wait(page: webdriver.Chrome, script: str) -> None:
    WebDriverWait(page, 30, 0.05).until(lambda driver: driver.execute_script(f"return {script};"), script)


def test_every_player_loads(page: webdriver.Chrome) -> None:
    players = run(
        page,
        """
        const all = [...document.querySelectorAll("audio")];
        for (const player of all) {
          const ready = new Promise((yes, no) => { player.oncanplaythrough = yes; player.onerror = no; });
          player.preload = "auto";
          player.load();
          await ready;
        }
        return all.map(player => [player.readyState, player.duration]);
        """,
    )
    assert len(players) == len(CLIPS) * VERSIONS
    assert all(state >= 3 and length == pytest.approx(SECONDS, abs=0.01) for state, length in players)


def test_versions_take_over_at_the_same_place(page: webdriver.Chrome) -> None:
    lengths = run(page, "return [(await sound(0, 0)).duration, (await sound(0, 4)).numberOfChannels];")
    assert lengths == [pytest.approx(SECONDS, abs=1e-3), 2]
    clip = page.find_element(By.ID, "excerpt-0")
    button, cards = clip.find_element(By.CLASS_NAME, "play"), clip.find_elements(By.CLASS_NAME, "card")
    assert len(cards) == VERSIONS
    page.execute_script("arguments[0].click();", button)
    wait(page, "playing && playing.version === 0 && context.currentTime - playing.since > 0.2")
    page.execute_script("arguments[0].click();", cards[2])
    wait(page, "playing && playing.version === 2")
    assert page.execute_script("return context.currentTime - playing.since;") > 0.2  # not from the beginning
    cards[2].send_keys("1")
    wait(page, "playing && playing.version === 0")
    clip.find_element(By.CSS_SELECTOR, '.card[aria-checked="true"]').send_keys(Keys.ARROW_LEFT)
    wait(page, f"playing && playing.version === {VERSIONS - 1}")
    checked = [card.get_attribute("aria-checked") for card in cards]
    assert checked == ["false"] * (VERSIONS - 1) + ["true"]
    assert clip.find_element(By.CLASS_NAME, "now").text == "noise vocoder, 40 bands"
    page.switch_to.active_element.send_keys(" ")
    wait(page, "playing === null")
    assert button.get_attribute("aria-pressed") == "false"


def test_the_blind_test_counts(page: webdriver.Chrome) -> None:
    page.execute_script("arguments[0].scrollIntoView();", page.find_element(By.ID, "abx"))
    planned = page.find_element(By.ID, "abx-planned")
    planned.clear()
    planned.send_keys("12")
    keys = page.find_element(By.CSS_SELECTOR, '[data-play="x"]')
    keys.send_keys("x")
    wait(page, "playing !== null")
    is_a = page.execute_script("return abx.x === 'a';")
    assert page.execute_script("return playing.version;") == (0 if is_a else 1)
    assert page.find_element(By.CSS_SELECTOR, '[data-play="x"]').get_attribute("aria-pressed") == "true"
    for trial in range(12):
        x = page.execute_script("return abx.x;")
        right = trial < 9
        keys.send_keys("1" if (x == "a") == right else "2")
        assert page.execute_script("return [...abx.tally.values()][0].trials;") == trial + 1
    assert page.execute_script("return playing === null;")
    cells = [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "#abx-tally td")]
    by_guessing = sum(math.comb(12, k) for k in range(9, 13)) / 2**12
    assert cells[2:] == ["12", "9", f"{by_guessing:.3f}"]
    assert "9 of 12 right" in page.find_element(By.ID, "abx-result").text
    keys.send_keys("1")  # beyond what was planned nothing counts
    assert page.execute_script("return [...abx.tally.values()][0].trials;") == 12
    assert not page.find_element(By.CSS_SELECTOR, '[data-answer="a"]').is_enabled()


def test_x_is_either_as_often(page: webdriver.Chrome) -> None:
    count = page.execute_script(
        "let n = 0; for (let k = 0; k < 1000; k++) { document.getElementById('abx-reset').click(); "
        "if (abx.x === 'a') n++; } return n;"
    )
    assert 400 < count < 600  # six standard deviations
    assert page.execute_script("return [guessing(0, 5), guessing(5, 5), guessing(8, 10)];") == pytest.approx(
        [1, 1 / 32, 56 / 1024]
    )


@pytest.mark.parametrize("width", [1280, 400])
def test_curves_follow_the_choice(page: webdriver.Chrome, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    wait(page, f"document.documentElement.clientWidth <= {width}")
    for metric, kind, curves in (("spectral_distance", "speech", 3), ("estoi", "overall", 3), ("estoi", "music", 0)):
        for name, value in (("metric", metric), ("kind", kind)):
            page.execute_script(f"""document.querySelector('input[name="{name}"][value="{value}"]').click();""")
        points = page.execute_script("return document.getElementById('chart')._points.length;")
        assert points == curves, (metric, kind)
        shown = page.find_elements(By.CSS_SELECTOR, f'#figures [data-kind="{kind}"]')
        assert all(block.is_displayed() for block in shown)
    assert "not defined for music" in page.find_element(By.ID, "chart").text
    page.execute_script("""document.querySelector('input[name="kind"][value="speech"]').click();""")
    page.find_element(By.ID, "chart").send_keys(Keys.ARROW_RIGHT)
    assert "kbit/s" in page.find_element(By.ID, "tip").text
    # Nothing is wider than the page.
    assert page.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth;")


def test_the_page_asks_nothing_of_the_network(page: webdriver.Chrome) -> None:
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(each => each.name);")
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []
