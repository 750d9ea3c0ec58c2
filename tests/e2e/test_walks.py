"""People's ways through the console in a real browser, on the stack as its user has it: real processes, and a real host with a
network between that can be slow. Nothing is asked of REST or the database: what a person sees is what counts."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, sync_playwright

from tests.e2e.test_stack import ROOT, environment, stack_env
from tests.hosts.sshd import Sshd, fingerprint_of, running_sshd
from tests.proxy import Proxy, Weather, proxying
from tests.rows import fill
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.browser, pytest.mark.timeout(1_800)]

CHROMIUM = "/usr/bin/chromium"
WITHIN_S = 120  # for what a quiet machine does at once
DESK = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=390, height=844)
SLOW = Weather(bytes_per_s=60_000.0)  # of each connection
FILES = (
    {f"contracts/2026/c{n:03}.txt": b"Turbines and zebras\n" * 90 for n in range(130)}
    | {f"scans/s{n:02}.bin": os.urandom(50_000) for n in range(60)}
    | {"notes.csv": b"order,total\n1,2\n"}
)


@dataclass(frozen=True)
class Site:
    """A stack that nobody has used yet, and a host that it can reach through `proxy`."""

    url: str
    password: str
    host: Sshd
    proxy: Proxy
    source: Path


@contextmanager
def _running_stack(data_dir: Path) -> Iterator[str]:
    """Yields what it says once it is up."""
    log = data_dir.with_name("stack.out")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "stack"],
            cwd=ROOT,
            env=environment(data_dir) | {"WORKERS": "2"},
            stdout=output,
            stderr=output,
        )

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        return "SyncProject is up." in log.read_text()

    try:
        until(is_up, "the stack did not come up", within_s=200)
        yield log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(90)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # pytest's folders are closed to others, and under root PostgreSQL runs as nobody.
    folder = Path(tempfile.mkdtemp(prefix="syncproject-walks-"))
    folder.chmod(0o711)
    (folder / "sshd").mkdir()
    source = folder / "source"
    fill(source, FILES)
    try:
        with (
            running_sshd(folder / "sshd") as host,
            proxying(host.port) as proxy,
            _running_stack(folder / "var") as said,
        ):
            found = re.search(r"log in: admin / (\S+)", said)
            assert found is not None, said
            yield Site(stack_env(folder / "var")["SYNC_URL"], found[1], host, proxy, source)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()


def _open(browser: Browser, size: ViewportSize = DESK) -> Page:
    context = browser.new_context(viewport=size, locale="en-GB", timezone_id="America/New_York")
    context.set_default_timeout(WITHIN_S * 1_000)
    return context.new_page()


def _field(page: Page, label: str) -> Locator:
    """By its whole label; one that is required ends with a star."""
    return page.get_by_label(re.compile(rf"^{label}\s*\*?$"))


def _log_in(page: Page, site: Site, name: str, password: str) -> None:
    page.goto(f"{site.url}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()


@pytest.fixture(scope="module")
def admin(browser: Browser, site: Site) -> Page:
    page = _open(browser)
    _log_in(page, site, "admin", site.password)
    return page


def test_from_an_empty_installation_to_a_first_sync_by_clicks_alone(
    admin: Page, site: Site
) -> None:
    page = admin
    page.get_by_role("heading", name="Three steps to the first sync").wait_for()
    page.get_by_role("link", name="SFTP files").click()
    _field(page, "Name").fill("file-server")
    _field(page, "Host").fill("127.0.0.1")
    _field(page, "Port").fill(str(site.proxy.port))
    page.get_by_role("button", name="Save", exact=True).click()

    page.get_by_text("Step 2 of 2").wait_for()
    _field(page, "User name").fill(getpass.getuser())
    _field(page, "Folder").fill(str(site.source))
    _field(page, "Private key").fill(site.host.private_key)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("nobody has approved its key").wait_for()
    offered = page.inner_text("#offered-key")
    assert offered in {fingerprint_of(key) for key in site.host.host_keys.values()}
    page.get_by_role("button", name="Approve this key…").click()
    page.get_by_role("dialog").get_by_label("Type the last 6 characters").fill(offered[-6:])
    page.get_by_role("dialog").get_by_role("button", name="Approve and test").click()
    page.get_by_text("the connection test passed").first.wait_for()

    page.get_by_role("link", name="Make a job").first.click()
    page.get_by_text("191 of the 191 listed files match").wait_for()
    page.locator("#selection-tree").get_by_label("scans").uncheck()
    page.get_by_text("131 of the 191 listed files match").wait_for()
    page.locator("#selection-tree").get_by_label("scans").check()
    page.get_by_text("191 of the 191 listed files match").wait_for()
    assert _field(page, "Name").input_value() == "file-server"
    page.get_by_role("button", name="Save", exact=True).click()

    site.proxy.weather = SLOW
    page.get_by_role("button", name="Sync now").first.click()
    page.locator("#record-live[data-state=running]").wait_for()
    page.get_by_text(re.compile(r"^file [1-9]\d* of 191$")).wait_for()
    assert page.get_by_role("progressbar").is_visible()
    site.proxy.weather = Weather()
    page.locator("#record-live[data-state=succeeded]").wait_for()
    page.locator("#ledger").get_by_text("contracts/2026/c000.txt").wait_for()

    page.locator("#record-dataset").click()
    for folder in ("contracts", "2026"):
        page.get_by_role("link", name=folder, exact=True).click()
    page.get_by_role("link", name="c007.txt", exact=True).click()
    page.locator("#preview").get_by_text("Turbines and zebras").first.wait_for()
    page.get_by_label("Search within file-server").fill("zebras")
    page.get_by_role("button", name="Search", exact=True).click()
    _look_until(page, page.locator("main mark").first)


def _look_until(page: Page, wanted: Locator) -> None:
    """As a person does who waits for the index: the page is asked anew."""

    def is_there() -> bool:
        if wanted.count():
            return True
        page.reload()
        return False

    until(is_there, "it was not shown", within_s=WITHIN_S)


def _go_to_job(page: Page) -> None:
    """By the one field that finds everything."""
    page.locator("[data-search]").fill("file-server")
    page.locator("[data-search]").press("Enter")
    page.locator("li", has_text="job").get_by_role("link", name="file-server", exact=True).click()
    page.locator("#job-state").wait_for()


def test_what_a_person_mistypes_is_told_beside_it_with_what_to_do(admin: Page, site: Site) -> None:
    page = admin
    page.goto(f"{site.url}/admin/connectors/connector/add/?kind=ftp")
    _field(page, "Name").fill("branch-office")
    _field(page, "Host").fill(f"sftp://olga:secret@127.0.0.1:9{site.source}")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("This is an address, not a host").wait_for()
    page.get_by_role("button", name="Use these parts").click()
    page.get_by_text("Step 2 of 2").wait_for()
    assert (_field(page, "Host").input_value(), _field(page, "Port").input_value()) == (
        "127.0.0.1",
        "9",
    )
    assert _field(page, "User name").input_value() == "olga"
    assert _field(page, "Folder").input_value() == str(site.source)

    whole = site.host.private_key
    _field(page, "Private key").fill(whole[: len(whole) // 2])
    page.get_by_role("button", name="Save", exact=True).click()
    wrong = page.locator(".errorlist, [id^=error], .text-red-600").filter(has_text="key").first
    wrong.wait_for()
    _field(page, "Private key").fill("")
    _field(page, "Password").fill("not the one")
    page.get_by_role("button", name="Save", exact=True).click()

    page.get_by_role("button", name="Test connection").click()  # nobody listens there
    failed = page.locator("#test-stages [data-outcome=failed]")
    failed.get_by_text("Connect", exact=True).wait_for()
    assert "Check host and port" in failed.inner_text()
    assert page.locator("#test-stages").get_by_text("not reached").count() >= 3

    page.locator("#settings summary").first.click()
    _field(page, "Port").fill(str(site.proxy.port))
    _field(page, "Password").fill(
        "not the one"
    )  # it goes nowhere else than where it was stored for
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("button", name="Approve this key…").click()
    page.get_by_role("dialog").get_by_label("Type the last 6").fill(
        page.inner_text("#offered-key")[-6:]
    )
    page.keyboard.press("Enter")
    failed.get_by_text("Log in", exact=True).wait_for()
    assert "user name and secret" in failed.inner_text()


def test_a_host_that_is_away_is_told_and_comes_back_by_a_click(admin: Page, site: Site) -> None:
    page = admin
    site.proxy.weather = Weather(refusing=True)
    _go_to_job(page)
    page.get_by_role("button", name="Sync now").first.click()
    page.get_by_text("it tries again by itself").wait_for()
    site.proxy.weather = Weather()
    page.locator("#record-source").click()
    page.get_by_role("button", name="Check now").click()
    page.get_by_text("file-server can be reached").wait_for()
    _go_to_job(page)
    page.locator("#job-current").click()
    page.locator("#record-live[data-state=succeeded]").wait_for()


def test_a_worker_that_stands_still_is_seen_and_another_one_goes_on(
    admin: Page, site: Site
) -> None:
    page = admin
    fill(site.source, {f"scans/s{n:02}.bin": os.urandom(50_000) for n in range(60)})
    site.proxy.weather = SLOW
    _go_to_job(page)
    page.get_by_role("button", name="Sync now").first.click()
    page.get_by_text(re.compile(r"^file [1-9]\d* of \d+$")).wait_for()
    owner = (
        page.locator("dt", has_text="Heartbeat")
        .locator("xpath=following-sibling::dd[2]")
        .inner_text()
    )
    pid = int(owner.split(":")[1])
    os.kill(pid, signal.SIGSTOP)
    try:
        overview = page.context.new_page()
        overview.goto(f"{site.url}/admin/")
        silent = overview.locator("#overview-now .sp-running .sp-bad", has_text="heartbeat")
        lost = page.locator("#record-events").get_by_text("Its worker was lost")
        silent.or_(overview.get_by_text("No sync is running")).first.wait_for()
        overview.get_by_role("button", name="Clean up stuck syncs").click()
        overview.locator("#ask [data-go]").click()
        overview.get_by_text(re.compile("No sync is stuck|1 stuck sync cleaned up")).wait_for()
        overview.locator("#health").get_by_text("1 of 2 alive").wait_for()
        lost.wait_for()
        overview.close()
        site.proxy.weather = Weather()
        page.locator("#record-live[data-state=succeeded]").wait_for()
        assert page.locator("#record-events").get_by_text(f"Started on {owner}").count() == 1
        assert page.locator("#record-events").get_by_text("Started on").count() == 2
    finally:
        os.kill(pid, signal.SIGCONT)
        site.proxy.weather = Weather()
    page.locator("#record-dataset").click()
    page.get_by_text(re.compile("^191 files")).wait_for()


def test_all_of_it_by_keyboard_alone(browser: Browser, site: Site) -> None:
    """Log in, find the job, start it, keep the focus while the page moves, look at what is held, and release it."""
    page = _open(browser)
    page.goto(f"{site.url}/admin/")
    page.wait_for_function("document.activeElement.name === 'username'")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(site.password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    for path in sorted((site.source / "contracts/2026").iterdir())[:120]:
        path.unlink()

    page.keyboard.press("/")
    page.keyboard.type("file-server")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="By name").wait_for()
    _tab_to(
        page, page.locator("li", has_text="job").get_by_role("link", name="file-server", exact=True)
    )
    page.keyboard.press("Enter")
    page.locator("#job-state").wait_for()
    _tab_to(page, page.locator("#press-sync"))
    page.keyboard.press("Enter")
    page.locator("#record-live").wait_for()
    _tab_to(page, page.locator("#record-job"))
    page.get_by_role("heading", name="120 of 191 files would be removed").wait_for()

    _tab_to(page, page.locator("#open-release"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.evaluate("each => each.contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.id") == "open-release"
    _type_and_release(page, "120")
    page.locator("#record-live[data-state=succeeded]").wait_for()


def _type_and_release(page: Page, number: str) -> None:
    _tab_to(page, page.locator("#open-release"))
    page.keyboard.press("Enter")
    _tab_to(page, page.locator("#release-typed"))
    page.keyboard.type(number)
    page.keyboard.press("Enter")


# What is drawn around the thing that has the focus.
_RING = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none'
        || document.activeElement.matches('.sp-strip a');
}"""


