// The view of the calibration explorer; it stands behind page.js. Every number arrives measured and in words: the
// only arithmetic here is where a mark lies on a chart.

const CALIBRATION_TILES = [
  ["sqnr", "SQNR of this activation"],
  ["clipping", "Noise of clipping"],
  ["rounding", "Noise of rounding"],
  ["range", "Range of the grid"],
  ["accuracy", "Accuracy of the model"],
];
const TABLE_HEADINGS = ["Observer", "Range", "Clipping", "Rounding", "SQNR", "Accuracy"];

function buildCalibrationControls(model, ...buttons) {
  const { label, select, slider, check } = controlMakers();
  const controls = {
    model: select("model"),
    tensor: select("tensor"),
    observer: select("observer"),
    bits: slider("bits", model.get("bit_choices").length - 1),
    images: slider("images", model.get("image_choices").length - 1),
    symmetric: check("symmetric"),
  };
  keepKeys(Object.values(controls));
  for (const [name, words] of model.get("observers")) {
    controls.observer.append(html("option", { value: name }, words));
  }
  const shown = { bits: html("output"), images: html("output") };
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    field(label("tensor", "Activation"), controls.tensor),
    field(label("observer", "Observer"), controls.observer),
    field(controls.symmetric, label("symmetric", "Symmetric")),
    field(...buttons),
    wideField(label("bits", "Activation bits"), controls.bits, shown.bits),
    wideField(label("images", "Images"), controls.images, shown.images),
  );
  return { box, controls, shown };
}

const axisText = (value) => Number(value.toPrecision(3)).toLocaleString("en").replace("-", "−");

