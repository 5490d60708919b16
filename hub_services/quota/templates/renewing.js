// A fresh copy of a block is laid over the shown one: only what differs changes, and what is being used stays as it is.
const mlhubRenewing = (() => {
  "use strict";
  const OPENED = new Set(["open"]); // what a reader has opened stays open

  const used = (element) => element === document.activeElement && element.matches("input, select, textarea");

  function renew(shown, fresh) {
    if (used(shown) || shown.isEqualNode(fresh)) return;
    attributes(shown, fresh);
    children(shown, fresh);
  }

  function attributes(shown, fresh) {
    for (const { name } of [...shown.attributes])
      if (!fresh.hasAttribute(name) && !OPENED.has(name)) shown.removeAttribute(name);
    for (const { name, value } of [...fresh.attributes])
      if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }

  // Nothing is moved, since what is moved loses the focus: what has no match here goes, what is new comes.
  function children(shown, fresh) {
    let next = shown.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const match = found(next, wanted);
      while (match && next !== match) next = dropped(next);
      if (!match) shown.insertBefore(wanted.cloneNode(true), next);
      else if (match.nodeType !== Node.ELEMENT_NODE) match.data = wanted.data;
      else renew(match, wanted);
      if (match) next = match.nextSibling;
    }
    while (next) next = dropped(next);
  }

  function dropped(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  // What stands for the same thing: the element of the same id, else the next one of its kind that has none.
  function found(next, wanted) {
    const id = wanted.id ?? "";
    for (let node = next; node; node = node.nextSibling) {
      if (id ? node.id === id : alike(node, wanted)) return node;
      if (!id && node.nodeType === Node.ELEMENT_NODE) return null;
    }
    return null;
  }

  const alike = (node, wanted) =>
    !node.id && node.nodeName === wanted.nodeName && node.className === wanted.className;

  return { renew };
})();
