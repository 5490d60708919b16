// One stream of events for each browser: its tabs agree on who listens, and that one tells the others what it hears.
const mlhubStream = (() => {
  "use strict";
  const SIGN_MS = 5000; // how often the tab that listens leaves a sign of life
  const SILENT_MS = 40000; // after which it is taken for gone; its stream beats every 15 s even where timers are slowed
  const SETTLE_MS = 120; // two tabs that step forward at once: the last one to say so has it
  const LONGEST_MS = 30000;
  const QUIET_MS = 45000; // three beats that did not come: nobody is at the other end of this connection any more
  const SOON_MS = 300; // changes seldom come alone: what follows at once is seen by the same look
  const SPREAD_MS = 1000; // all browsers hear of a change together, and shall not all ask together
  const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

  // connect: opens the stream. onChange: something is new. onTrouble: the stream broke; it is tried again.
  function share({ name, connect, onChange, onTrouble }) {
    const channel = "BroadcastChannel" in window ? new BroadcastChannel(name) : null;
    if (channel) channel.onmessage = onChange;

    async function listen(signal, alive) {
      const call = new AbortController();
      const hangUp = () => call.abort();
      let silence = setTimeout(hangUp, QUIET_MS);
      signal.addEventListener("abort", hangUp);
      try {
        await hear((await connect(call.signal)).body.getReader(), () => {
          clearTimeout(silence);
          silence = setTimeout(hangUp, QUIET_MS);
          alive();
        });
      } finally {
        clearTimeout(silence);
        signal.removeEventListener("abort", hangUp);
      }
    }

    async function hear(reader, alive) {
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop();
        if (!lines.some((line) => line.startsWith("event:"))) continue;
        onChange();
        channel.postMessage("changed");
      }
    }

    // Whatever happened while there was no stream comes with the first words of the next one.
    async function lead(signal, alive) {
      let wait = 1000;
      while (!signal.aborted) {
        const began = Date.now();
        try {
          await listen(signal, alive);
        } catch (error) {
          if (!signal.aborted) onTrouble(error);
        }
        wait = Date.now() - began > LONGEST_MS ? 1000 : Math.min(wait * 2, LONGEST_MS);
        await pause(wait * (0.5 + Math.random() / 2));
      }
    }

    // Browsers give locks to secure addresses only (https, or this very machine): elsewhere a note in their store does.
    function elect() {
      const me = `${Date.now()} ${Math.random()}`;
      let leading = null;
      const holder = () => JSON.parse(localStorage.getItem(name) ?? "null");
      const sign = () => localStorage.setItem(name, JSON.stringify({ tab: me, at: Date.now() }));

      function stepDown() {
        leading?.abort();
        leading = null;
      }

      async function look() {
        const row = holder();
        if (leading) return row && row.tab !== me ? stepDown() : sign();
        if (row && Math.abs(Date.now() - row.at) < SILENT_MS) return undefined;
        sign();
        await pause(SETTLE_MS * (1 + Math.random()));
        if (leading || holder()?.tab !== me) return undefined;
        leading = new AbortController();
        return lead(leading.signal, look);
      }

      window.addEventListener("storage", (event) => event.key === name && look());
      window.addEventListener("pageshow", (event) => event.persisted && look());
      window.addEventListener("pagehide", () => {
        stepDown();
        if (holder()?.tab === me) localStorage.removeItem(name);
      });
      setInterval(look, SIGN_MS);
      look();
    }

    if (!channel) return false;
    if (navigator.locks) navigator.locks.request(name, () => lead(new AbortController().signal, () => {}));
    else if (canStore(name)) elect();
    else return false;
    return true;
  }

  function canStore(name) {
    try {
      localStorage.getItem(name);
      return true;
    } catch {
      return false; // the reader's browser keeps nothing for this page: it asks now and then instead
    }
  }

  // Does it soon, never twice at once: asking again does not put off what is due, so that a storm of news cannot either.
  function paced(does) {
    let timer = 0;
    let due = Infinity;
    let running = false;
    let again = false;

    async function run() {
      due = Infinity;
      again = running;
      if (running) return;
      running = true;
      try {
        await does();
      } finally {
        running = false;
        if (again) soon();
      }
    }

    function soon(afterMs = SOON_MS + Math.random() * SPREAD_MS) {
      const at = performance.now() + afterMs;
      if (at >= due) return;
      clearTimeout(timer);
      due = at;
      timer = setTimeout(run, afterMs);
    }

    return soon;
  }

  return { share, paced };
})();