// Counts span six powers of ten, so their heights are logarithms; a single value still shows.
function drawActivation(svg, histogram, grid) {
  const [width, height, left, top, base] = [640, 330, 62, 26, 282];
  const { edges, counts } = histogram;
  const from = Math.min(edges[0], grid.low);
  const to = Math.max(edges[edges.length - 1], grid.high);
  const x = (value) => left + ((value - from) / (to - from || 1)) * (width - left - 14);
  const most = Math.max(1, Math.log10(Math.max(1, ...counts)));
  const y = (count) => base - ((Math.log10(count) + 0.3) / (most + 0.3)) * (base - top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const marks = [];
  for (let power = 0; power <= most; power += 1) {
    const level = y(10 ** power);
    marks.push(mark("line", { class: "ce-rule", x1: left, x2: width - 14, y1: level, y2: level }));
    marks.push(text((10 ** power).toLocaleString("en"), left - 6, level + 5, "end"));
  }
  counts.forEach((count, index) => {
    if (!count) return;
    const [start, end] = [x(edges[index]), x(edges[index + 1])];
    const box = { class: "ce-bar", x: start, width: Math.max(0.5, end - start - 0.6), y: y(count), height: base - y(count) };
    marks.push(mark("rect", box, `${count.toLocaleString("en")} values from ${axisText(edges[index])}`));
  });
  for (const level of grid.levels) {
    marks.push(mark("line", { class: "ce-grid", x1: x(level), x2: x(level), y1: top, y2: base + 5 }));
  }
  for (const [start, end] of [[from, grid.low], [grid.high, to]]) {
    if (end <= start) continue;
    marks.push(mark("rect", { class: "ca-clip", x: x(start), width: x(end) - x(start), y: top, height: base - top }));
  }
  for (const end of [grid.low, grid.high]) {
    marks.push(mark("line", { class: "ca-end", x1: x(end), x2: x(end), y1: top, y2: base + 5 }));
    const name = text(axisText(end), Math.min(width - 24, Math.max(left + 16, x(end))), top - 8);
    name.setAttribute("class", "ca-end-name");
    marks.push(name);
  }
  marks.push(mark("line", { class: "ce-axis", x1: left, x2: width - 14, y1: base, y2: base }));
  marks.push(text(axisText(from), left, base + 22, "start"), text(axisText(to), width - 14, base + 22, "end"));
  if (x(0) - left > 60 && width - 14 - x(0) > 60) marks.push(text("0", x(0), base + 22));
  marks.push(text("value of the activation", (left + width) / 2, base + 42));
  svg.replaceChildren(...marks);
  svg.setAttribute("aria-label", histogram.summary);
}

function drawObservers(svg, rows, summary, choose) {
  const [width, left, step, top] = [480, 130, 30, 8];
  const height = top + step * rows.length + 6;
  const most = Math.max(10, ...rows.map((row) => row.db ?? 0)) * 1.25;
  const x = (db) => left + (Math.max(0, db) / most) * (width - left - 10);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const marks = rows.flatMap((row, index) => {
    const y = top + index * step;
    const name = text(row.name, left - 8, y + 17, "end");
    const value = text(row.cells[3], x(row.db ?? 0) + 6, y + 17, "start");
    if (row.here) for (const words of [name, value]) words.setAttribute("class", "ca-here-name");
    const kind = `ca-observer${row.here ? " ca-here" : ""}`;
    const bar = mark("rect", { class: kind, x: left, width: x(row.db ?? 0) - left, y, height: step - 8 }, `${row.name}: ${row.cells[3]}`);
    bar.addEventListener("click", () => choose(row.observer));
    return [name, bar, value];
  });
  svg.replaceChildren(...marks, mark("line", { class: "ce-axis", x1: left, x2: left, y1: 0, y2: height }));
  svg.setAttribute("aria-label", summary);
}

function drawRanges(svg, result) {
  const [width, height, left, top, base] = [480, 200, 54, 12, 150];
  const { stops, ranges, images } = result;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", result.ranges_summary);
  const x = (count) => left + 14 + (stops.indexOf(count) / Math.max(1, stops.length - 1)) * (width - left - 40);
  const from = Math.min(0, ...ranges.map((at) => at.low));
  const to = Math.max(0, ...ranges.map((at) => at.high));
  const y = (value) => base - ((value - from) / (1.1 * (to - from) || 1)) * (base - top);
  const marks = [];
  for (const value of new Set([from, 0, to])) {
    marks.push(mark("line", { class: "ce-rule", x1: left, x2: width - 10, y1: y(value), y2: y(value) }));
    marks.push(text(axisText(value), left - 6, y(value) + 5, "end"));
  }
  const line = (key) => ranges.map((at) => `${x(at.images)},${y(at[key])}`);
  const around = [...line("high"), ...line("low").reverse()].join(" ");
  marks.push(mark("polygon", { class: "ca-area", points: around }));
  for (const key of ["low", "high"]) marks.push(mark("polyline", { class: "ca-line", points: line(key).join(" ") }));
  for (const at of ranges) {
    for (const key of ["low", "high"]) {
      const kind = at.images === images ? "ca-current" : "ca-point";
      const place = { class: kind, cx: x(at.images), cy: y(at[key]), r: at.images === images ? 8 : 4 };
      marks.push(mark("circle", place, at.text));
    }
  }
  for (const stop of stops) marks.push(text(stop.toLocaleString("en"), x(stop), base + 22));
  marks.push(text("calibration images", (left + width) / 2, base + 42));
  svg.replaceChildren(...marks);
}

// The rows stay, so that the keyboard's focus does too.
function observerTable(observers, choose) {
  const rows = new Map();
  const body = html("tbody");
  for (const [observer, name] of observers) {
    const pick = html("button", { type: "button", title: "Use this observer" }, name);
    pick.addEventListener("click", () => choose(observer));
    const cells = TABLE_HEADINGS.slice(1).map(() => html("td"));
    rows.set(observer, { row: html("tr", {}, html("th", { scope: "row" }, pick), ...cells), cells });
    body.append(rows.get(observer).row);
  }
  const headings = TABLE_HEADINGS.map((name) => html("th", { scope: "col" }, name));
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...headings)), body);
  const show = (contents) => {
    for (const content of contents) {
      const { row, cells } = rows.get(content.observer);
      content.cells.forEach((cell, index) => {
        if (cells[index].textContent !== cell) cells[index].textContent = cell;
      });
      row.toggleAttribute("aria-current", content.here);
      row.classList.toggle("ca-best", content.best);
    }
  };
  return { table, show };
}

