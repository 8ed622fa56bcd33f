// Keeps what is on a page as it is on the host: where something has happened, the page is fetched again, and its parts
// with `data-live` are put in place of the old ones; a number there is every how many seconds they are fetched anyway.
// Parts with `data-follows` are put in place, too, but are no reason to fetch. Without this script the page is as true
// as when it was loaded.
"use strict";

const BUSY_MS = 1000; // between two fetches while something runs that the page shows
const QUIET_MS = 3000; // and else
const USUAL_MS = 30000; // ages grow even where nothing happens
let asked = 0;
let waiting = null;
let isFetching = false;

const parts = () => [...document.querySelectorAll("[data-live][id]")];

function put(fresh) {
  for (const old of document.querySelectorAll("[data-live][id], [data-follows][id]")) {
    const next = fresh.getElementById(old.id);
    if (!next || next.outerHTML === old.dataset.was) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    if (focused?.matches("input, select, textarea")) continue;
    const now = replace(old, next);
    if (focused) same(focused, now)?.focus();
  }
  document.dispatchEvent(new CustomEvent("fresh"));
}

// What stands in a fresh part for what had the focus in the old one.
function same(focused, part) {
  if (focused.id) return part.querySelector(`#${CSS.escape(focused.id)}`);
  const alike = [...part.querySelectorAll(focused.localName)];
  return alike.find((each) => each.outerHTML === focused.outerHTML) ?? alike.find((each) => each.href && each.href === focused.href);
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
  return now;
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

function later(most = USUAL_MS) {
  const every = parts().map((each) => Number(each.dataset.live) * 1000 || USUAL_MS);
  const least = Math.min(...every) < USUAL_MS ? BUSY_MS : QUIET_MS;
  clearTimeout(waiting);
  waiting = setTimeout(fetchAgain, Math.max(least - (Date.now() - asked), Math.min(most, ...every), 0));
}

if (parts().length) {
  const events = new EventSource("/live");
  events.onmessage = () => later(0);
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  document.addEventListener("visibilitychange", () => document.hidden || later(0));
  later();
}
