// Live updates: the server says that something has changed; the page is fetched again, and what is marked `data-live` is put in its place.
// What a person is typing in is left alone until they have done.
"use strict";
(() => {
  if (!document.body.hasAttribute("data-live-page") || !window.EventSource) return;
  const same = { createHTML: (text) => text };
  const policy = window.trustedTypes ? window.trustedTypes.createPolicy("weaklink", same) : same;
  const status = document.getElementById("live");
  let running = false;
  let again = false;

  const busy = (part) =>
    part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea") ||
    [...part.querySelectorAll("input[type=text]")].some((one) => one.value !== "");

  const place = (old, fresh) => {
    if (busy(old) || old.innerHTML === fresh.innerHTML) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const link = focused && focused.getAttribute("href");
    const label = focused && focused.getAttribute("aria-label");
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    const scrolled = [...old.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
    old.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    old.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(open[i]); });
    old.querySelectorAll(".scroll").forEach((one, i) => { if (scrolled[i]) [one.scrollLeft, one.scrollTop] = scrolled[i]; });
    const found = link ? [...old.querySelectorAll("a")].find((one) => one.getAttribute("href") === link)
      : label ? [...old.querySelectorAll("button, [tabindex]")].find((one) => one.getAttribute("aria-label") === label) : null;
    if (found) found.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html", "x-weaklink-refresh": "1" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.assign("/login"); return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
      document.querySelectorAll("[data-live]").forEach((old) => {
        const fresh = page.getElementById(old.id);
        if (fresh) place(old, fresh);
      });
      document.body.dataset.refreshed = String(Number(document.body.dataset.refreshed || 0) + 1);
    } catch { /* the server is away: the stream tells when it is back */ } finally {
      running = false;
      if (again) { again = false; setTimeout(refresh, 1000); }
    }
  };

  const stream = new EventSource("/events");
  stream.addEventListener("open", () => { status.textContent = "Live."; });
  stream.addEventListener("changed", (event) => { if (event.data !== document.body.dataset.livePage) { document.body.dataset.livePage = event.data; refresh(); } });
  stream.addEventListener("error", () => {
    status.textContent = "Not live: the console cannot be reached, or you are signed out.";
    if (stream.readyState === EventSource.CLOSED) refresh(); // whoever is signed out leaves nothing on the screen
  });
  window.addEventListener("pagehide", () => stream.close());
})();
