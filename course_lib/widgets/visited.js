// The settings visited, for explorers over a model: accuracy against size with the Pareto frontier, and a table.
// It stands behind page.js.

const TILES = [
  ["accuracy", "Accuracy"],
  ["latency", "Latency, one image"],
  ["size", "Size when stored"],
  ["sqnr", "SQNR of the weights"],
];

function drawFrontier(svg, visited, current, dense, choose) {
  const [width, height, left, base] = [480, 260, 52, 215];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const smallest = Math.min(dense / 16, current.size_bytes, ...visited.map((point) => point.size_bytes));
  const x = (bytes) => left + (Math.log2(bytes / smallest) / Math.log2((dense * 1.1) / smallest)) * (width - left - 16);
  const worst = 100 * Math.min(current.low, ...visited.map((point) => point.low));
  const lowest = worst < 60 ? Math.floor(worst / 20) * 20 : Math.min(80, Math.floor(worst / 10) * 10);
  const y = (accuracy) => base - ((100 * accuracy - lowest) / (100 - lowest)) * (base - 14);
  const marks = [];
  for (let percent = lowest; percent <= 100; percent += lowest < 60 ? 20 : 5) {
    const level = y(percent / 100);
    marks.push(mark("line", { class: "ce-rule", x1: left, x2: width - 16, y1: level, y2: level }));
    marks.push(text(`${percent} %`, left - 6, level + 5, "end"));
  }
  for (let bytes = dense; bytes > smallest; bytes /= 4) {
    marks.push(text(`${(bytes / 1000).toFixed(bytes < 20000 ? 1 : 0)} kB`, x(bytes), base + 22));
  }
  marks.push(text("size when stored (each step left: a quarter)", (left + width) / 2, base + 42));
  const frontier = visited.filter((point) => point.frontier).sort((a, b) => a.size_bytes - b.size_bytes);
  const path = frontier.map((point) => `${x(point.size_bytes)},${y(point.accuracy)}`).join(" ");
  marks.push(mark("polyline", { class: "ce-frontier", points: path }));
  for (const point of visited) {
    const kind = `ce-point${point.frontier ? " ce-best" : ""}${point.exact ? "" : " ce-open"}`;
    const place = { cx: x(point.size_bytes), cy: y(point.accuracy), r: point.frontier ? 5.5 : 4, class: kind };
    const node = mark("circle", place, `${point.label}: ${point.cells[0]}, ${point.cells[2]}`);
    node.addEventListener("click", () => choose(point.setting));
    marks.push(node);
  }
  const here = { x1: x(current.size_bytes), x2: x(current.size_bytes), y1: y(current.low), y2: y(current.high) };
  marks.push(mark("line", { class: "ce-interval", ...here }));
  const spot = { class: "ce-current", cx: x(current.size_bytes), cy: y(current.accuracy), r: 8 };
  marks.push(mark("circle", spot, `${current.label}: ${current.cells[0]}, ${current.cells[2]}`));
  svg.replaceChildren(...marks);
}

function describeFrontier(svg, visited, current) {
  svg.dataset.accuracy = current.accuracy;
  svg.dataset.cells = current.cells.join("|");
  svg.setAttribute("aria-label", `${visited.length} settings visited; now ${current.label}: ${current.cells.join(", ")}`);
}

const keyOf = (setting) => JSON.stringify(Object.entries(setting).sort());

// Rows stay in place between two results, so that the keyboard's focus does too.
function drawTable(body, rows, visited, current, choose) {
  const keys = new Set(visited.map((point) => keyOf(point.setting)));
  for (const [key, row] of rows) {
    if (keys.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
  for (const point of visited) {
    const key = keyOf(point.setting);
    const here = key === keyOf(current.setting);
    if (!rows.has(key)) {
      const pick = html("button", { type: "button", title: "Go back to this setting" }, point.label);
      pick.addEventListener("click", () => choose(point.setting));
      const row = html("tr", {}, html("th", { scope: "row" }, pick), ...point.cells.map(() => html("td")));
      rows.set(key, row);
      body.prepend(row);
    }
    const row = rows.get(key);
    (here ? current : point).cells.forEach((cell, index) => {
      if (row.cells[index + 1].textContent !== cell) row.cells[index + 1].textContent = cell;
    });
    row.classList.toggle("ce-best", point.frontier);
    row.toggleAttribute("aria-current", here);
  }
}

// What a page over a model shows beside its controls: large numbers, words, and the settings visited. `choose` is
// called with the setting that was picked on the chart or in the table.
function measuredParts(model, root, fileName, choose) {
  const view = `view${Math.random().toString(36).slice(2)}`;
  const tiles = tileRow(TILES);
  const progress = html("progress", { max: 1, value: 0, "aria-label": "Share of the test set done" });
  const words = wordLines(model, root, "model");
  const now = html("p", { class: "ce-now" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const note = html("p", { class: "ce-note" });
  const points = mark("svg", { role: "img", class: "ce-chart", "data-chart": "frontier" });
  const body = html("tbody");
  const headings = ["Setting", "Accuracy", "Latency", "Size", "SQNR"].map((name) => html("th", { scope: "col" }, name));
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...headings)), body);
  const forget = button("Forget them", "Keep only the setting that is shown");
  const save = button("Export CSV", "Download all visited settings");
  const rows = new Map();
  const changed = onlyChanges();
  let showing = -1;

  // Returns whether the result is the newest one seen; an older one is not drawn.
  function draw(result) {
    if (result.generation === undefined || result.generation < showing) return false;
    showing = result.generation;
    tiles.show(result.tiles);
    now.textContent = `${result.model}: ${result.label}`;
    if (result.exact) announced.textContent = `${result.label}: ${result.point.cells.join(", ")}`;
    progress.value = result.progress;
    note.textContent = result.note;
    const visited = model.get("visited");
    const { point } = result;
    changed("points", [result.model, point.setting, point.accuracy, point.low, visited], () =>
      drawFrontier(points, visited, point, result.dense_size_bytes, choose),
    );
    describeFrontier(points, visited, point);
    drawTable(body, rows, visited, point, choose);
    words.dim();
    root.dataset.model = result.model;
    root.dataset.exact = result.exact;
    root.dataset.complete = result.tiles.latency.value !== "…";
    root.dataset.generation = result.generation;
    return true;
  }

  // Draws what is there and follows what comes, until the returned function is called.
  function follow(drawAll, moveControls, others = []) {
    const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
    const stop = listen(model, [
      ["change:result", drawAll],
      ["change:visited", drawAll],
      ["change:status", words.show],
      ["change:error", words.show],
      ["change:request", moved],
      ["msg:custom", download],
      ...others,
    ]);
    moveControls(model.get("request"));
    words.show();
    drawAll();
    return stop;
  }

  function download(message) {
    if (message.kind !== "csv" || message.view !== view) return;
    const url = URL.createObjectURL(new Blob([message.content], { type: "text/csv" }));
    html("a", { href: url, download: fileName }).click();
    URL.revokeObjectURL(url);
  }

  save.addEventListener("click", () => model.send({ kind: "export", view }));
  forget.addEventListener("click", () => model.send({ kind: "forget" }));

  return {
    error: words.error,
    top: [progress, now, tiles.row, announced, words.error, words.status, note],
    frontier: html("figure", {}, html("h4", {}, "Accuracy against size: all settings visited"), points),
    visited: html("div", { class: "ce-visited" }, html("h4", {}, "Visited settings ", forget), html("div", {}, table)),
    save,
    draw,
    follow,
  };
}
