// Draws the numbers of a table as a picture above it, with uPlot. Such a table is <table data-chart="TITLE">; the first
// cell of each row has its time as data-x (wall seconds), the others their numbers as data-y; the heads name the lines.
"use strict";

const colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const UNITS = ["", "k", "M", "G"];
function short(number) {
  let unit = 0;
  while (Math.abs(number) >= 1000 && unit < UNITS.length - 1) (number /= 1000), unit++;
  return `${number < 10 && unit ? number.toFixed(1) : Math.round(number)}${UNITS[unit] && ` ${UNITS[unit]}`}`;
}

function draw(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) return;
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const data = names.map((_, column) =>
    rows.map((row) => {
      const { x, y } = row.cells[column].dataset;
      const text = column ? y : x;
      return text === undefined || text === "" ? null : Number(text);
    }),
  );
  const box = table.closest(".chart");
  const picture = document.createElement("div");
  picture.className = "picture";
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${table.dataset.chart}; the numbers are in the table below`);
  box.querySelector(".picture")?.remove();
  box.prepend(picture);
  const strokes = ["accent", "good", "warn"].map(colour);
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
  new uPlot(
    {
      width: Math.max(260, Math.min(box.clientWidth, 900)),
      height: 200,
      series: [{}, ...names.slice(1).map((label, n) => ({ label, stroke: strokes[n % 3], width: 2, fill: n ? undefined : `color-mix(in srgb, ${strokes[0]} 15%, transparent)`, value: (_, v) => (v === null ? "" : short(v)) }))],
      axes: [axis, { ...axis, size: 60, values: (_, marks) => marks.map(short) }],
      cursor: { y: false },
    },
    data,
    picture,
  );
}

function drawAll() {
  for (const table of document.querySelectorAll("table[data-chart]")) draw(table);
}

drawAll();
document.addEventListener("fresh", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let resized = null;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(drawAll, 200);
});
