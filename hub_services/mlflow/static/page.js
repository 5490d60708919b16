// Adds the hub's XSRF token to every request that MLflow's interface makes to this service:
// the hub takes a cookie-authenticated fetch only with it. Loaded before MLflow's own scripts.
(() => {
  const header = "X-Xsrftoken";
  const base = new URL("..", document.currentScript.src);
  const token = () => (document.cookie.match(/(?:^|;\s*)_xsrf=([^;]*)/) || [])[1] || "";
  const isOurs = (address) => {
    const url = new URL(address, document.baseURI);
    return url.origin === base.origin && url.pathname.startsWith(base.pathname);
  };

  const fetchAsGiven = window.fetch;
  window.fetch = (input, options) => {
    const request = new Request(input, options);
    if (isOurs(request.url)) request.headers.set(header, token());
    return fetchAsGiven(request);
  };

  const openAsGiven = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, address, ...others) {
    openAsGiven.call(this, method, address, ...others);
    if (isOurs(address)) this.setRequestHeader(header, token());
  };
})();
