// The view of the compression explorer; it stands behind page.js. Every number arrives measured and in words:
// the only arithmetic here is where a mark lies on a chart.

const TILES = [
  ["accuracy", "Accuracy"],
  ["latency", "Latency, one image"],
  ["size", "Size when stored"],
  ["sqnr", "SQNR of the weights"],
];

function buildControls(model) {
  const { label, select, slider, check } = controlMakers();
  const controls = {
    model: select("model"),
    layer: select("layer"),
    sparsity: slider("sparsity", 99),
    bits: slider("bits", model.get("bit_choices").length - 1),
    symmetric: check("symmetric"),
    per_channel: check("per_channel"),
  };
  keepKeys(Object.values(controls));
  const shown = { sparsity: html("output"), bits: html("output") };
  const buttons = {
    reset: button("Reset", "Back to the dense 32-bit model"),
    copy: copyButton(model),
    save: button("Export CSV", "Download all visited settings"),
  };
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    wideField(label("sparsity", "Sparsity"), controls.sparsity, shown.sparsity),
    wideField(label("bits", "Weight bits"), controls.bits, shown.bits),
    field(controls.symmetric, label("symmetric", "Symmetric")),
    field(controls.per_channel, label("per_channel", "A scale per channel")),
    html("div", { class: "ce-field ce-buttons" }, buttons.reset, buttons.copy, buttons.save),
  );
  const layerField = field(label("layer", "Layer"), controls.layer);
  return { box, controls, shown, buttons, layerField };
}

function drawHistogram(svg, histogram) {
  const [width, height, base] = [480, 220, 180];
  const low = histogram.edges[0];
  const high = histogram.edges[histogram.edges.length - 1];
  const x = (value) => 10 + ((value - low) / (high - low)) * (width - 20);
  const tallest = Math.max(1, ...histogram.counts);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const lines = histogram.grid.map((value) =>
    mark("line", { class: "ce-grid", x1: x(value), x2: x(value), y1: 8, y2: base + 6 }, `grid value ${value}`),
  );
  const bars = histogram.counts.map((count, index) => {
    const left = x(histogram.edges[index]);
    const size = (count / tallest) * (base - 16);
    const right = x(histogram.edges[index + 1]);
    const box = { class: "ce-bar", x: left, width: right - left - 0.6, y: base - size, height: size };
    return mark("rect", box, `${count} weights`);
  });
  svg.replaceChildren(
    ...bars,
    ...lines,
    mark("line", { class: "ce-axis", x1: 10, x2: width - 10, y1: base, y2: base }),
    text(low.toFixed(2), 10, base + 24, "start"),
    text("0", x(0), base + 24),
    text(high.toFixed(2), width - 10, base + 24, "end"),
    text("weight", width / 2 + 60, base + 24),
  );
  svg.setAttribute("aria-label", histogram.summary);
}

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

function drawClasses(list, classes) {
  const rows = classes.map((item) => {
    const bar = html("span", { class: "ce-class-bar", style: `width:${100 * item.value}%` });
    return html("li", {}, html("span", {}, item.name), html("span", { class: "ce-class" }, bar), item.text);
  });
  list.replaceChildren(...(rows.length ? rows : [html("li", {}, "Known when all images are done.")]));
}

