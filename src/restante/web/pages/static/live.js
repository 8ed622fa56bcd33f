// Keeps what is on a page as it is on the host: where something has happened, the page is fetched again and its parts
// with `data-live` are put in place of the old ones. Without this script the page is as true as when it was loaded.
"use strict";

const LEAST_MS = 1000; // between two fetches
const USUAL_MS = 30000; // ages grow even where nothing happens
let asked = 0;
let waiting = null;
let isFetching = false;

const parts = () => document.querySelectorAll("[data-live][id]");

function put(fresh) {
  for (const old of parts()) {
    const next = fresh.getElementById(old.id);
    if (!next || next.outerHTML === old.dataset.was) continue;
    if (old.contains(document.activeElement) && old !== document.activeElement) {
      const focused = document.activeElement;
      if (focused.matches("input, select, textarea") || !focused.id) continue;
      replace(old, next);
      document.getElementById(focused.id)?.focus();
    } else {
      replace(old, next);
    }
  }
  document.dispatchEvent(new CustomEvent("fresh"));
}

function replace(old, next) {
  const was = next.outerHTML;
  const open = [...old.querySelectorAll("details[id][open]")].map((each) => each.id);
  const now = document.importNode(next, true);
  now.dataset.was = was;
  const ticked = [...old.querySelectorAll("input[id][type=checkbox]:checked")].map((each) => each.id);
  for (const id of ticked) now.querySelector(`#${CSS.escape(id)}`)?.setAttribute("checked", "");
  for (const id of open) now.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  old.replaceWith(now);
}

async function fetchAgain() {
  waiting = null;
  if (isFetching || document.hidden) return later();
  isFetching = true;
  asked = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Refresh": "1" } });
    if (answer.redirected || !answer.ok) return; // not logged in any more, or gone
    put(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // the host is away; it is asked again
  } finally {
    isFetching = false;
  }
  later();
}

function later(most) {
  const every = Math.min(most ?? USUAL_MS, ...[...parts()].map((each) => Number(each.dataset.live) * 1000 || USUAL_MS));
  const wait = Math.max(LEAST_MS - (Date.now() - asked), every, 0);
  clearTimeout(waiting);
  waiting = setTimeout(fetchAgain, wait);
}

if (parts().length) {
  const events = new EventSource("/live");
  events.onmessage = () => later(0);
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  document.addEventListener("visibilitychange", () => document.hidden || later(0));
  later();
}
