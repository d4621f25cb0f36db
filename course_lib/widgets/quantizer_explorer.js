// The view of the quantizer explorer; it stands behind page.js. Results arrive computed and in words: the only
// arithmetic here is where a mark lies on a chart, and which bar of the histogram the pointer draws.

const QUANTIZER_TILES = [
  ["scale", "Scale S"],
  ["zero_point", "Zero point Z"],
  ["error", "Largest error"],
  ["sqnr", "SQNR"],
  ["size", "Size when stored"],
];
const OUTLIERS = [0, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100];
const [CHART_WIDTH, CHART_PAD] = [620, 12];
const [BARS_TOP, BARS_BASE, DOTS_AT, BARS_HEIGHT] = [8, 196, 216, 250];
const ERROR_HEIGHT = 150;

const acrossChart = (axis) => (value) =>
  CHART_WIDTH / 2 + (value / axis) * (CHART_WIDTH / 2 - CHART_PAD);

function buildQuantizerControls(...buttons) {
  const { label, select, slider, check } = controlMakers();
  const controls = {
    tensor: select("tensor"),
    layer: select("layer"),
    bits: slider("bits", 16),
    clip: slider("clip", 100),
    outlier: slider("outlier", OUTLIERS.length - 1),
    granularity: select("granularity"),
    symmetric: check("symmetric"),
  };
  controls.bits.min = 2;
  controls.clip.min = 2;
  keepKeys(Object.values(controls));
  const shown = { bits: html("output"), clip: html("output"), outlier: html("output") };
  const layerField = field(label("layer", "Layer"), controls.layer);
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("tensor", "Tensor"), controls.tensor),
    layerField,
    field(label("granularity", "Scales"), controls.granularity),
    field(controls.symmetric, label("symmetric", "Symmetric")),
    field(...buttons),
    wideField(label("bits", "Bits"), controls.bits, shown.bits),
    wideField(label("clip", "Range kept"), controls.clip, shown.clip),
    wideField(label("outlier", "One outlier"), controls.outlier, shown.outlier),
  );
  return { box, controls, shown, layerField };
}