function render({ model, el }) {
  const reset = button("Reset", "Back to where the explorer started");
  const { box, controls, shown } = buildCalibrationControls(model, reset, copyButton(model));
  const progress = html("progress", { max: 1, value: 0, "aria-label": "Share of the test set done" });
  const tiles = tileRow(CALIBRATION_TILES);
  const now = html("p", { class: "ce-now" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const note = html("p", { class: "ce-note" });
  const chart = (name) => mark("svg", { role: "img", class: "ce-chart", "data-chart": name });
  const charts = { activation: chart("activation"), observers: chart("observers"), ranges: chart("ranges") };
  const captions = { activation: html("figcaption"), ranges: html("figcaption") };
  const root = html("section", { class: "ce ca", "aria-label": "Calibration explorer" });
  const words = wordLines(model, root, "model");
  const changed = onlyChanges();
  const send = sender(model, root);
  const [bitChoices, imageChoices] = [model.get("bit_choices"), model.get("image_choices")];
  let showing = -1;

  const choose = (observer) => {
    send({ observer });
    moveControls(model.get("request"));
  };
  const observers = observerTable(model.get("observers"), choose);
  const figure = (title, ...parts) => html("figure", {}, html("h4", {}, title), ...parts);
  root.append(
    box,
    progress,
    now,
    tiles.row,
    announced,
    words.error,
    words.status,
    note,
    html(
      "div",
      { class: "ce-charts ca-charts" },
      figure("The activation, and the range that its grid covers", charts.activation, captions.activation),
      html(
        "div",
        {},
        figure("SQNR on images that did not calibrate", charts.observers),
        figure("The range against the number of images", charts.ranges, captions.ranges),
      ),
    ),
    html("div", { class: "ca-table" }, html("h4", {}, "All observers, all else being equal"), observers.table),
  );
  el.append(root);

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    const { tensors, tensor } = model.get("result");
    if (tensors) fillOptions(controls.tensor, tensors, request.tensor || tensor);
    controls.observer.value = request.observer;
    controls.bits.value = bitChoices.indexOf(request.bits);
    controls.images.value = imageChoices.indexOf(request.images);
    controls.symmetric.checked = request.symmetric;
    sayControls(request);
  }

  function sayControls({ bits, images }) {
    shown.bits.textContent = bits;
    shown.images.textContent = images.toLocaleString("en");
    controls.bits.setAttribute("aria-valuetext", `${bits} bits`);
    controls.images.setAttribute("aria-valuetext", `${images} calibration images`);
  }

  function move(change) {
    send(change);
    sayControls(model.get("request"));
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    now.textContent = result.label;
    tiles.show(result.tiles);
    progress.value = result.progress;
    note.textContent = result.note;
    fillOptions(controls.tensor, result.tensors, result.tensor);
    changed("activation", [result.histogram, result.grid], () => {
      drawActivation(charts.activation, result.histogram, result.grid);
      captions.activation.textContent = result.histogram.summary;
    });
    changed("observers", result.rows, () => {
      drawObservers(charts.observers, result.rows, result.observers_summary, choose);
      observers.show(result.rows);
    });
    changed("ranges", [result.ranges, result.images], () => {
      drawRanges(charts.ranges, result);
      captions.ranges.textContent = result.ranges_summary;
    });
    if (result.exact) {
      const { sqnr, accuracy } = result.tiles;
      announced.textContent = `${result.label}: SQNR ${sqnr.value}, accuracy ${accuracy.value}`;
    }
    words.dim();
    root.dataset.model = result.model;
    root.dataset.exact = result.exact;
    root.dataset.generation = result.generation;
  }

  controls.bits.addEventListener("input", () => move({ bits: bitChoices[controls.bits.value] }));
  controls.images.addEventListener("input", () => move({ images: imageChoices[controls.images.value] }));
  controls.observer.addEventListener("change", () => move({ observer: controls.observer.value }));
  controls.symmetric.addEventListener("change", () => move({ symmetric: controls.symmetric.checked }));
  controls.tensor.addEventListener("change", () => move({ tensor: controls.tensor.value }));
  controls.model.addEventListener("change", () => {
    move({ model: controls.model.value, tensor: "" });
    words.dim();
  });
  reset.addEventListener("click", () => {
    const { generation, ...start } = model.get("start");
    move(start);
    moveControls(model.get("request"));
  });

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:result", draw],
    ["change:status", words.show],
    ["change:error", words.show],
    ["change:request", moved],
  ]);
  moveControls(model.get("request"));
  words.show();
  draw();
  return stop;
}

export default { render };
