// Liveness of the GPU pages: local times, fresh content when something changes, and asking before a server is stopped.
(() => {
  "use strict";
  const main = document.querySelector("main.gpus");
  if (!main) return;
  const AGAIN_MS = 15000;
  const BESIDE_MS = 60000; // the same where a stream tells what changes
  const LEAVING_MS = 120000; // that a form which was sent may take to bring another page
  const RELOAD_MS = 60000; // a page that is refused is loaded again, but not again and again
  const REFUSED = new Set([403, 404]);
  const PATIENCE_MS = 30000; // for an answer: what hangs must not stand in the way of the next look
  let seen = new Date();
  let leaving = 0; // until when another page is on its way, and this one stays as it is
  // The service's clock counts: the reader's own may be wrong.
  const ahead = (block) => new Date(block.dataset.now) - Date.now();
  let skew = ahead(main);

  const relative = (then, now) => {
    const size = Math.abs(then - now) / 60000;
    if (size < 1) return then < now ? "just now" : "in less than 1 min";
    const [count, unit] = size < 60 ? [size, "min"] : size < 1440 ? [size / 60, "h"] : [size / 1440, "d"];
    const text = `${unit === "h" && count < 10 ? Number(count.toFixed(1)) : Math.round(count)} ${unit}`;
    return then < now ? `${text} ago` : `in ${text}`;
  };

  // In a table how long ago is enough; the clock's time stands behind it, and wherever there is room.
  function tell(block) {
    for (const time of block.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      const now = Date.now() + skew;
      const far = Math.abs(at - now) > 86400000;
      const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      const short = time.closest("table, .device");
      time.title = at.toLocaleString();
      if (far) time.textContent = at.toLocaleDateString();
      else time.textContent = short ? relative(at, now) : `${clock}, ${relative(at, now)}`;
    }
  }

  function swap(page) {
    const fresh = page.getElementById("live");
    const shown = document.getElementById("live");
    if (!fresh) return;
    const said = (block) => [...block.querySelectorAll("[data-news]")].map((row) => row.textContent.trim());
    const before = new Set(said(shown));
    skew = ahead(page.querySelector("main.gpus"));
    tell(fresh);
    mlhubRenewing.renew(shown, fresh);
    document.getElementById("news").textContent = said(shown).filter((text) => !before.has(text)).join(" ");
    document.title = page.title;
    follow();
  }

  function follow() {
    const place = main.querySelector("[data-follow]");
    if (place) location.assign(place.dataset.follow);
  }

  // The service's own page says why it refuses; with a fresh token it may not.
  function reload() {
    const last = Number(sessionStorage.getItem("mlhub reloaded") ?? 0);
    if (Date.now() - last < RELOAD_MS) throw new Error("refused again");
    sessionStorage.setItem("mlhub reloaded", String(Date.now()));
    location.reload();
  }

  async function refresh() {
    if (Date.now() < leaving) return;
    try {
      const headers = { Accept: "text/html", "X-XSRFToken": main.dataset.xsrf, "X-Mlhub-Part": "live" };
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual", signal });
      if (answer.type === "opaqueredirect") return location.reload(); // the sign-in is over
      if (REFUSED.has(answer.status)) return reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (Date.now() < leaving) return;
      swap(page);
      seen = new Date();
      document.getElementById("stale").hidden = true;
    } catch {
      document.getElementById("stale-since").textContent = seen.toLocaleTimeString();
      document.getElementById("stale").hidden = false;
    }
  }

  const soon = mlhubStream.paced(refresh);

  // Nobody looks at a hidden tab, but one that waits says its place in its title, and goes on by itself.
  const ifSeen = () => (document.visibilityState === "visible" || main.querySelector("[data-state]")) && soon();

  async function connect(signal) {
    const headers = { "X-XSRFToken": main.dataset.xsrf };
    const answer = await fetch(`${main.dataset.api}events`, { headers, cache: "no-store", signal });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  document.addEventListener("submit", (event) => {
    const sure = event.target.dataset.sure;
    if (sure && !window.confirm(sure)) return event.preventDefault();
    const { once } = event.target.dataset;
    const button = once && event.target.querySelector("button");
    if (button) Object.assign(button, { disabled: true, textContent: once });
    leaving = Date.now() + LEAVING_MS;
    return undefined;
  });
  window.addEventListener("pageshow", () => (leaving = 0));
  document.addEventListener("visibilitychange", ifSeen);
  tell(main);
  follow();
  setInterval(() => tell(main), 20000);
  const streams = mlhubStream.share({
    name: `mlhub ${main.dataset.api.replace(/\/$/, "")} ${main.dataset.user}`,
    connect,
    onChange: ifSeen,
    onTrouble: () => soon(),
  });
  setInterval(ifSeen, streams ? BESIDE_MS : AGAIN_MS);
})();