// The histogram whose bars can be drawn: its nodes stay, so that pointer and focus do too. `changed` is called
// with all heights, in shares of the drawing area, and with how far the axis goes.
function drawableHistogram(count, changed) {
  const box = `0 0 ${CHART_WIDTH} ${BARS_HEIGHT}`;
  const svg = mark("svg", { role: "group", class: "ce-chart qe-draw", viewBox: box });
  const behind = mark("g", {});
  const infront = mark("g", {});
  const bars = Array.from({ length: count }, () => mark("rect", { class: "ce-bar" }));
  const handles = bars.map((_, index) => {
    const name = { role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100 };
    return mark("rect", { ...name, class: "qe-handle", y: 0, height: BARS_BASE, tabindex: index ? -1 : 0 });
  });
  keepKeys(handles);
  svg.append(behind, ...bars, infront, ...handles);
  let heights = bars.map(() => 0);
  let limit = 1;
  let x = acrossChart(1);
  let last = null;

  function place() {
    const edge = (index) => x(limit * ((2 * index) / count - 1));
    bars.forEach((bar, index) => {
      // A single value among thousands would be too low to see.
      const size = heights[index] > 0 ? Math.max(2, heights[index] * (BARS_BASE - BARS_TOP)) : 0;
      const sides = { x: edge(index), width: edge(index + 1) - edge(index) - 0.8 };
      const all = { ...sides, y: BARS_BASE - size, height: size };
      for (const [name, value] of Object.entries(all)) bar.setAttribute(name, value);
      for (const [name, value] of Object.entries(sides)) handles[index].setAttribute(name, value);
      const percent = Math.round(100 * heights[index]);
      const middle = limit * ((2 * index + 1) / count - 1);
      handles[index].setAttribute("aria-label", `Bar ${index + 1} of ${count}, at ${middle.toFixed(2)}`);
      handles[index].setAttribute("aria-valuenow", percent);
      handles[index].setAttribute("aria-valuetext", `${percent} percent high`);
    });
  }

  function set(index, height) {
    heights[index] = Math.min(1, Math.max(0, height));
  }

  // A quick pointer jumps over bars: those between get heights on the way from the last one to this.
  function paint(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const width = x(limit) - x(-limit);
    const index = Math.min(count - 1, Math.max(0, Math.floor(((at.x - x(-limit)) / width) * count)));
    const height = (BARS_BASE - at.y) / (BARS_BASE - BARS_TOP);
    const from = last ?? { index, height };
    const steps = Math.max(1, Math.abs(index - from.index));
    for (let step = 1; step <= steps; step += 1) {
      const share = step / steps;
      set(Math.round(from.index + share * (index - from.index)), from.height + share * (height - from.height));
    }
    last = { index, height };
    place();
    changed(heights, limit);
  }

  svg.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    paint(event);
  });
  svg.addEventListener("pointermove", (event) => last && paint(event));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (last = null));

  function focus(index) {
    for (const handle of handles) handle.setAttribute("tabindex", -1);
    handles[index].setAttribute("tabindex", 0);
    handles[index].focus();
  }

  svg.addEventListener("keydown", (event) => {
    const index = handles.indexOf(event.target);
    const steps = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25, Home: -1, End: 1 };
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (index < 0 || !(sideways || event.key in steps)) return;
    event.preventDefault();
    if (sideways) {
      focus(Math.min(count - 1, Math.max(0, index + sideways)));
      return;
    }
    set(index, heights[index] + steps[event.key]);
    place();
    changed(heights, limit);
  });

  // While a newer drawing is on its way, the bars stay as drawn and only the grid follows.
  function show(histogram, grid, keepBars) {
    x = acrossChart(grid.axis);
    if (!keepBars) {
      heights = histogram.counts.map((value) => value / histogram.top);
      limit = histogram.limit;
    }
    place();
    const most = Math.max(1, ...grid.counts);
    const lines = grid.levels.map((level, index) => {
      const ends = { x1: x(level), x2: x(level), y1: BARS_TOP, y2: BARS_BASE + 4 };
      return mark("line", { class: "ce-grid", ...ends }, `grid value ${level.toPrecision(3)}: ${grid.counts[index]} values`);
    });
    const dots = grid.counts.map((landed, index) =>
      mark("circle", { class: "qe-dot", cx: x(grid.levels[index]), cy: DOTS_AT, r: 11 * Math.sqrt(landed / most) }),
    );
    const axis = mark("line", { class: "ce-axis", x1: 0, x2: CHART_WIDTH, y1: BARS_BASE, y2: BARS_BASE });
    const [from, to] = grid.ends.map(x);
    const covered = { class: "qe-covered", x: from, width: to - from, y: BARS_TOP, height: BARS_BASE - BARS_TOP };
    behind.replaceChildren(axis, ...(lines.length ? [] : [mark("rect", covered)]));
    const low = BARS_BASE + 48;
    const ends = [text(`−${axisText(grid.axis)}`, CHART_PAD, low, "start"), text("0", x(0), low)];
    ends.push(text(axisText(grid.axis), CHART_WIDTH - CHART_PAD, low, "end"));
    if (histogram.outlier !== null) ends.push(outlierMark(x(histogram.outlier)));
    infront.replaceChildren(...lines, ...dots, ...ends);
    svg.setAttribute("aria-label", histogram.summary);
  }

  // Picking "drawn by hand" from the list begins with the bars that are shown.
  const drawn = () => ({ heights: [...heights], limit });

  return { svg, show, drawn };
}

function outlierMark(at) {
  const node = text("outlier ▼", Math.min(at + 6, CHART_WIDTH - 4), BARS_BASE - 10, "end");
  node.setAttribute("class", "qe-outlier");
  return node;
}

const axisText = (value) => Number(value.toPrecision(3)).toString();

