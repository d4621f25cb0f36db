// The view of the block explorer; it stands behind page.js. Results arrive computed and in words: the only
// arithmetic here is where a box, a way and a bar lie.

const BLOCK_TILES = [
  ["macs", "MACs by formula"],
  ["params", "Parameters by formula"],
  ["latency", "Latency, one picture, one thread"],
  ["kernels", "Kernels that run, bytes moved"],
];
const BLOCK_HELP = [
  "Choose a block and drag its sliders, or use Tab and ← →; grey sliders are knobs that the block does not have.",
  "K is the kernel, C channels, H·W the pixels in and H′·W′ out, s the stride, t the expansion, g the groups; [ ] is 1",
  "where the condition holds and 0 elsewhere. The standard convolution has the same channels, kernel and stride.",
].join(" ");

function buildBlockControls(model) {
  const { label, select, slider } = controlMakers();
  const block = select("block");
  for (const { name, title } of model.get("blocks")) block.append(html("option", { value: name }, title));
  const steps = { reset: button("Reset", "Back to where the explorer started") };
  const source = html("span", { class: "be-source" });
  const knobs = model.get("knobs").map(({ knob, words, symbol, stops, sign }) => {
    const input = slider(knob, stops.length - 1);
    const output = html("output");
    const letter = html("span", { class: "be-symbol", "aria-hidden": "true" });
    letter.innerHTML = symbol;
    const field = html("div", { class: "be-knob" }, html("span", {}, label(knob, words), " ", letter), input, output);
    return { knob, input, output, stops, sign, words, field };
  });
  keepKeys([block, steps.reset, ...knobs.map(({ input }) => input)]);
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("block", "Block"), block),
    field(steps.reset, copyButton(model)),
    source,
    html("div", { class: "be-knobs" }, ...knobs.map((each) => each.field)),
  );
  return { box, block, steps, knobs, source };
}

const knobWords = (value, sign) => (sign ? `${value}×${value}` : `${value}`);

// The block's layers as boxes, as high as they have channels.
function drawPicture(svg, { layers, edges, words }, arrowId) {
  const width = 1240;
  const columns = 1 + Math.max(...layers.map(({ column }) => column));
  const lanes = 1 + Math.max(...layers.map(({ lane }) => lane));
  const step = Math.min(170, width / columns);
  const left = (width - step * columns) / 2;
  const most = Math.max(...layers.map(({ channels }) => channels));
  const tallest = lanes > 1 ? 40 : 76;
  const boxWidth = 78;
  const above = (lane) => 22 * Math.max(0, ...edges.filter((edge) => lane === 0).map(({ level }) => level));
  const lines = Math.max(...layers.map((layer) => layer.lines.length + (layer.kind === "input" ? 0 : 1)));
  const middles = [];
  let y = 0;
  for (let lane = 0; lane < lanes; lane += 1) {
    y += above(lane) + 22;
    middles.push(y + tallest / 2);
    y += tallest + 19 * lines + 2;
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${y}`);
  const places = Object.fromEntries(
    layers.map((layer) => {
      const size = layer.kind === "join" ? 36 : Math.max(30, (layer.channels / most) * tallest);
      return [layer.name, { x: left + (layer.column + 0.5) * step, y: middles[layer.lane], size, half: layer.kind === "join" ? 18 : boxWidth / 2, lane: layer.lane }];
    }),
  );
  const ways = edges.map(({ start, end, level }) => {
    const [from, to] = [places[start], places[end]];
    const [x1, x2] = [from.x + from.half, to.x - to.half];
    let path = `M${x1} ${from.y}H${x2 - 3}`;
    if (level) {
      const top = from.y - tallest / 2 - 4 - 22 * level;
      const [out, back] = [x1 + 9, x2 - 14];
      path = `M${x1} ${from.y}H${out}V${top}H${back}V${to.y}H${x2 - 3}`;
    } else if (from.lane !== to.lane) {
      const turn = to.lane > from.lane ? x1 + 22 : x2 - 14;
      path = `M${x1} ${from.y}H${turn}V${to.y}H${x2 - 3}`;
    }
    return mark("path", { class: "be-way", d: path, "marker-end": `url(#${arrowId})` });
  });
  const boxes = layers.map((layer) => {
    const { x, y: middle, size, half } = places[layer.name];
    const node = mark("g", { class: `be-layer be-${layer.kind}`, "data-layer": layer.name });
    if (layer.kind === "join") node.append(mark("circle", { cx: x, cy: middle, r: half }));
    else node.append(mark("rect", { x: x - half, y: middle - size / 2, width: 2 * half, height: size, rx: 5 }));
    const title = text(layer.title, x, middle + 7);
    title.setAttribute("class", "be-title");
    const count = text(layer.channels, x, middle - size / 2 - 6);
    count.setAttribute("class", "be-count");
    node.append(title, count);
    layer.lines.forEach((line, index) => {
      const shown = text(line, x, middle + size / 2 + 18 + 19 * index);
      shown.setAttribute("class", "be-line");
      node.append(shown);
    });
    if (layer.time) {
      const time = text(layer.time, x, middle + size / 2 + 18 + 19 * layer.lines.length);
      time.setAttribute("class", "be-time");
      node.append(time);
    }
    return node;
  });
  const arrow = mark("marker", { id: arrowId, viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 5, markerHeight: 5, orient: "auto" });
  arrow.append(mark("path", { class: "be-head", d: "M0 0L8 4L0 8z" }));
  svg.replaceChildren(arrow, ...ways, ...boxes);
  svg.setAttribute("aria-label", words);
}

