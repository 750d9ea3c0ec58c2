"""Takes the pictures of the console that the README and docs/console.md show: `make pictures` writes them anew.

It starts the stack with its sample hosts in a folder of its own, waits until these are synced, gives the console something
to decide (a sync that would remove too much, a host that is down), and looks at its pages with Chromium.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE_S = 400
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECRETS_KEYS", "DATA_DIR")
MORE = """
workspaces:
  - name: demo
    connectors:
      - {name: branch-office, kind: sftp, host: 127.0.0.1, port: 9, options: {username: sync, root: /}}
    sync_jobs:
      - {name: branch-reports, connector: branch-office, schedule: {every_s: 900}}
      - {name: sample-sftp-files, connector: sample-sftp, include: ["**/*.csv"], schedule: {every_s: 900}}
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="syncproject-pictures-") as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder) / "var"
        with running_stack(data_dir) as password:
            stir(data_dir)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
                )
                take_pictures(browser, read_stack_env(data_dir)["SYNC_URL"], password)
                browser.close()


@contextmanager
def running_stack(data_dir: Path) -> Iterator[str]:
    """Yields the console's password, once the demonstration has ended."""
    log = data_dir.with_name("stack.out")
    with log.open("wb") as output:
        stack = subprocess.Popen(
            [sys.executable, "manage.py", "stack", "--demo", "--tied"],
            cwd=ROOT,
            env=environment(data_dir),
            stdout=output,
            stderr=output,
        )
    try:
        ends_at = time.monotonic() + PATIENCE_S
        while "Search over both hosts" not in log.read_text():
            if stack.poll() is not None or time.monotonic() > ends_at:
                raise SystemExit(f"the stack did not come up:\n{log.read_text()}")
            time.sleep(0.5)
        found = re.search(r"log in: admin / (\S+)", log.read_text())
        if found is None:
            raise SystemExit("the stack told no log-in")
        yield found[1]
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(90)


def environment(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return kept | {"DATA_DIR": str(data_dir), "WEB_PORT": "0", "FLOWER_PORT": "0"}


def read_stack_env(data_dir: Path) -> dict[str, str]:
    lines = (data_dir / "stack.env").read_text().splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def stir(data_dir: Path) -> None:
    """Brings a held record and a host that is down."""
    more = data_dir.with_name("more.yaml")
    more.write_text(MORE)
    for words in (
        ["apply", str(more)],
        ["sync", "sample-sftp-files", "--wait"],
        ["sync", "branch-reports"],
    ):
        subprocess.run(  # noqa: S603 — our own words
            [sys.executable, "manage.py", *words], cwd=ROOT, env=environment(data_dir), check=False
        )


def take_pictures(browser: Browser, url: str, password: str) -> None:
    for name, scheme, size in (
        ("console", "light", DESK),
        ("console-phone", "light", PHONE),
    ):
        page = browser.new_context(viewport=size, color_scheme=scheme).new_page()  # type: ignore[arg-type]  # words of its own types
        log_in(page, url, password)
        page.screenshot(path=HERE / f"{name}.png")
        if size is DESK and scheme == "light":
            for other, link in (
                ("held", "sync_record: held"),
                ("job", "job"),
            ):
                if follow(page, url, link):
                    page.screenshot(path=HERE / f"console-{other}.png")
        page.context.close()


def log_in(page: Page, url: str, password: str) -> None:
    page.goto(f"{url}/admin/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.get_by_role("heading", name="Overview").wait_for()


def follow(page: Page, url: str, what: str) -> bool:
    """Opens the page of the first such thing; False where there is none."""
    lists = {
        "sync_record: held": "syncjobs/syncrecord/?state__exact=held",
        "job": "syncjobs/syncjob/?q=sample-sftp-files",
    }
    page.goto(f"{url}/admin/{lists[what]}")
    model = lists[what].partition("?")[0]
    first = page.locator(f"#result_list tbody a[href*='{model}']").first
    if first.count() == 0:
        return False
    first.click()
    page.locator("main h1, main h2").first.wait_for()
    return True


if __name__ == "__main__":
    main()
