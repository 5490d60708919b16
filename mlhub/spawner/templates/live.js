// Fresh availability while the form is open: asked for when the browser's one stream says that something changed.
const mlhubLive = (() => {
  "use strict";
  const ALONE_MS = 15000; // between two looks where no stream tells of changes
  const ANYWAY_MS = 60000; // and where one does
  const SETTLE_MS = 250;
  const LONGEST_MS = 60000;
  const AGAIN_MS = 3000;

  function follow(options) {
    let { ticket } = options;
    let asking = null;
    let again = false;
    let timer = 0;
    let renewing = null;
    let pauseMs = AGAIN_MS;

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
      const inventory = await (await get("/inventory?devices=false&mine=true")).json();
      return { inventory, me: inventory.mine };
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
        } catch (error) {
          options.onTrouble(error);
          soon(pauseMs * (0.5 + Math.random()));
          pauseMs = Math.min(pauseMs * 2, LONGEST_MS);
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

    // Nobody looks at a hidden tab: it catches up when it is shown.
    const ifSeen = () => document.visibilityState === "visible" && soon(SETTLE_MS);

    document.addEventListener("visibilitychange", ifSeen);
    refresh();
    const shared = mlhubStream.share({
      name: `mlhub ${options.api} ${options.user}`,
      connect: (signal) => get("/events", signal),
      onChange: ifSeen,
      onTrouble: options.onTrouble,
    });
    setInterval(ifSeen, shared ? ANYWAY_MS : ALONE_MS);
  }

  return { follow };
})();
