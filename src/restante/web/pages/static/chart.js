// Draws the numbers of a table as a picture above it, with uPlot. Such a table is <table data-chart="TITLE">; the first
// cell of each row has its time as data-x (wall seconds), the others their numbers as data-y; the heads name the lines.
// Times are those of the host, as its tables say them, wherever the browser is.
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

// By how many seconds the host's clock is ahead of UTC, as the text of a cell with a time has it.
function ahead(cell) {
  const said = Date.parse(`${cell.textContent.trim().replace(" ", "T")}Z`) / 1000;
  return Number.isNaN(said) ? 0 : Math.round((said - Math.floor(Number(cell.dataset.x))) / 60) * 60;
}

// Times of a clock; the date where a day begins, seconds where they differ.
function times(marks) {
  const step = marks.length > 1 ? marks[1] - marks[0] : 60;
  return marks.map((mark) => {
    const said = new Date(mark * 1000).toISOString();
    if (step >= 86400 || mark % 86400 === 0) return said.slice(5, 10);
    return said.slice(11, step < 60 ? 19 : 16);
  });
}

function draw(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) return;
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const shift = ahead(rows[0].cells[0]);
  const data = names.map((_, column) =>
    rows.map((row) => {
      const { x, y } = row.cells[column].dataset;
      const text = column ? y : x;
      return text === undefined || text === "" ? null : Number(text) + (column ? 0 : shift);
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
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      series: [{ label: names[0], value: (_, x) => (x === null ? "" : new Date(x * 1000).toISOString().slice(11, 19)) }, ...names.slice(1).map((label, n) => ({ label, stroke: strokes[n % 3], width: 2, fill: n ? undefined : `color-mix(in srgb, ${strokes[0]} 15%, transparent)`, value: (_, v) => (v === null ? "" : short(v)) }))],
      axes: [{ ...axis, values: (_, marks) => times(marks) }, { ...axis, size: 60, values: (_, marks) => marks.map(short) }],
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