function render({ model, el }) {
  const { box, controls, shown, buttons, layerField } = buildControls(model);
  const tiles = tileRow(TILES);
  const progress = html("progress", { max: 1, value: 0, "aria-label": "Share of the test set done" });
  const status = html("p", { class: "ce-status", role: "status" });
  const error = html("p", { class: "ce-error", role: "alert" });
  const now = html("p", { class: "ce-now" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const note = html("p", { class: "ce-note" });
  const bars = mark("svg", { role: "img", class: "ce-chart" });
  const summary = html("figcaption");
  const points = mark("svg", { role: "img", class: "ce-chart", "data-chart": "frontier" });
  const tableBody = html("tbody");
  const headings = ["Setting", "Accuracy", "Latency", "Size", "SQNR"].map((name) => html("th", { scope: "col" }, name));
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...headings)), tableBody);
  const forget = html("button", { type: "button" }, "Forget them");
  const classes = html("ul", { class: "ce-classes" });
  const perClass = html("details", {}, html("summary", {}, "Accuracy of each class"), classes);
  const root = html("section", { class: "ce", "aria-label": "Compression explorer" });
  root.append(
    box,
    progress,
    now,
    tiles.row,
    announced,
    error,
    status,
    note,
    html(
      "div",
      { class: "ce-charts" },
      html("figure", {}, html("h4", {}, "The weights, and the grid they are rounded to"), layerField, bars, summary),
      html("figure", {}, html("h4", {}, "Accuracy against size: all settings visited"), points),
    ),
    html("div", { class: "ce-visited" }, html("h4", {}, "Visited settings ", forget), html("div", {}, table)),
    perClass,
  );
  el.append(root);

  const bitChoices = model.get("bit_choices");
  const rows = new Map();
  const changed = onlyChanges();
  const send = sender(model, root);
  let showing = -1;

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    controls.sparsity.value = Math.round(100 * request.sparsity);
    controls.bits.value = bitChoices.indexOf(request.bits);
    controls.symmetric.checked = request.symmetric;
    controls.per_channel.checked = request.per_channel;
    sayControls();
  }

  function sayControls() {
    const bits = bitChoices[controls.bits.value];
    shown.sparsity.textContent = `${controls.sparsity.value} %`;
    shown.bits.textContent = bits === 32 ? "32 (float)" : `${bits}`;
    controls.sparsity.setAttribute("aria-valuetext", `${controls.sparsity.value} percent zeros`);
    controls.bits.setAttribute("aria-valuetext", bits === 32 ? "32 bits, floating point" : `${bits} bits`);
    controls.symmetric.disabled = controls.per_channel.disabled = bits === 32;
  }

  function choose(setting) {
    send(setting);
    moveControls(model.get("request"));
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    tiles.show(result.tiles);
    now.textContent = `${result.model}: ${result.label}`;
    if (result.exact) announced.textContent = `${result.label}: ${result.point.cells.join(", ")}`;
    progress.value = result.progress;
    note.textContent = result.note;
    fillOptions(controls.layer, model.get("layers"), result.histogram.layer);
    const visited = model.get("visited");
    const { point, histogram } = result;
    changed("weights", [result.model, result.setting, histogram.layer], () => {
      drawHistogram(bars, histogram);
      summary.textContent = histogram.summary;
    });
    changed("points", [result.model, point.setting, point.accuracy, point.low, visited], () =>
      drawFrontier(points, visited, point, result.dense_size_bytes, choose),
    );
    describeFrontier(points, visited, point);
    drawTable(tableBody, rows, visited, point, choose);
    if (perClass.open) drawClasses(classes, result.classes);
    root.dataset.model = result.model;
    dim();
    root.dataset.exact = result.exact;
    root.dataset.complete = result.tiles.latency.value !== "…";
    root.dataset.generation = result.generation;
  }

  // What is shown belongs to another model, or to a setting before an error.
  function dim() {
    const old = model.get("error") || model.get("result").model !== model.get("request").model;
    root.classList.toggle("ce-old", Boolean(old));
    root.setAttribute("aria-busy", Boolean(model.get("status")));
  }

  controls.sparsity.addEventListener("input", () => {
    sayControls();
    send({ sparsity: controls.sparsity.valueAsNumber / 100 });
  });
  controls.bits.addEventListener("input", () => {
    sayControls();
    send({ bits: bitChoices[controls.bits.value] });
  });
  controls.model.addEventListener("change", () => send({ model: controls.model.value, layer: "" }));
  controls.layer.addEventListener("change", () => send({ layer: controls.layer.value }));
  for (const name of ["symmetric", "per_channel"]) {
    controls[name].addEventListener("change", () => send({ [name]: controls[name].checked }));
  }
  buttons.reset.addEventListener("click", () => choose({ sparsity: 0, bits: 32, symmetric: true, per_channel: true }));
  buttons.save.addEventListener("click", () => model.send({ kind: "export", view: controls.model.id }));
  forget.addEventListener("click", () => model.send({ kind: "forget" }));
  perClass.addEventListener("toggle", () => drawClasses(classes, model.get("result").classes ?? []));

  const showWords = () => {
    status.textContent = model.get("status");
    error.textContent = model.get("error");
    dim();
  };
  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const download = (message) => {
    if (message.kind !== "csv" || message.view !== controls.model.id) return;
    const url = URL.createObjectURL(new Blob([message.content], { type: "text/csv" }));
    html("a", { href: url, download: "compression_explorer.csv" }).click();
    URL.revokeObjectURL(url);
  };
  const stop = listen(model, [
    ["change:result", draw],
    ["change:visited", draw],
    ["change:status", showWords],
    ["change:error", showWords],
    ["change:request", moved],
    ["msg:custom", download],
  ]);
  moveControls(model.get("request"));
  showWords();
  draw();
  return stop;
}

export default { render };
