// What a choice leads to now, in words: the cards' words are the same as in mlhub/spawner/outlook.py.
const mlhubWords = (() => {
  "use strict";
  const CELLS = 12;

  function duration(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) return `${whole} s`;
    const all = Math.round(whole / 60);
    if (all < 60) return `${all} min`;
    const days = Math.floor(all / 1440);
    const hours = Math.floor((all % 1440) / 60);
    const minutes = all % 60;
    if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
    return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }

  function ordinal(number) {
    if (number % 100 >= 10 && number % 100 <= 20) return `${number}th`;
    return number + ({ 1: "st", 2: "nd", 3: "rd" }[number % 10] || "th");
  }

  const gpus = (number) => `${number} GPU${number === 1 ? "" : "s"}`;
  const gib = (mib) => `${Number((mib / 1024).toFixed(1))} GiB`;
  const secondsTo = (at, now) => (new Date(at) - new Date(now)) / 1000;
  const gone = (flavor) => flavor.total === flavor.out_of_service;

  function freeText(flavor) {
    const parts = [`${flavor.free - flavor.kept} of ${flavor.total} free`];
    if (flavor.kept) parts.push(`${flavor.kept} kept for the queue`);
    if (flavor.out_of_service) parts.push(`${flavor.out_of_service} out of service`);
    return parts.join(", ");
  }

  const priceText = (flavor) => (Number(flavor.price) ? `${Number(flavor.price).toFixed(2)} /h` : "");

  const short = (seconds) => roundEven(seconds) < 60;

  function aboutText(expected, now) {
    if (!expected) return "";
    const wait = secondsTo(expected.expected, now);
    return short(wait) ? "less than a minute" : `about ${duration(wait)}`;
  }

  function likelyText(expected, now) {
    if (!expected) return "";
    const about = aboutText(expected, now);
    const [low, high] = [expected.soonest, expected.latest].map((at) => secondsTo(at, now));
    const [least, most] = [low, high].map(duration);
    if (least === most || short(high)) return about;
    if (short(low)) return `${about}, likely up to ${most}`;
    const minutes = [least, most].every((text) => /^\d+ min$/.test(text));
    return `${about}, likely ${minutes ? `${parseInt(least, 10)}–${most}` : `${least} to ${most}`}`;
  }

  function waitText(flavor, now) {
    if (gone(flavor)) return "out of service";
    if (flavor.now) return "starts now";
    const waiting = flavor.waiting ? `${flavor.waiting} waiting` : "";
    const parts = [waiting, likelyText(flavor.expected, now)].filter(Boolean);
    return parts.join(", ") || "none free now";
  }

  function cells(flavor) {
    const counts = [
      ["held", flavor.held],
      ["kept", flavor.kept],
      ["free", flavor.free - flavor.kept],
      ["out", flavor.out_of_service],
    ].filter(([, count]) => count > 0);
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    if (total <= CELLS) return counts.flatMap(([state, count]) => Array(count).fill(state));
    const shares = counts.map(([, count]) => Math.max(1, roundEven((count * CELLS) / total)));
    const most = counts.reduce((best, [, count], i) => (count > counts[best][1] ? i : best), 0);
    shares[most] += CELLS - shares.reduce((sum, share) => sum + share, 0);
    return counts.flatMap(([state], i) => Array(shares[i]).fill(state));
  }

  // Python rounds halves to the even number.
  function roundEven(value) {
    const below = Math.floor(value);
    if (value - below !== 0.5) return Math.round(value);
    return below % 2 ? below + 1 : below;
  }

  // What the button says and does. ask: null, [flavor, count], a text why not, or undefined.
  function outlook(ask, flavors, me, now, seconds) {
    if (ask === null) return { label: "Start" };
    if (typeof ask === "string") return { label: "Start", off: true, reason: ask };
    if (ask === undefined) return { label: "Start" };
    if (!now) return { label: "Start", reason: "Whether it is free is not known: the GPU service does not answer." };
    const [name, count] = ask;
    const flavor = flavors.find((row) => row.name === name);
    if (!flavor) return { label: "Start", off: true, reason: "There is no such GPU here now." };
    const never = refusal(flavor, count, me, seconds);
    if (never) return { label: "Start", off: true, reason: never };
    if (flavor.now && flavor.free - flavor.kept >= count) return { label: "Start" };
    const about = aboutText(flavor.expected, now);
    return {
      label: `Join the queue: ${ordinal(flavor.waiting + 1)}${about ? `, ${about}` : ""}`,
      reason: "Your server starts by itself when it is your turn.",
      wait: true,
    };
  }

  function refusal(flavor, count, me, seconds) {
    if (flavor.allowed === false) return flavor.why_not || "You may not use this GPU.";
    if (count > flavor.max_count) return `One server can have at most ${flavor.max_count} of ${flavor.display_name}.`;
    if (gone(flavor)) return `Every ${flavor.display_name} is out of service.`;
    return me ? overLimit(flavor, count, me, seconds) : "";
  }

  function overLimit(flavor, count, me, seconds) {
    const { limits, use } = me;
    if (limits.flavors && !limits.flavors.includes(flavor.name)) return `You may not use ${flavor.display_name}.`;
    if (limits.duration_s !== null && seconds > limits.duration_s)
      return `The longest you may ask for is ${duration(limits.duration_s)}.`;
    if (limits.devices !== null && use.devices + count > limits.devices)
      return `Your limit is ${gpus(limits.devices)}; ${holding(me)}.`;
    const memory = count * (flavor.memory_mib || 0);
    if (limits.memory_mib !== null && use.memory_mib + memory > limits.memory_mib)
      return `Your limit is ${gib(limits.memory_mib)} of GPU memory; you hold ${gib(use.memory_mib)} and this is ${gib(memory)} more.`;
    if (limits.servers !== null && use.servers + 1 > limits.servers)
      return `Your limit is ${limits.servers} server${limits.servers === 1 ? "" : "s"} with a GPU; ${holding(me)}.`;
    return "";
  }

  function holding(me) {
    if (!me.leases.length) return "you hold none";
    const parts = me.leases.slice(0, 4).map((lease) => {
      const since = new Date(lease.granted_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      return `server '${lease.server || "default"}', since ${since}`;
    });
    const more = me.leases.length > 4 ? ` and ${me.leases.length - 4} more` : "";
    return `you hold ${me.use.devices}: ${parts.join("; ")}${more}`;
  }

  return { duration, ordinal, priceText, freeText, waitText, cells, outlook };
})();
