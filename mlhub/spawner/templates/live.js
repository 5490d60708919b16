// Fresh availability while the form is open: one stream of events for each browser, shared by its tabs.
const mlhubLive = (() => {
  "use strict";
  const POLL_MS = 15000;
  const SETTLE_MS = 250;
  const LONGEST_MS = 30000;
  const AGAIN_MS = 3000;

  function follow(options) {
    let { ticket } = options;
    let asking = null;
    let again = false;
    let timer = 0;
    let renewing = null;
    let pauseMs = AGAIN_MS;
    const name = `mlhub ${options.api} ${options.user}`;
    const channel = "BroadcastChannel" in window ? new BroadcastChannel(name) : null;

    async function get(path, signal) {
      const ask = () => fetch(options.api + path, {
        headers: { Authorization: `Ticket ${ticket}` }, credentials: "omit", cache: "no-store", signal,
      });
      const tried = ticket;
      let answer = ticket ? await ask() : null;
      if (!answer || answer.status === 401) {
        await renewOnce(tried);
        answer = await ask();
      }
      if (!answer.ok) throw new Error(`${answer.status} from ${path}`);
      return answer;
    }

    // Requests that find out together that the ticket has ended share the next one.
    async function renewOnce(tried) {
      if (ticket !== tried) return;
      renewing ??= options.renew().finally(() => { renewing = null; });
      ticket = await renewing;
    }

    async function news() {
      const json = async (path) => (await get(path)).json();
      const [inventory, me] = await Promise.all([json("/inventory?devices=false"), json("/me")]);
      return { inventory, me };
    }

    // At most one request at a time; what changes meanwhile is asked for once more.
    async function refresh() {
      if (asking) {
        again = true;
        return asking;
      }
      asking = (async () => {
        try {
          const found = await news();
          pauseMs = AGAIN_MS;
          options.onNews(found);
          if (channel) channel.postMessage(found);
        } catch (error) {
          options.onTrouble(error);
          soon(pauseMs * (0.5 + Math.random()));
          pauseMs = Math.min(pauseMs * 2, 2 * LONGEST_MS);
        }
      })();
      await asking;
      asking = null;
      if (again) {
        again = false;
        await refresh();
      }
    }

    function soon(afterMs) {
      clearTimeout(timer);
      timer = setTimeout(refresh, afterMs);
    }

    async function listen(signal) {
      const answer = await get("/events", signal);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        if (lines.some((line) => line.startsWith("event:"))) soon(SETTLE_MS);
      }
    }

    // Whoever has the lock listens for all tabs; when its tab closes, the next one has it.
    async function lead() {
      let pause = 1000;
      for (;;) {
        const began = Date.now();
        try {
          await refresh();
          await listen();
        } catch (error) {
          options.onTrouble(error);
        }
        pause = Date.now() - began > LONGEST_MS ? 1000 : Math.min(pause * 2, LONGEST_MS);
        await new Promise((wake) => setTimeout(wake, pause * (0.5 + Math.random() / 2)));
      }
    }

    const shared = channel && navigator.locks && "TextDecoderStream" in window;
    if (channel) channel.onmessage = (event) => options.onNews(event.data);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") refresh();
    });
    refresh();
    if (shared) navigator.locks.request(name, lead);
    else setInterval(() => document.visibilityState === "visible" && refresh(), POLL_MS);
  }

  return { follow };
})();
