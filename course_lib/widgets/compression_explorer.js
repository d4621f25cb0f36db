// The view of the compression explorer; it stands behind page.js and visited.js. Every number arrives measured
// and in words: the only arithmetic here is where a mark lies on a chart.

function buildControls(model, save) {
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
  const reset = button("Reset", "Back to the dense 32-bit model");
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    wideField(label("sparsity", "Sparsity"), controls.sparsity, shown.sparsity),
    wideField(label("bits", "Weight bits"), controls.bits, shown.bits),
    field(controls.symmetric, label("symmetric", "Symmetric")),
    field(controls.per_channel, label("per_channel", "A scale per channel")),
    html("div", { class: "ce-field ce-buttons" }, reset, copyButton(model), save),
  );
  const layerField = field(label("layer", "Layer"), controls.layer);
  return { box, controls, shown, reset, layerField };
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
  const { box, controls, shown, reset, layerField } = buildControls(model, parts.save);
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
    if (!parts.draw(result)) return;
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
  controls.bits.addEventListener("input", () => {
    sayControls();
    send({ bits: bitChoices[controls.bits.value] });
  });
  controls.model.addEventListener("change", () => send({ model: controls.model.value, layer: "" }));
  controls.layer.addEventListener("change", () => send({ layer: controls.layer.value }));
  for (const name of ["symmetric", "per_channel"]) {
    controls[name].addEventListener("change", () => send({ [name]: controls[name].checked }));
  }
  reset.addEventListener("click", () => choose({ sparsity: 0, bits: 32, symmetric: true, per_channel: true }));
  perClass.addEventListener("toggle", () => drawClasses(classes, model.get("result").classes ?? []));

  return parts.follow(draw, moveControls);
}

export default { render };
