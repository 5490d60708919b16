// Liveness of the GPU pages: local times, fresh content when something changes, and asking before a server is stopped.
(() => {
  "use strict";
  const main = document.querySelector("main.gpus");
  if (!main) return;
  const SETTLE_MS = 300;
  const AGAIN_MS = 15000;
  let seen = new Date();
  let timer = 0;

  const relative = (then, now) => {
    const seconds = Math.round((then - now) / 1000);
    const size = Math.abs(seconds);
    const [count, unit] = size < 60 ? [seconds, "second"] : size < 3600 ? [seconds / 60, "minute"]
      : size < 86400 ? [seconds / 3600, "hour"] : [seconds / 86400, "day"];
    return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(count), unit);
  };

  function tell() {
    for (const time of main.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      const far = Math.abs(at - Date.now()) > 86400000;
      const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      time.title = at.toLocaleString();
      time.textContent = far ? at.toLocaleDateString() : `${relative(at, Date.now())} (${clock})`;
    }
  }

  // What somebody is typing in or has opened is not taken from under their hands.
  const busy = (block) => block.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

  function swap(page) {
    const fresh = page.getElementById("live");
    const shown = document.getElementById("live");
    if (!fresh || busy(shown)) return;
    const said = (block) => [...block.querySelectorAll("[data-news]")].map((row) => row.textContent.trim());
    const before = new Set(said(shown));
    const focus = document.activeElement && document.activeElement.id;
    shown.replaceChildren(...fresh.childNodes);
    document.getElementById("news").textContent = said(shown).filter((text) => !before.has(text)).join(" ");
    if (focus && document.getElementById(focus)) document.getElementById(focus).focus();
    document.title = page.title;
    tell();
    follow();
  }

  function follow() {
    const place = main.querySelector("[data-follow]");
    if (place) location.assign(place.dataset.follow);
  }

  async function refresh() {
    try {
      const headers = { Accept: "text/html", "X-XSRFToken": main.dataset.xsrf };
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.reload(); // the sign-in is over
      if (!answer.ok) throw new Error(String(answer.status));
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      seen = new Date();
      document.getElementById("stale").hidden = true;
    } catch {
      document.getElementById("stale-since").textContent = seen.toLocaleTimeString();
      document.getElementById("stale").hidden = false;
    }
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, SETTLE_MS);
  };

  const name = `mlhub ${main.dataset.api.replace(/\/$/, "")} ${main.dataset.user}`;
  const channel = "BroadcastChannel" in window ? new BroadcastChannel(name) : null;
  if (channel) channel.onmessage = soon;

  // One stream for all tabs of this browser: whoever has the lock listens and tells the others.
  async function listen() {
    for (;;) {
      try {
        const answer = await fetch(`${main.dataset.api}events`, { headers: { "X-XSRFToken": main.dataset.xsrf }, cache: "no-store" });
        if (!answer.ok) throw new Error(String(answer.status));
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          if (!/^event:/m.test(value)) continue;
          soon();
          if (channel) channel.postMessage("changed");
        }
      } catch { /* the next round tries again; `refresh` says when the service is away */ }
      await new Promise((wake) => setTimeout(wake, 2000 + Math.random() * 3000));
      soon();
    }
  }

  document.addEventListener("submit", (event) => {
    const sure = event.target.dataset.sure;
    if (sure && !window.confirm(sure)) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && soon());
  tell();
  follow();
  setInterval(tell, 20000);
  setInterval(soon, AGAIN_MS);
  if (channel && navigator.locks) navigator.locks.request(name, listen);
  else listen();
})();
