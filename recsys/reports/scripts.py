"""The script of a page: it draws charts to the available width, and answers clicks on legend and table."""

SCRIPT = r"""
(() => {
  "use strict";
  const page = JSON.parse(document.getElementById("charts").textContent);
  const views = new Map();
  const widths = new Map();
  let picked = [];

  function fitLayers(spec, width) {
    spec.autosize = {type: "fit", contains: "padding"};
    spec.width = width;
    spec.height = Math.round(Math.min(540, Math.max(380, 0.55 * width)));
    for (const layer of spec.layer) {
      if (layer.encoding.x) layer.encoding.x.axis.tickCount = Math.max(3, Math.round(width / 140));
      for (const channel of ["color", "shape"]) if (layer.encoding[channel]) layer.encoding[channel].legend = null;
    }
  }

  function fitPanels(spec, width) {
    const gap = 26;
    const names = page.series.reduce((most, name) => Math.max(most, name.length), 0);
    const side = Math.min(130, 6.4 * names) + 22;
    const most = Math.max(1, Math.min(4, Math.floor((width - side) / 200)));
    const columns = Math.ceil(spec.concat.length / Math.ceil(spec.concat.length / most));
    spec.columns = columns;
    spec.concat.forEach((panel, place) => {
      panel.width = Math.max(120, Math.floor((width - side - gap * (columns - 1)) / columns) - 14);
      for (const layer of panel.layer || []) {
        const axis = layer.encoding.y && layer.encoding.y.axis;
        if (!axis) continue;
        if (place % columns) axis.labelExpr = "''"; else delete axis.labelExpr;
      }
    });
  }

  async function draw(place) {
    const name = place.dataset.chart;
    const width = Math.floor(place.clientWidth);
    if (!width || widths.get(name) === width) return;
    widths.set(name, width);
    const spec = structuredClone(page.charts[name]);
    spec.padding = 2;
    (spec.layer ? fitLayers : fitPanels)(spec, width);
    if (views.has(name)) views.get(name).finalize();
    const options = {mode: "vega-lite", renderer: "svg", actions: false, config: page.config, tooltip: {theme: "page"}};
    const {view} = await vegaEmbed(place, spec, options);
    views.set(name, view);
    view.addEventListener("mouseover", (_, item) => point(view, item && item.datum && item.datum.series));
    view.addEventListener("mouseout", () => point(view, ""));
    view.addEventListener("click", (_, item) => item && item.datum && item.datum.series && pick(item.datum.series));
    if (picked.length) view.signal("pick", picked).runAsync();
  }

  function point(view, series) {
    if (view.signal("over") !== (series || "")) view.signal("over", series || "").runAsync();
  }

  function pick(series) {
    if (series === null) picked = [];
    else picked = picked.includes(series) ? picked.filter((name) => name !== series) : [...picked, series];
    for (const button of document.querySelectorAll(".legend [data-series]")) {
      button.setAttribute("aria-pressed", String(picked.includes(button.dataset.series)));
    }
    document.querySelector(".legend .everything").disabled = !picked.length;
    for (const row of document.querySelectorAll("table [data-series]")) {
      row.classList.toggle("picked", picked.includes(row.dataset.series));
    }
    for (const view of views.values()) view.signal("pick", picked).runAsync();
  }

  function choose(button) {
    for (const other of button.parentNode.children) other.setAttribute("aria-pressed", String(other === button));
    const columns = new Set(button.dataset.metrics.split(" "));
    for (const cell of button.closest("section").querySelectorAll("[data-metric]")) {
      cell.hidden = !columns.has(cell.dataset.metric);
    }
  }

  function sort(button) {
    const heading = button.parentNode;
    const text = button.dataset.sort === "text";
    const [first, second] = text ? ["ascending", "descending"] : ["descending", "ascending"];
    const way = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of heading.parentNode.children) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    const value = (row) => row.children[heading.cellIndex].dataset.value;
    const body = button.closest("table").querySelector("tbody.runs");
    const rows = [...body.rows];
    rows.sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (text ? x.localeCompare(y, "en", {numeric: true}) : x - y);
    });
    body.append(...rows);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.sort) sort(button);
    else if (button.dataset.metrics !== undefined) choose(button);
    else if (button.dataset.series !== undefined) pick(button.dataset.series);
    else if (button.classList.contains("everything")) pick(null);
  });
  for (const group of document.querySelectorAll(".choices")) choose(group.firstElementChild);

  const folds = document.querySelectorAll(".fold");
  if (matchMedia("screen and (max-width: 600px)").matches) for (const fold of folds) fold.open = false;
  for (const fold of folds) fold.addEventListener("toggle", () => { drawn = drawn.then(drawAll); });
  document.querySelector("nav").addEventListener("click", (event) => {
    const target = event.target.hash && document.querySelector(event.target.hash + " > .fold");
    if (target) target.open = true;
  });
  addEventListener("beforeprint", () => { for (const fold of folds) fold.open = true; });

  const places = [...document.querySelectorAll("[data-chart]")];
  const drawAll = async () => { for (const place of places) await draw(place); };
  let drawn = drawAll();
  let waiting = 0;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { drawn = drawn.then(drawAll); }, 100);
  }).observe(document.querySelector("main"));
})();
"""
