"""The scripts that keep pages fresh: through storms of news, slow answers and dead connections."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import hub_services.quota
from mlhub.spawner.picker import template
from mlhub.stack.node import node_directory

PAGES = Path(hub_services.quota.__file__).parent / "templates" / "pages.js"
# A browser as far as these scripts ask for one; its clock runs ahead of ours by itself.
BROWSER = """
let clock = 0, timers = [];
performance.now = () => clock;
globalThis.setTimeout = (does, ms = 0) => {
  timers.push({ does, at: clock + ms });
  return timers.at(-1);
};
globalThis.clearTimeout = (timer) => { timers = timers.filter((row) => row !== timer); };
globalThis.setInterval = () => 0;
const breathe = async () => { for (let i = 0; i < 30; i++) await null; };
async function pass(ms) {
  for (const end = clock + ms; ; ) {
    await breathe();
    const next = timers.filter((row) => row.at <= end).sort((a, b) => a.at - b.at)[0];
    if (!next) { clock = end; return; }
    clock = Math.max(clock, next.at);
    clearTimeout(next);
    next.does();
  }
}
const block = { dataset: { now: "2026-11-21T12:00:00Z", api: "/api/", user: "ada" },
  querySelectorAll: () => [], querySelector: () => null };
globalThis.addEventListener = () => {};
globalThis.document = { visibilityState: "visible", addEventListener() {},
  querySelector: () => block, getElementById: () => ({}) };
globalThis.window = globalThis;
globalThis.location = { href: "/" };
const done = (result) => { console.log(JSON.stringify(result)); process.exit(0); };
"""


def source(name: str) -> str:
    environment = template().environment
    return environment.loader.get_source(environment, name)[0]


def browser(*scripts: str) -> Any:
    """What the scripts make of it, in the Node.js that the stack brings."""
    text = f"{BROWSER}\n(async () => {{{' '.join(scripts)}}})()"
    command = [str(node_directory() / "bin" / "node"), "-e", text]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(found.stdout)


STORM = """
let heard, asked = 0, open = 0, most = 0, tookMs = 10;
mlhubStream.share = ({ onChange }) => { heard = onChange; };
globalThis.fetch = async () => {
  asked += 1;
  most = Math.max(most, ++open);
  await new Promise((wake) => setTimeout(wake, tookMs));
  open -= 1;
  return { ok: true, text: async () => "", json: async () => ({}) };
};
globalThis.DOMParser = class { parseFromString() { return { getElementById: () => null }; } };
async function storm(ms) {
  for (let t = 0; t < ms; t += 250) { heard(); await pass(250); }
}
"""
FORM = 'mlhubLive.follow({ api: "/api", user: "ada", ticket: "t", onNews() {}, onTrouble() {} });'


def test_a_page_is_renewed_in_the_midst_of_a_storm_of_news():
    asked = browser(
        source("stream.js"), STORM, PAGES.read_text(), "await storm(10000); done(asked);"
    )
    assert 7 <= asked <= 35


def test_a_form_is_renewed_in_the_midst_of_a_storm_of_news():
    asked = browser(
        source("stream.js"), STORM, source("live.js"), FORM, "await storm(10000); done(asked);"
    )
    assert 7 <= asked <= 35


def test_a_page_asks_once_at_a_time_and_once_more_for_what_changed_meanwhile():
    asked = browser(
        source("stream.js"), STORM, PAGES.read_text(),
        "tookMs = 5000; heard(); await pass(2000); heard(); await pass(2000);",
        "const first = [asked, most]; await pass(20000); done([first, asked, most]);",
    )  # fmt: skip
    assert asked == [[1, 1], 2, 1]


def test_browsers_that_hear_of_a_change_together_do_not_ask_together():
    when = browser(
        source("stream.js"),
        "const times = [], all = [];",
        "for (let i = 0; i < 40; i++) all.push(mlhubStream.paced(async () => times.push(clock)));",
        "for (const soon of all) soon(); await pass(3000); done(times);",
    )
    assert len(when) == 40
    assert max(when) - min(when) > 500


def test_a_stream_that_has_gone_silent_is_opened_anew():
    opened = browser(
        "globalThis.BroadcastChannel = class { postMessage() {} };",
        "Object.defineProperty(globalThis, 'navigator', { value: {",
        "  locks: { request: (name, does) => does() } } });",
        source("stream.js"),
        """
        const beat = new TextEncoder().encode(": still here\\n");
        let opened = 0, troubles = 0;
        const connect = async (signal) => {
          opened += 1;
          let beats = 0;
          const read = () => new Promise((resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason));
            if (beats++ < 4) setTimeout(() => resolve({ done: false, value: beat }), 15000);
          });
          return { body: { getReader: () => ({ read }) } };
        };
        const onTrouble = () => { troubles += 1; };
        mlhubStream.share({ name: "x", connect, onChange() {}, onTrouble });
        await pass(100000);
        const before = opened;
        await pass(10000);
        done([before, opened, troubles]);
        """,
    )
    assert opened == [1, 2, 1]