def _tab_to(page: Page, wanted: Locator) -> None:
    """Goes on by Tab until the thing has the focus, which a person must be able to see."""
    wanted.wait_for()
    for _ in range(120):
        if wanted.evaluate("each => each === document.activeElement"):
            assert page.evaluate(_RING), page.evaluate("document.activeElement.outerHTML")
            return
        page.keyboard.press("Tab")
    raise AssertionError("no Tab leads there")


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_a_person_is_invited_and_works_on_a_phone(
    admin: Page, browser: Browser, site: Site, role: str
) -> None:
    admin.goto(f"{site.url}/admin/workspaces/invitation/add/")
    _field(admin, "User name or e-mail address").fill(f"the-{role}")
    _field(admin, "Role").select_option(role)
    admin.get_by_role("button", name="Save", exact=True).click()
    link = admin.locator("code", has_text="http").inner_text()

    page = _open(browser, PHONE)
    page.goto(link)
    page.get_by_label("Password:").fill("turbines-and-zebras-7")
    page.get_by_label("Password again").fill("turbines-and-zebras-7")
    page.get_by_role("button", name="Sign up and accept").click()
    page.goto(f"{site.url}/admin/")
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.get_by_role("link", name="New job").count() == 0
    assert page.get_by_role("button", name="Clean up stuck syncs").count() == (role == "operator")
    _go_to_job_on_a_phone(page)
    assert _fits(page)
    if role == "operator":
        fill(site.source, {"for-the-operator.txt": b"zebras"})
        page.locator(".sp-bottom").get_by_role("button", name="Sync now", exact=True).click()
        page.locator("#record-live[data-state=succeeded]").wait_for()
        page.locator("#ledger").get_by_text("for-the-operator.txt").wait_for()
    else:
        assert page.locator("main form[method=post]").count() == 0
        page.locator("#job-current").click()
        page.locator("#record-live").wait_for()
    assert _fits(page)
    page.locator("#record-dataset").click()
    page.get_by_role("link", name="notes.csv", exact=True).click()
    page.locator("#preview").get_by_role("cell", name="2", exact=True).wait_for()
    assert _fits(page)
    page.context.close()


def _go_to_job_on_a_phone(page: Page) -> None:
    page.locator("#open-sidebar").click()
    page.get_by_role("link", name="Sync jobs", exact=True).click()
    page.get_by_role("link", name="file-server", exact=True).first.click()
    page.locator("#job-state").wait_for()


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
