"""How a page looks, to people and to their tools: pictures of it, what axe finds, where Tab leads.

accessible(page)            # WCAG 2.1 A and AA, dark and light
shot(page, "start")         # build/screenshots/start-{light-wide,dark-phone}.png
walk(page)                  # by Tab from one end to the other, and what each step focused
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page
from tests.browser.visitor import Scheme
from tests.here import CHECKOUT

SCREENSHOTS = CHECKOUT / "build/screenshots"
PHONE, WIDE = 360, 1280
HEIGHTS = {PHONE: 740, WIDE: 800}
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
SCHEMES: tuple[Scheme, ...] = ("dark", "light")
RULES: Mapping[Scheme, Mapping[str, object]] = {
    "dark": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "light": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
"""What axe looks for: all of it, and then what another scheme may change."""
MOST_STEPS = 500

TOO_WIDE = """(width) => [...document.body.querySelectorAll('*')]
  .filter(one => one.getBoundingClientRect().right > width + 0.5).slice(0, 5)
  .map(one => one.outerHTML.slice(0, 120))"""
PLACE = """const place = (one) => one === document.documentElement ? ''
  : place(one.parentElement) + '/' + [...one.parentElement.children].indexOf(one)"""
"""Where an element is in its page, which stays when a part of it is put in anew (live.js)."""
FOCUSED = f"""() => {{
  {PLACE}
  const one = document.activeElement
  if (!one || one === document.body) return null
  const style = getComputedStyle(one), box = one.getBoundingClientRect()
  const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1
  return {{
    what: (one.getAttribute('aria-label') || one.innerText || one.name || one.id || one.tagName).trim(),
    html: one.outerHTML.slice(0, 200),
    place: place(one),
    ring: ring || style.boxShadow !== 'none',
    inView: box.width > 0 && box.height > 0 && !!seen && (one.contains(seen) || seen.contains(one)),
  }}
}}"""
LEFT_OUT = f"""(walked) => {{
  {PLACE}
  return [...document.querySelectorAll(
      'a[href], button, input:not([type=hidden]):not([type=radio]), select, textarea, summary, [tabindex="0"]')]
    .filter(one => !one.disabled && one.checkVisibility({{visibilityProperty: true}}) && !one.closest('[inert]')
      && !walked.includes(place(one)))
    .map(one => one.outerHTML.slice(0, 200))
}}"""
TO_THE_TOP = """() => {
  document.body.tabIndex = -1
  document.body.focus()
  document.body.removeAttribute('tabindex')
  scrollTo(0, 0)
}"""


def accessible(page: Page) -> None:
    """No rule of WCAG 2.1, levels A and AA, that axe can judge is violated, in either colour scheme."""
    page.evaluate(AXE)
    found: list[str] = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        options = {"runOnly": RULES[scheme], "resultTypes": ["violations"]}
        result: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
        assert result["passes"], "axe has looked at nothing"
        found += [
            f"{scheme}: {rule['id']} ({rule['impact']}): {node['html'][:300]}\n    {node['failureSummary']}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]
    assert not found, f"{page.url}\n" + "\n".join(found)


def shot(page: Page, name: str) -> None:
    """Pictures of the whole page, light and wide, dark and as on a phone; nothing must be wider than that."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    looks: tuple[tuple[int, str, Scheme], ...] = ((PHONE, "phone", "dark"), (WIDE, "wide", "light"))
    for width, kind, scheme in looks:
        page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        fits(page)
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{kind}.png", full_page=True)
    if before is not None:
        page.set_viewport_size(before)


def fits(page: Page) -> None:
    """The page needs no scrolling sideways at its present width."""
    assert page.viewport_size is not None, "a visitor's page has a size"
    width = page.viewport_size["width"]
    needed: int = page.evaluate("() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert needed <= width, f"{page.url} is {needed} px wide at {width} px: {page.evaluate(TOO_WIDE, width)}"


def walk(page: Page) -> list[str]:
    """Goes through a page by Tab, from its top until it comes round; what was focused, by name, in order. Each step
    must be seen, by an outline or a shadow, nothing may lie over it, and nothing that can be used may be left out.
    """
    page.evaluate(TO_THE_TOP)
    passed: dict[str, str] = {}
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        step: dict[str, Any] | None = page.evaluate(FOCUSED)
        if step is None or step["place"] in passed:
            left_out: list[str] = page.evaluate(LEFT_OUT, list(passed))
            assert not left_out, f"Tab does not lead to {left_out}"
            return list(passed.values())
        assert step["ring"], f"it is not seen that this has the focus: {step['html']}"
        assert step["inView"], f"this has the focus and cannot be seen: {step['html']}"
        passed[step["place"]] = step["what"]
    raise AssertionError(f"Tab leads nowhere after {list(passed.values())[-5:]}")
