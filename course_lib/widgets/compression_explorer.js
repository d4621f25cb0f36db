// The view of the compression explorer; it stands behind page.js and visited.js. Every number arrives measured
// and in words: the only arithmetic here is where a mark lies on a chart.

const UNTOUCHED = {
  pruning_ratio: 0,
  importance: "l1",
  multiple_of: 8,
  sparsity: 0,
  bits: 32,
  symmetric: true,
  per_channel: true,
};

function buildControls(model, save) {
  const { label, select, slider, check } = controlMakers();
  const controls = {
    model: select("model"),
    layer: select("layer"),
    channels: slider("channels", 80),
    importance: select("importance"),
    multiple_of: select("multiple_of"),
    sparsity: slider("sparsity", 99),
    bits: slider("bits", model.get("bit_choices").length - 1),
    symmetric: check("symmetric"),
    per_channel: check("per_channel"),
  };
  keepKeys(Object.values(controls));
  const shown = { channels: html("output"), sparsity: html("output"), bits: html("output") };
  const why = html("p", { class: "ce-why", role: "status" });
  const reset = button("Reset", "Back to the dense 32-bit model");
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    html("div", { class: "ce-field ce-buttons" }, reset, copyButton(model), save),
    html(
      "div",
      { class: "ce-row" },
      wideField(label("channels", "Channels removed"), controls.channels, shown.channels),
      field(label("importance", "Least by"), controls.importance),
      field(label("multiple_of", "Keep multiples of"), controls.multiple_of),
    ),
    why,
    wideField(label("sparsity", "Sparsity"), controls.sparsity, shown.sparsity),
    wideField(label("bits", "Weight bits"), controls.bits, shown.bits),
    field(controls.symmetric, label("symmetric", "Symmetric")),
    field(controls.per_channel, label("per_channel", "A scale per channel")),
  );
  const layerField = field(label("layer", "Layer"), controls.layer);
  return { box, controls, shown, why, reset, layerField };
}