// The error is drawn up to two steps; where clipping makes it larger, its line leaves the picture.
function drawError(svg, grid) {
  const [middle, reach] = [ERROR_HEIGHT / 2, 0.95 * grid.scale * (grid.clipped.some((line) => line.length) ? 1.5 : 0.75)];
  const x = acrossChart(grid.axis);
  const y = (error) => middle - (error / reach) * (middle - 4);
  const points = (corners) => corners.map(([at, error]) => `${x(at)},${y(error)}`).join(" ");
  const half = grid.scale / 2;
  svg.setAttribute("viewBox", `0 0 ${CHART_WIDTH} ${ERROR_HEIGHT}`);
  const rules = [half, -half].map((level) =>
    mark("line", { class: "ce-rule", x1: 0, x2: CHART_WIDTH, y1: y(level), y2: y(level) }),
  );
  const [shape, kind] = grid.levels.length ? ["polyline", "qe-teeth"] : ["polygon", "qe-band"];
  svg.replaceChildren(
    ...rules,
    mark("line", { class: "ce-axis", x1: 0, x2: CHART_WIDTH, y1: middle, y2: middle }),
    mark(shape, { class: kind, points: points(grid.teeth) }),
    ...grid.clipped.map((corners) => mark("polyline", { class: "qe-clipped", points: points(corners) })),
    text("+S/2", 2, y(half) - 4, "start"),
    text("−S/2", 2, y(-half) + 14, "start"),
  );
  svg.setAttribute("aria-label", grid.summary);
}