// Two pairs of bars; the standard convolution's are equally long, so the pairs can be compared at a glance.
function drawBars(svg, bars, name) {
  const [width, left, right, height] = [560, 92, 236, 26];
  const most = Math.max(1, ...bars.map(({ ratio, interval }) => (interval ? interval[1] : (ratio ?? 0))));
  const x = (ratio) => left + (ratio / most) * (width - left - right);
  const marks = [];
  bars.forEach((bar, index) => {
    const top = 4 + 68 * index;
    const title = text(bar.name, 0, top + 35, "start");
    title.setAttribute("class", "be-bar-name");
    marks.push(title);
    marks.push(mark("rect", { class: "be-standard", x: left, y: top, width: x(1) - left, height }));
    marks.push(text(`standard: ${bar.standard}`, x(1) + 8, top + 20, "start"));
    const end = x(bar.ratio ?? 0);
    marks.push(mark("rect", { class: "be-own", x: left, y: top + 30, width: Math.max(bar.ratio === null ? 0 : 2, end - left), height }));
    let beside = end;
    if (bar.interval) {
      const [low, high] = bar.interval.map(x);
      marks.push(mark("path", { class: "be-interval", d: `M${low} ${top + 43}H${high}M${low} ${top + 37}v12M${high} ${top + 37}v12` }));
      beside = Math.max(end, high);
    }
    const own = text(bar.block, beside + 8, top + 50, "start");
    own.setAttribute("class", "be-own-text");
    own.dataset.bar = bar.name;
    marks.push(own);
  });
  svg.setAttribute("viewBox", `0 0 ${width} 132`);
  svg.replaceChildren(...marks);
  svg.setAttribute("aria-label", bars.map((bar) => `${bar.name} of the ${name}: ${bar.block}; standard convolution: ${bar.standard}`).join(". "));
}

