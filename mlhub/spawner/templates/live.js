// Fresh availability while the form is open: asked for when the browser's one stream says that something changed.
const mlhubLive = (() => {
  "use strict";
  const ALONE_MS = 15000; // between two looks where no stream tells of changes
  const ANYWAY_MS = 60000; // and where one does
  const LONGEST_MS = 60000;
  const AGAIN_MS = 3000;
  const PATIENCE_MS = 30000; // for an answer: what hangs must not stand in the way of the next look

  function follow(options) {
    let { ticket } = options;
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
      const path = "/inventory?devices=false&mine=true";
      const inventory = await (await get(path, AbortSignal.timeout(PATIENCE_MS))).json();
      return { inventory, me: inventory.mine };
    }

    const soon = mlhubStream.paced(async () => {
      try {
        const found = await news();
        pauseMs = AGAIN_MS;
        options.onNews(found);
      } catch (error) {
        options.onTrouble(error);
        soon(pauseMs * (0.5 + Math.random()));
        pauseMs = Math.min(pauseMs * 2, LONGEST_MS);
      }
    });

    // Nobody looks at a hidden tab: it catches up when it is shown.
    const ifSeen = () => document.visibilityState === "visible" && soon();

    document.addEventListener("visibilitychange", ifSeen);
    soon(0);
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
