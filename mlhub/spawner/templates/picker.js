// The picker: says what the button will do, keeps it true while the form is open, never changes a choice.
(() => {
  "use strict";
  const root = document.getElementById("mlhub-picker");
  const form = root.closest("form");
  const data = JSON.parse(document.getElementById("mlhub-picker-data").textContent);
  const button = root.querySelector(".mlhub-start");
  const say = root.querySelector(".mlhub-said");
  const reason = root.querySelector(".mlhub-reason");
  const summary = root.querySelector(".mlhub-summary");
  const wait = Object.assign(document.createElement("input"), { type: "hidden", name: "wait", value: "0" });
  const known = { flavors: data.flavors, me: null, now: data.now, heardAt: Date.now(), first: true };
  const asks = {};
  let shown = null;
  let sent = false;

  for (const [slug, profile] of Object.entries(data.profiles))
    asks[slug] = new Map(profile.asks.map(([answers, ask]) => [JSON.stringify(answers), ask]));

  // --- What is chosen

  const profileSlug = () => form.querySelector('[name="profile"]:checked, input[type="hidden"][name="profile"]')?.value;
  const optionsOf = () => root.querySelector(`.mlhub-options[data-profile="${CSS.escape(profileSlug() ?? "")}"]`);
  const checkedIn = (fieldset) => fieldset.querySelector('input[type="radio"]:checked');

  function answerTo(slug) {
    const fieldset = optionsOf()?.querySelector(`fieldset[data-option="${CSS.escape(slug)}"]`);
    return fieldset ? checkedIn(fieldset)?.value : undefined;
  }

  function askNow() {
    const slug = profileSlug();
    const profile = data.profiles[slug];
    if (!profile) return undefined;
    return asks[slug].get(JSON.stringify(profile.options.map((option) => answerTo(option) ?? "")));
  }

  function secondsAsked() {
    const chosen = form.querySelector('[name="duration"]')?.selectedOptions[0];
    return Number(chosen?.dataset.seconds || 0);
  }

  // --- What is shown

  const titleOf = (input) => input?.closest("[data-title]")?.dataset.title ?? "";

  function summaryText(ask) {
    const profile = form.querySelector('[name="profile"]:checked') ?? form.querySelector('[name="profile"]');
    const parts = [titleOf(profile)];
    for (const fieldset of optionsOf()?.querySelectorAll("fieldset[data-option]") ?? []) {
      const { kind } = fieldset.dataset;
      const picked = checkedIn(fieldset);
      const words = fieldset.querySelector(".mlhub-other-words");
      const text = picked?.value === data.other && words ? words.value : titleOf(picked);
      if (kind === "gpu" && Array.isArray(ask) && hasCount()) parts.push(`${ask[1]} × ${text}`);
      else if (kind !== "count" && text) parts.push(text);
    }
    return parts.filter(Boolean).join(" · ");
  }

  // How long a claim lasts when nothing is chosen may depend on the environment.
  function sayUsual() {
    const option = form.querySelector("#mlhub-duration option[data-usual]");
    if (!option) return;
    const profile = form.querySelector('[name="profile"]:checked') ?? form.querySelector('[name="profile"]');
    put(option, profile?.closest("[data-usual]")?.dataset.usual || option.dataset.usual);
  }

  const hasCount = () => Boolean(optionsOf()?.querySelector('fieldset[data-kind="count"]'));

  function update() {
    const ask = askNow();
    const next = mlhubWords.outlook(ask, known.flavors, known.me, known.now, secondsAsked());
    summary.textContent = summaryText(ask);
    if (!sent) {
      button.textContent = next.label;
      button.disabled = Boolean(next.off);
    }
    reason.textContent = next.reason ?? "";
    reason.classList.toggle("text-danger-emphasis", Boolean(next.off));
    wait.value = next.wait ? "1" : "0";
    sayUsual();
    for (const fieldset of root.querySelectorAll('fieldset[data-kind="count"], .mlhub-how-long'))
      fieldset.classList.toggle("mlhub-beside", ask === null);
    markCounts(ask);
    return { key: JSON.stringify([profileSlug(), ask]), next };
  }

  // Counts that can never be had with the chosen GPU say why; they stay choosable, the button is off.
  function markCounts(ask) {
    const fieldset = optionsOf()?.querySelector('fieldset[data-kind="count"]');
    if (!fieldset) return;
    let why = "";
    for (const input of fieldset.querySelectorAll('input[type="radio"]')) {
      const number = Number(input.value);
      const asked = Array.isArray(ask) && Number.isInteger(number);
      const next = asked && mlhubWords.outlook([ask[0], number], known.flavors, known.me, known.now, 0);
      input.closest("label").classList.toggle("mlhub-impossible", Boolean(next.off));
      if (next.off && !why) why = `${input.value}: ${next.reason}`;
    }
    put(fieldset.querySelector(".mlhub-too-many"), why);
  }

  function showFlavors() {
    for (const place of root.querySelectorAll("[data-flavor]")) {
      const flavor = known.flavors.find((row) => row.name === place.dataset.flavor);
      const fields = flavor
        ? { free: mlhubWords.freeText(flavor), wait: mlhubWords.waitText(flavor, known.now), price: mlhubWords.priceText(flavor) }
        : { free: "not here now", wait: "", price: "" };
      if (flavor && flavor.allowed === false) fields.wait = flavor.why_not || "you may not use it";
      let changed = false;
      for (const [name, text] of Object.entries(fields)) changed = put(place.querySelector(`.mlhub-${name}`), text) || changed;
      showCells(place.querySelector(".mlhub-cells"), flavor ? mlhubWords.cells(flavor) : []);
      if (changed && !known.first) flash(place);
    }
  }

  function put(element, text) {
    if (!element || element.textContent === text) return false;
    element.textContent = text;
    return true;
  }

  function showCells(strip, states) {
    if (!strip || strip.dataset.states === states.join(" ")) return;
    strip.dataset.states = states.join(" ");
    strip.replaceChildren(...states.map((state) => {
      const cell = document.createElement("span");
      cell.className = `mlhub-cell mlhub-cell-${state}`;
      return cell;
    }));
  }

  function flash(place) {
    place.classList.remove("mlhub-changed");
    void place.offsetWidth;
    place.classList.add("mlhub-changed");
  }

  // --- What changes

  function onNews({ inventory, me }) {
    Object.assign(known, { flavors: inventory.flavors, me, now: inventory.now, heardAt: Date.now() });
    showFlavors();
    showMyPlace(me);
    const before = shown;
    shown = update();
    const same = before && before.key === shown.key;
    if (same && !known.first && before.next.label !== shown.next.label) pointOut(shown.next);
    known.first = false;
    root.querySelector(".mlhub-away")?.remove();
    showAge(inventory.problem);
  }

  function pointOut(next) {
    say.textContent = `What you picked has changed. ${next.off ? next.reason : `Now: ${next.label}.`}`;
    say.hidden = false;
    flash(root.querySelector(".mlhub-bar"));
  }

  function showMyPlace(me) {
    const place = root.querySelector(".mlhub-my-place");
    const claim = (me.claims ?? [])[0];
    place.hidden = !claim;
    if (!claim) return;
    const link = place.querySelector("a");
    link.href = `${data.pages}waiting/${encodeURIComponent(claim.id)}`;
    const flavor = known.flavors.find((row) => row.name === claim.flavor)?.display_name ?? claim.flavor;
    link.textContent = `You are ${mlhubWords.ordinal(claim.position)} in the queue for ${flavor}`;
  }

  function showAge(problem) {
    const age = root.querySelector(".mlhub-age");
    const at = new Date(known.heardAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    age.hidden = !problem;
    age.textContent = problem ? `As of ${at}: ${problem}` : "";
  }

  // A page that never heard anything says so already.
  function onTrouble() {
    const silentMs = Date.now() - known.heardAt;
    if (known.now && silentMs > 30000) showAge("the GPU service does not answer; this may have changed since.");
  }

  // A new ticket comes with a new copy of this page; without its query, which could start a server.
  async function renew() {
    const answer = await fetch(data.page, { cache: "no-store", headers: { "Mlhub-Ticket": "new" }, signal: AbortSignal.timeout(30000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("mlhub-picker-data");
    if (!found) throw new Error("this form is out of date");
    return JSON.parse(found.textContent).ticket;
  }

  root.querySelector(".mlhub-without-script").replaceWith(wait);
  root.classList.add("mlhub-live");
  form.addEventListener("change", () => {
    say.hidden = true;
    shown = update();
  });
  form.addEventListener("input", (event) => {
    if (event.target.matches(".mlhub-other-words")) {
      const other = event.target.closest("fieldset").querySelector(`input[type="radio"][value="${data.other}"]`);
      if (other) other.checked = true;
    }
    shown = update();
  });
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
    button.textContent = wait.value === "1" ? "Joining the queue…" : "Starting…";
    button.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    sent = false;
    button.removeAttribute("aria-busy");
    shown = update();
  });
  shown = update();
  if (data.needsGpu) mlhubLive.follow({ api: data.api, user: data.user, ticket: data.ticket, renew, onNews, onTrouble });
})();