function render({ model, el }) {
  const { box, block, steps, knobs, source } = buildBlockControls(model);
  const root = html("section", { class: "ce be", "aria-label": "Block explorer" });
  const lines = wordLines(model, root, "block");
  const now = html("p", { class: "ce-now" });
  const picture = mark("svg", { role: "img", class: "ce-chart be-picture", "data-chart": "layers" });
  const symbols = html("div", { class: "be-symbols" });
  const numbers = html("div", { class: "be-numbers" });
  const definitions = html("div", { class: "be-definitions" });
  const explanation = html("p", { class: "be-explanation" });
  const bars = mark("svg", { role: "img", class: "ce-chart be-bars", "data-chart": "bars" });
  const tiles = tileRow(BLOCK_TILES);
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const repair = button("", "The nearest setting that this block can have");
  repair.className = "be-fix";
  repair.hidden = true;
  const shownAll = html(
    "div",
    { class: "ce-charts be-all" },
    picture,
    html(
      "div",
      { class: "be-figures" },
      html("div", { class: "be-formula", role: "group", "aria-label": "Formula of the MACs" }, symbols, numbers, definitions),
      bars,
    ),
    explanation,
    tiles.row,
  );
  shownAll.hidden = true;
  root.append(box, html("div", { class: "be-refused" }, lines.error, repair), now, announced, lines.status, shownAll, html("p", { class: "be-help" }, BLOCK_HELP));
  el.append(root);

  const changed = onlyChanges();
  const send = sender(model, root);
  const arrowId = `be${Math.random().toString(36).slice(2)}`;
  let [showing, speaking] = [-1, 0];

  function moveControls(request) {
    block.value = request.block;
    const chosen = model.get("blocks").find(({ name }) => name === request.block);
    source.textContent = chosen.source;
    for (const { knob, input, output, stops, sign, words } of knobs) {
      // A start in code may lie between two stops.
      const near = stops.map((stop) => Math.abs(stop - request[knob]));
      input.value = near.indexOf(Math.min(...near));
      input.disabled = !chosen.knobs.includes(knob);
      input.title = input.disabled ? `This block has no such knob` : words;
      output.textContent = input.disabled ? "–" : knobWords(request[knob], sign);
      input.setAttribute("aria-valuetext", output.textContent);
    }
  }

  function showError() {
    lines.show();
    const fix = model.get("fix");
    repair.hidden = !(model.get("error") && fix.words);
    repair.textContent = fix.words ?? "";
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    now.textContent = result.label;
    changed("picture", result.picture, () => drawPicture(picture, result.picture, arrowId));
    changed("formula", result.formula, () => {
      symbols.innerHTML = result.formula.symbols.join(" ");
      numbers.innerHTML = result.formula.numbers.join(" ");
      definitions.innerHTML = result.formula.definitions.join(" ");
    });
    changed("bars", result.bars, () => drawBars(bars, result.bars, block.selectedOptions[0]?.textContent ?? "block"));
    tiles.show(result.tiles);
    explanation.textContent = result.explanation;
    shownAll.hidden = false;
    // Spoken once the controls rest, or a drag would read out every position.
    clearTimeout(speaking);
    speaking = setTimeout(() => (announced.textContent = `${result.label}. ${result.explanation}`), 700);
    lines.dim();
    root.dataset.block = result.block;
    root.dataset.exact = result.exact;
    root.dataset.complete = result.exact;
    root.dataset.generation = result.generation;
  }

  for (const { knob, input, stops } of knobs) {
    input.addEventListener("input", () => {
      send({ [knob]: stops[input.valueAsNumber] });
      moveControls(model.get("request"));
    });
  }
  block.addEventListener("change", () => {
    send({ block: block.value });
    moveControls(model.get("request"));
    lines.dim();
  });
  repair.addEventListener("click", () => {
    send(model.get("fix").shape);
    moveControls(model.get("request"));
    block.focus();
  });
  steps.reset.addEventListener("click", () => {
    const { generation, ...start } = model.get("start");
    send(start);
    moveControls(model.get("request"));
  });

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:result", draw],
    ["change:status", lines.show],
    ["change:error", showError],
    ["change:fix", showError],
    ["change:request", moved],
  ]);
  moveControls(model.get("request"));
  showError();
  draw();
  return () => {
    clearTimeout(speaking);
    stop();
  };
}

export default { render };