function drawCurve(svg, result) {
  const [width, height, left, top, base] = [480, 330, 46, 12, 282];
  const x = (bits) => left + ((bits - 2) / 14) * (width - left - 16);
  const y = (decibels) => base - (decibels / 100) * (base - top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const marks = [];
  for (let level = 0; level <= 100; level += 20) {
    marks.push(mark("line", { class: "ce-rule", x1: left, x2: width - 16, y1: y(level), y2: y(level) }));
    marks.push(text(level, left - 6, y(level) + 5, "end"));
  }
  for (let bits = 2; bits <= 16; bits += 2) marks.push(text(bits, x(bits), base + 20));
  marks.push(text("SQNR in dB", left + 6, top + 10, "start"), text("bits", (left + width) / 2, base + 42));
  const [[first, low], [last, high]] = result.line;
  marks.push(mark("line", { class: "qe-line", x1: x(first), y1: y(low), x2: x(last), y2: y(high) }));
  const slope = (Math.atan2(y(high) - y(low), x(last) - x(first)) * 180) / Math.PI;
  const words = text("6.02 dB a bit", x(10.5), y(low + ((high - low) * 8.5) / 14) - 9);
  words.setAttribute("transform", `rotate(${slope} ${words.getAttribute("x")} ${words.getAttribute("y")})`);
  words.setAttribute("class", "qe-line-name");
  marks.push(words);
  const known = result.curve.filter((point) => point.db !== null);
  const path = known.map((point) => `${x(point.bits)},${y(point.db)}`).join(" ");
  marks.push(mark("polyline", { class: "qe-curve", points: path }));
  for (const point of known) {
    marks.push(mark("circle", { class: "qe-point", cx: x(point.bits), cy: y(point.db), r: 4 }, point.text));
  }
  const here = known.find((point) => point.bits === result.bits);
  if (here) {
    const ends = { x1: x(here.bits), x2: x(here.bits), y1: y(here.db), y2: y(result.ideal_db) };
    marks.push(mark("line", { class: "qe-distance", ...ends }));
    marks.push(mark("circle", { class: "qe-current", cx: x(here.bits), cy: y(here.db), r: 8 }, here.text));
  }
  svg.replaceChildren(...marks);
  svg.setAttribute("aria-label", result.curve_summary);
}

function render({ model, el }) {
  const reset = button("Reset", "Back to where the explorer started");
  const { box, controls, shown, layerField } = buildQuantizerControls(reset, copyButton(model));
  const tiles = tileRow(QUANTIZER_TILES);
  const now = html("p", { class: "ce-now" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const summary = html("figcaption");
  const errors = mark("svg", { role: "img", class: "ce-chart" });
  const errorSummary = html("figcaption");
  const curve = mark("svg", { role: "img", class: "ce-chart", "data-chart": "sqnr" });
  const explanation = html("p", { class: "qe-explanation" });
  const noise = html("div", { class: "qe-noise", "aria-hidden": "true" });
  const noiseText = html("p", { class: "qe-noise-text" });
  const root = html("section", { class: "ce qe", "aria-label": "Quantizer explorer" });
  const lines = wordLines(model, root, "tensor");
  const changed = onlyChanges();
  const send = sender(model, root);
  const drawnName = model.get("drawn_name");
  let showing = -1;
  let drawing = -1;
  let speaking = 0;

  const bars = drawableHistogram(41, (heights, limit) => {
    send({ tensor: drawnName, layer: "", heights: [...heights], limit, outlier: 0 });
    drawing = model.get("request").generation;
    moveControls(model.get("request"));
  });
  const help = "Drag across the bars to draw a tensor. Keyboard: ← → choose a bar, ↑ ↓ change it.";
  root.append(
    box,
    now,
    tiles.row,
    announced,
    lines.error,
    lines.status,
    html(
      "div",
      { class: "ce-charts qe-charts" },
      html(
        "figure",
        {},
        html("h4", {}, "The values and the grid"),
        html("p", { class: "qe-help" }, help),
        bars.svg,
        summary,
        html("h4", {}, "The error x̂ − x that each value gets"),
        errors,
        errorSummary,
      ),
      html("figure", {}, html("h4", {}, "SQNR at every number of bits"), curve, explanation, noise, noiseText),
    ),
  );
  el.append(root);

  function moveControls(request) {
    fillOptions(controls.tensor, model.get("tensors"), request.tensor);
    controls.bits.value = request.bits;
    controls.clip.value = Math.round(100 * request.clip);
    // A start in code may lie between two stops.
    const near = OUTLIERS.map((stop) => Math.abs(stop - request.outlier));
    controls.outlier.value = near.indexOf(Math.min(...near));
    controls.symmetric.checked = request.symmetric;
    sayControls(request);
  }

  function sayControls(request) {
    const percent = Math.round(100 * request.clip);
    shown.bits.textContent = request.bits;
    shown.clip.textContent = `${percent} %`;
    shown.outlier.textContent = request.outlier ? `at ${request.outlier} σ` : "none";
    controls.bits.setAttribute("aria-valuetext", `${request.bits} bits`);
    controls.clip.setAttribute("aria-valuetext", `${percent} percent of the range`);
    const words = request.outlier ? `${request.outlier} standard deviations` : "no outlier";
    controls.outlier.setAttribute("aria-valuetext", words);
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
    layerField.hidden = result.layers.length === 0;
    fillOptions(controls.layer, result.layers, result.layer);
    fillOptions(controls.granularity, result.granularities, result.granularity);
    const { histogram, grid } = result;
    bars.show(histogram, grid, result.generation < drawing);
    changed("error", grid, () => drawError(errors, grid));
    changed("curve", [result.curve, result.bits], () => drawCurve(curve, result));
    curve.dataset.sqnr = result.tiles.sqnr.value;
    curve.dataset.bits = result.bits;
    summary.textContent = histogram.summary;
    errorSummary.textContent = grid.summary;
    explanation.textContent = result.explanation;
    noiseText.textContent = result.noise.text;
    const part = (kind) => html("span", { class: `qe-${kind}`, style: `width:${100 * result.noise[kind]}%` });
    noise.replaceChildren(part("rounding"), part("clipping"));
    // Spoken once the controls rest, or a drag would read out every position.
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      announced.textContent = `${result.label}: SQNR ${result.tiles.sqnr.value}, largest error ${result.tiles.error.value}`;
    }, 700);
    lines.dim();
    root.dataset.exact = result.exact;
    root.dataset.generation = result.generation;
  }

  controls.bits.addEventListener("input", () => move({ bits: controls.bits.valueAsNumber }));
  controls.clip.addEventListener("input", () => move({ clip: controls.clip.valueAsNumber / 100 }));
  controls.outlier.addEventListener("input", () => move({ outlier: OUTLIERS[controls.outlier.value] }));
  controls.symmetric.addEventListener("change", () => move({ symmetric: controls.symmetric.checked }));
  controls.granularity.addEventListener("change", () => move({ granularity: controls.granularity.value }));
  controls.layer.addEventListener("change", () => move({ layer: controls.layer.value }));
  controls.tensor.addEventListener("change", () => {
    const { heights, limit } = bars.drawn();
    const drawn = controls.tensor.value === drawnName ? { heights, limit, outlier: 0 } : {};
    move({ tensor: controls.tensor.value, layer: "", ...drawn });
    moveControls(model.get("request"));
  });
  reset.addEventListener("click", () => {
    const { generation, ...start } = model.get("start");
    move(start);
    moveControls(model.get("request"));
  });

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:result", draw],
    ["change:status", lines.show],
    ["change:error", lines.show],
    ["change:request", moved],
  ]);
  moveControls(model.get("request"));
  lines.show();
  draw();
  return () => {
    clearTimeout(speaking);
    stop();
  };
}

export default { render };