function drawHistogram(svg, histogram) {
  const [width, height, base] = [480, 220, 180];
  const low = histogram.edges[0];
  const high = histogram.edges[histogram.edges.length - 1];
  const x = (value) => 10 + ((value - low) / (high - low)) * (width - 20);
  const tallest = Math.max(1, ...histogram.counts);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  // Lines that are close together would hide the bars: they become ticks under them.
  const top = histogram.grid.length > 64 ? base : 8;
  const lines = histogram.grid.map((value) =>
    mark("line", { class: "ce-grid", x1: x(value), x2: x(value), y1: top, y2: base + 6 }, `grid value ${value}`),
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

function drawClasses(list, classes) {
  const rows = classes.map((item) => {
    const bar = html("span", { class: "ce-class-bar", style: `width:${100 * item.value}%` });
    return html("li", {}, html("span", {}, item.name), html("span", { class: "ce-class" }, bar), item.text);
  });
  list.replaceChildren(...(rows.length ? rows : [html("li", {}, "Known when all images are done.")]));
}

function render({ model, el }) {
  const root = html("section", { class: "ce", "aria-label": "Compression explorer" });
  const parts = measuredParts(model, root, "compression_explorer.csv", choose);
  const { box, controls, shown, why, reset, layerField } = buildControls(model, parts.save);
  const channels = tileRow([["channels", "Channels left"]]);
  parts.top.find((part) => part.className === "ce-tiles").append(...channels.row.children);
  const bars = mark("svg", { role: "img", class: "ce-chart" });
  const summary = html("figcaption");
  const weights = html("h4", {}, "The weights, and the grid they are rounded to");
  const classes = html("ul", { class: "ce-classes" });
  const perClass = html("details", {}, html("summary", {}, "Accuracy of each class"), classes);
  root.append(
    box,
    ...parts.top,
    html("div", { class: "ce-charts" }, html("figure", {}, weights, layerField, bars, summary), parts.frontier),
    parts.visited,
    perClass,
  );
  el.append(root);

  const bitChoices = model.get("bit_choices");
  const changed = onlyChanges();
  const send = sender(model, root);
  let tracedFor = "";

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    const percent = Math.round(100 * request.pruning_ratio);
    controls.channels.step = percent % 5 ? 1 : 5;
    controls.channels.value = percent;
    controls.importance.value = request.importance;
    fillOptions(controls.multiple_of, model.get("multiples"), request.multiple_of);
    controls.sparsity.value = Math.round(100 * request.sparsity);
    controls.bits.value = bitChoices.indexOf(request.bits);
    controls.symmetric.checked = request.symmetric;
    controls.per_channel.checked = request.per_channel;
    sayControls();
  }

  function sayControls() {
    const bits = bitChoices[controls.bits.value];
    shown.channels.textContent = `${controls.channels.value} %`;
    controls.channels.setAttribute("aria-valuetext", `${controls.channels.value} percent of the channels removed`);
    shown.sparsity.textContent = `${controls.sparsity.value} %`;
    shown.bits.textContent = bits === 32 ? "32 (float)" : `${bits}`;
    controls.sparsity.setAttribute("aria-valuetext", `${controls.sparsity.value} percent zeros`);
    controls.bits.setAttribute("aria-valuetext", bits === 32 ? "32 bits, floating point" : `${bits} bits`);
    controls.symmetric.disabled = controls.per_channel.disabled = bits === 32;
  }

  // Whether channels can be removed, and by what they can be ranked, is known once the model is traced.
  function sayChannels() {
    const note = model.get("channels_note");
    why.textContent = note;
    why.hidden = note === "";
    for (const name of ["channels", "importance", "multiple_of"]) controls[name].disabled = note !== "";
    const options = model.get("importances").map(([value, words]) => html("option", { value }, words));
    controls.importance.replaceChildren(...options);
    controls.importance.value = model.get("request").importance;
  }

  function choose(setting) {
    send(setting);
    moveControls(model.get("request"));
  }

  function draw() {
    const result = model.get("result");
    if (!parts.draw(result)) return;
    channels.show({ channels: result.channels });
    if (tracedFor !== result.model) {
      // Asked for only now, so that the first picture does not wait for PyTorch.
      tracedFor = result.model;
      model.send({ kind: "channels" });
    }
    const { histogram } = result;
    fillOptions(controls.layer, model.get("layers"), histogram.layer);
    changed("weights", [result.model, result.setting, histogram.layer], () => {
      drawHistogram(bars, histogram);
      summary.textContent = histogram.summary;
    });
    if (perClass.open) drawClasses(classes, result.classes);
  }

  controls.sparsity.addEventListener("input", () => {
    sayControls();
    send({ sparsity: controls.sparsity.valueAsNumber / 100 });
  });
  controls.channels.addEventListener("input", () => {
    sayControls();
    send({ pruning_ratio: controls.channels.valueAsNumber / 100 });
  });
  controls.importance.addEventListener("change", () => send({ importance: controls.importance.value }));
  controls.multiple_of.addEventListener("change", () => send({ multiple_of: Number(controls.multiple_of.value) }));
  controls.bits.addEventListener("input", () => {
    sayControls();
    send({ bits: bitChoices[controls.bits.value] });
  });
  controls.model.addEventListener("change", () => {
    // Another model has to be traced before channels can go.
    send({ model: controls.model.value, layer: "", pruning_ratio: 0 });
    controls.channels.value = 0;
    sayControls();
  });
  controls.layer.addEventListener("change", () => send({ layer: controls.layer.value }));
  for (const name of ["symmetric", "per_channel"]) {
    controls[name].addEventListener("change", () => send({ [name]: controls[name].checked }));
  }
  reset.addEventListener("click", () => choose(UNTOUCHED));
  perClass.addEventListener("toggle", () => drawClasses(classes, model.get("result").classes ?? []));

  sayChannels();
  return parts.follow(draw, moveControls, [
    ["change:channels_note", sayChannels],
    ["change:importances", sayChannels],
  ]);
}

export default { render };
