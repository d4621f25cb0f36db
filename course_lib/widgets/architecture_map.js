// The view of the architecture map; it stands behind page.js. Results arrive measured and in words: the only
// arithmetic here is where a point, a name, a line and a bar lie, and which stop of a line is the nearest.

const MAP_TILES = [
  ["accuracy", "Accuracy"],
  ["latency", "Latency, one picture, one thread"],
  ["macs", "MACs"],
  ["params", "Parameters"],
  ["memory", "Peak activation memory"],
  ["storage", "File size"],
];
const MAP_LEGEND = [
  ["fits", "fits the budget; the number is its rank"],
  ["refused", "breaks a limit"],
  ["pending", "not timed yet"],
  ["front", "no other is cheaper and more accurate"],
];
const MAP_HELP = [
  "Drag the two orange lines, or focus one and use ← → ↑ ↓, Page Up, Page Down, Home and End. Click a network, or focus",
  "one and use ← → and Enter, for its details. Whiskers are 95 % intervals. A limit stays when the axis changes.",
].join(" ");
const PLOT = { width: 780, height: 640, left: 78, right: 748, top: 38, base: 562 };

function buildMapControls(model) {
  const { label, select } = controlMakers();
  const controls = { axis: select("axis"), device: select("device"), prefer: select("prefer") };
  for (const [name, words] of model.get("axes")) controls.axis.append(html("option", { value: name }, words));
  for (const [name, words] of model.get("devices")) controls.device.append(html("option", { value: name }, words));
  for (const name of ["accuracy", "cost"]) controls.prefer.append(html("option", { value: name }, name));
  const steps = {
    reset: button("Reset", "Back to where the map started"),
    again: button("Measure again", "Time all networks once more"),
    save: button("Export CSV", "Download all figures and verdicts"),
  };
  keepKeys([...Object.values(controls), ...Object.values(steps)]);
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("axis", "Cost"), controls.axis),
    field(label("device", "Device"), controls.device),
    field(label("prefer", "Rank by"), controls.prefer),
    field(...Object.values(steps), copyButton(model)),
  );
  return { box, controls, steps };
}

function mapPlaces({ low, high, floor, top }) {
  const [from, to] = [Math.log(low), Math.log(high)];
  return {
    x: (cost) => (cost === null ? PLOT.right : PLOT.left + ((Math.log(cost) - from) / (to - from)) * (PLOT.right - PLOT.left)),
    y: (accuracy) => (accuracy === null ? PLOT.base : PLOT.base - ((accuracy - floor) / (top - floor)) * (PLOT.base - PLOT.top)),
  };
}

// Names go where they cover neither a point nor another name; far from their point, a thin line leads to it.
function placeNames(spots) {
  const taken = spots.map(({ x, y }) => [x - 13, y - 13, x + 13, y + 13]);
  const covered = (box) =>
    taken.reduce((sum, [x1, y1, x2, y2]) => {
      const wide = Math.min(box[2], x2) - Math.max(box[0], x1);
      const high = Math.min(box[3], y2) - Math.max(box[1], y1);
      return sum + (wide > 0 && high > 0 ? wide * high : 0);
    }, 0);
  return spots.map(({ name, x, y }) => {
    const width = 11.4 * name.length;
    let best = null;
    for (const reach of [18, 30, 44, 60, 80, 104]) {
      for (const angle of [0, 180, -35, 215, 35, 145, -90, 90, -60, 240, 60, 120]) {
        const [dx, dy] = [Math.cos((angle * Math.PI) / 180) * reach, Math.sin((angle * Math.PI) / 180) * reach];
        const anchor = Math.abs(dx) < 10 ? "middle" : dx > 0 ? "start" : "end";
        const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
        const box = [left, y + dy - 11, left + width, y + dy + 11];
        const outside = box[0] < PLOT.left + 4 || box[2] > PLOT.right - 4 || box[1] < PLOT.top || box[3] > PLOT.base - 4;
        const cost = covered(box) + reach + (outside ? 1e6 : 0);
        if (!best || cost < best.cost) best = { cost, box, anchor, x: x + dx, y: y + dy, reach };
      }
      if (best.cost <= reach) break;
    }
    taken.push(best.box);
    return best;
  });
}

// A line of the budget: drawn at once where it is dragged to, and again where the result says that it stands.
function budgetLine(kind, move) {
  const [line, grip, words, hit] = [mark("line", { class: "am-line" }), mark("path", { class: "am-grip" }), text("", 0, 0), mark("line", { class: "am-hit" })];
  words.setAttribute("class", "am-words");
  words.dataset.words = kind;
  const node = mark("g", { class: `am-budget am-${kind}`, role: "slider", tabindex: 0, "data-line": kind, "aria-orientation": kind === "cost" ? "horizontal" : "vertical" });
  node.append(hit, line, grip);
  keepKeys([node]);
  let [stops, places, covered, index, dragging] = [[], null, [], 0, false];

  function stand(value, said) {
    if (kind === "cost") {
      const at = places.x(value);
      for (const each of [line, hit]) Object.entries({ x1: at, x2: at, y1: PLOT.top, y2: PLOT.base }).forEach(([key, number]) => each.setAttribute(key, number));
      grip.setAttribute("d", `M${at} ${PLOT.top}m-17 -22h34l-17 26z`);
      const beyond = at > (PLOT.left + PLOT.right) / 2;
      Object.entries({ x: beyond ? at - 24 : at + 24, y: PLOT.top - 8, "text-anchor": beyond ? "end" : "start" }).forEach(([key, number]) => words.setAttribute(key, number));
    } else {
      const at = places.y(value);
      for (const each of [line, hit]) Object.entries({ x1: PLOT.left, x2: PLOT.right, y1: at, y2: at }).forEach(([key, number]) => each.setAttribute(key, number));
      grip.setAttribute("d", `M${PLOT.right} ${at}m22 -17v34l-26 -17z`);
      // At the end of the line, above or below it, where the words cover no name.
      const wide = 12.5 * said.length;
      const free = [[1, -8], [1, 24], [0, -8], [0, 24]].find(([end, down]) => {
        const [left, top] = [end ? PLOT.right - 12 - wide : PLOT.left + 10, at + down - 18];
        return at + down < PLOT.base && !covered.some(([x1, y1, x2, y2]) => left < x2 && left + wide > x1 && top < y2 && top + 22 > y1);
      });
      const [end, down] = free ?? [1, -8];
      Object.entries({ x: end ? PLOT.right - 12 : PLOT.left + 10, y: at + down, "text-anchor": end ? "end" : "start" }).forEach(([key, number]) => words.setAttribute(key, number));
    }
    words.textContent = said;
    node.setAttribute("aria-valuetext", said);
    node.classList.toggle("am-open", value === null);
  }

  function go(next) {
    const clamped = Math.max(0, Math.min(stops.length - 1, next));
    if (clamped === index) return;
    index = clamped;
    node.setAttribute("aria-valuenow", index);
    stand(...stops[index]);
    move(stops[index][0]);
  }

  function drag(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(node.ownerSVGElement.getScreenCTM().inverse());
    const away = stops.map(([value]) => Math.abs(kind === "cost" ? places.x(value) - at.x : places.y(value) - at.y));
    go(away.indexOf(Math.min(...away)));
  }

  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    dragging = true;
    node.focus();
    event.preventDefault();
  });
  node.addEventListener("pointermove", (event) => dragging && drag(event));
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => (dragging = false));
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const end = { Home: 0, End: stops.length - 1 }[event.key];
    if (step === undefined && end === undefined) return;
    event.preventDefault();
    go(end ?? index + step);
  });

  // While it is dragged, results of earlier positions do not pull it back.
  function show(budget, where, boxes, settled) {
    [stops, places, covered] = [budget.stops, where, boxes];
    if (!settled) return;
    const wanted = kind === "cost" ? (budget.value ?? Infinity) : (budget.value ?? 0);
    const away = stops.map(([value]) => (value === budget.value ? -1 : Math.abs((value ?? (kind === "cost" ? 1e18 : 0)) - wanted)));
    index = away.indexOf(Math.min(...away));
    for (const [key, value] of Object.entries({ label: budget.name, valuemin: 0, valuemax: stops.length - 1, valuenow: index })) node.setAttribute(`aria-${key}`, value);
    const edge = kind === "cost" ? [stops[0][0] * 0.97, stops.at(-2)[0] * 1.03] : [stops[1][0] - 0.001, stops.at(-1)[0] + 0.001];
    const inside = budget.value === null ? null : Math.max(edge[0], Math.min(edge[1], budget.value));
    stand(inside, budget.words);
  }

  return { node, words, show };
}

function mapChart(choose, move) {
  const svg = mark("svg", { role: "group", class: "ce-chart am-chart", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, "data-chart": "map", "aria-label": "Accuracy against cost" });
  const [under, device, over] = Array.from({ length: 3 }, () => mark("g", { "aria-hidden": "true" }));
  const crowd = mark("g", {});
  const lines = Object.fromEntries(["cost", "accuracy"].map((kind) => [kind, budgetLine(kind, (value) => move(kind, value))]));
  // All names lie over all points, and what the lines say over the names.
  svg.append(under, device, lines.cost.node, lines.accuracy.node, crowd, over, lines.cost.words, lines.accuracy.words);
  const nodes = new Map();
  const changed = onlyChanges();
  let [order, boxes] = [[], []];

  function ground(chart, points, names) {
    const { x, y } = mapPlaces(chart);
    const marks = [];
    for (const [value, said] of chart.levels) {
      marks.push(mark("line", { class: "ce-rule", x1: PLOT.left, x2: PLOT.right, y1: y(value), y2: y(value) }), text(said, PLOT.left - 10, y(value) + 6, "end"));
    }
    for (const [value, said] of chart.ticks) {
      marks.push(mark("line", { class: "ce-axis", x1: x(value), x2: x(value), y1: PLOT.base, y2: PLOT.base + 7 }), text(said, x(value), PLOT.base + 30));
    }
    marks.push(mark("line", { class: "ce-axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.base, y2: PLOT.base }));
    marks.push(text(chart.title, (PLOT.left + PLOT.right) / 2, PLOT.base + 64), text("accuracy", 0, PLOT.top - 16, "start"));
    const front = points.filter((point) => point.front).sort((a, b) => a.cost - b.cost);
    const steps = front.map((point, index) => `${index ? `H${x(point.cost)}` : `M${x(point.cost)} ${y(point.accuracy)}`}V${y(point.accuracy)}`);
    marks.push(mark("path", { class: "am-front", d: `${steps.join("")}H${PLOT.right}` }));
    points.forEach((point, index) => {
      const [at, level] = [x(point.cost), y(point.accuracy)];
      const [low, high] = point.accuracy_interval.map(y);
      marks.push(mark("path", { class: "am-whisker", d: `M${at} ${low}V${high}M${at - 6} ${low}h12M${at - 6} ${high}h12` }));
      if (point.cost_interval) {
        const [near, far] = point.cost_interval.map(x);
        marks.push(mark("path", { class: "am-whisker", d: `M${near} ${level}H${far}M${near} ${level - 6}v12M${far} ${level - 6}v12` }));
      }
      const { reach, anchor, x: nx, y: ny } = names[index];
      if (reach > 18) marks.push(mark("line", { class: "am-leader", x1: at, y1: level, x2: nx, y2: ny }));
      nodes.get(point.name).name.setAttribute("text-anchor", anchor);
    });
    under.replaceChildren(...marks);
  }

  function pointNode(name) {
    const parts = { ring: mark("circle", { class: "am-ring" }), dot: mark("circle", { class: "am-dot" }), rank: text("", 0, 0), name: text(name, 0, 0), title: mark("title", {}) };
    parts.rank.setAttribute("class", "am-rank");
    parts.name.addEventListener("click", () => choose(name));
    over.append(parts.name);
    const node = mark("g", { role: "button", tabindex: -1, "data-network": name });
    node.append(parts.title, parts.ring, parts.dot, parts.rank);
    node.addEventListener("click", () => choose(name));
    node.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (event.key !== "Enter" && event.key !== " " && step === undefined) return;
      event.preventDefault();
      if (step === undefined) choose(name);
      else nodes.get(order[(order.indexOf(name) + step + order.length) % order.length]).node.focus();
    });
    keepKeys([node]);
    return { node, ...parts };
  }

  function show(result, settled) {
    const { chart, points } = result;
    const places = mapPlaces(chart);
    for (const { name } of points) if (!nodes.has(name)) nodes.set(name, pointNode(name));
    for (const [name, parts] of nodes) {
      const here = points.some((point) => point.name === name);
      parts.name.toggleAttribute("hidden", !here);
      if (!here) parts.node.remove();
    }
    order = [...points].sort((a, b) => a.cost - b.cost).map(({ name }) => name);
    const spots = points.map(({ name, cost, accuracy }) => ({ name, x: places.x(cost), y: places.y(accuracy) }));
    changed("ground", [chart, spots, points.map((point) => point.front)], () => {
      const names = placeNames(spots);
      boxes = [...names.map(({ box }) => box), ...spots.map(({ x, y }) => [x - 12, y - 12, x + 12, y + 12])];
      ground(chart, points, names);
      points.forEach(({ name }, index) => {
        const parts = nodes.get(name);
        const { x, y } = spots[index];
        for (const circle of [parts.ring, parts.dot]) Object.entries({ cx: x, cy: y }).forEach(([key, value]) => circle.setAttribute(key, value));
        Object.entries({ x, y: y + 6 }).forEach(([key, value]) => parts.rank.setAttribute(key, value));
        Object.entries({ x: names[index].x, y: names[index].y + 7 }).forEach(([key, value]) => parts.name.setAttribute(key, value));
      });
    });
    for (const { name, state, rank, front, words } of points) {
      const { node, ring, dot, rank: number, title, name: shown } = nodes.get(name);
      const here = name === result.selected;
      node.setAttribute("class", `am-point am-${state}${front ? " am-onfront" : ""}${here ? " am-here" : ""}`);
      shown.setAttribute("class", `am-name am-is-${state}${here ? " am-shown" : ""}`);
      node.setAttribute("aria-label", words);
      node.setAttribute("aria-pressed", here);
      node.setAttribute("tabindex", here || (name === order[0] && !points.some((point) => point.name === result.selected)) ? 0 : -1);
      dot.setAttribute("r", state === "fits" ? 12 : 9);
      ring.setAttribute("r", state === "fits" ? 17 : 14);
      number.textContent = rank ?? "";
      title.textContent = words;
    }
    // The best lie on top; a node that has the focus keeps it, as the order changes only where it must.
    const wanted = [...points].sort((a, b) => (b.rank ?? 99) - (a.rank ?? 99)).map(({ name }) => nodes.get(name).node);
    changed("order", wanted.map((node) => node.dataset.network), () => {
      const focused = crowd.contains(document.activeElement) ? document.activeElement : null;
      crowd.replaceChildren(...wanted);
      focused?.focus();
    });
    const { cost, accuracy, device: has } = result.budget;
    lines.cost.show(cost, places, boxes, settled);
    lines.accuracy.show(accuracy, places, boxes, settled);
    changed("device", [has, chart], () => {
      device.replaceChildren();
      if (!has) return;
      const at = Math.max(PLOT.left, Math.min(PLOT.right, places.x(has.value)));
      const beyond = at > (PLOT.left + PLOT.right) / 2;
      const said = text(has.words, beyond ? at - 8 : at + 8, PLOT.base - 10, beyond ? "end" : "start");
      said.setAttribute("class", "am-has");
      device.append(mark("line", { class: "am-device", x1: at, x2: at, y1: PLOT.top, y2: PLOT.base }), said);
    });
  }

  return { svg, show };
}

function mapLegend() {
  const entries = MAP_LEGEND.flatMap(([kind, words]) => [html("span", {}, html("i", { class: `am-swatch am-${kind}` }), ` ${words}`), " "]);
  return html("p", { class: "am-legend" }, ...entries);
}

function layerBars(layers) {
  return layers.map(({ name, kind, share, text: words }) =>
    html(
      "li",
      {},
      html("span", { class: "am-layer" }, `${name} `, html("small", {}, kind)),
      html("span", { class: "am-track", "aria-hidden": "true" }, html("i", { style: `width:${100 * share}%` })),
      html("span", { class: "am-amount" }, words),
    ),
  );
}

function drawMemory(svg, memory) {
  const [width, height, base] = [560, 190, 160];
  const step = width / memory.shares.length;
  const bars = memory.shares.map((share, index) =>
    mark("rect", { class: index === memory.peak ? "am-peak" : "am-alive", x: index * step, width: Math.max(1, step - 1.5), y: base - share * (base - 30), height: share * (base - 30) }, memory.texts[index]),
  );
  const at = (memory.peak + 0.5) * step;
  const said = text(memory.words, Math.max(4, Math.min(width - 4, at)), 22, at < width / 3 ? "start" : at > (2 * width) / 3 ? "end" : "middle");
  said.setAttribute("class", "am-peak-words");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...bars, said, text("first step", 0, base + 24, "start"), text("last step", width, base + 24, "end"));
  svg.setAttribute("aria-label", `Activation memory of ${memory.shares.length} steps; the peak is ${memory.words}`);
}

function render({ model, el }) {
  const { box, controls, steps } = buildMapControls(model);
  const root = html("section", { class: "ce am", "aria-label": "Architecture map" });
  const words = wordLines(model, root);
  const progress = html("p", { class: "am-progress", role: "status" });
  const sentence = html("p", { class: "am-summary" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const chart = mapChart((name) => pick(name), moveLine);
  const limits = html("p", { class: "am-limits" });
  const list = html("ol", { class: "am-list", "aria-label": "Shortlist" });
  const notes = html("ul", { class: "am-notes" });
  const [title, paper, idea] = [html("h4"), html("span", { class: "am-paper" }), html("p", { class: "am-idea" })];
  const tiles = tileRow(MAP_TILES);
  const layers = html("ul", { class: "am-layers", "aria-label": "Layers with the most MACs" });
  const memory = mark("svg", { role: "img", class: "ce-chart am-memory", "data-chart": "memory" });
  const details = html(
    "section",
    { class: "am-details", "aria-label": "Details of the chosen network" },
    html("div", { class: "am-head" }, title, paper),
    idea,
    tiles.row,
    html(
      "div",
      { class: "am-bars" },
      html("div", {}, html("h5", {}, "Costliest layers: MACs"), layers),
      html("figure", {}, html("h5", {}, "Activation memory, step by step"), memory),
    ),
  );
  const shownAll = html(
    "div",
    { class: "ce-charts am-all" },
    html("div", { class: "am-top" }, sentence, limits),
    html("div", { class: "am-map" }, chart.svg, mapLegend()),
    html("div", { class: "am-side" }, list, notes),
    details,
  );
  shownAll.hidden = true;
  root.append(box, words.error, words.status, progress, announced, shownAll, html("p", { class: "am-help" }, MAP_HELP));
  el.append(root);

  const changed = onlyChanges();
  const send = sender(model, root);
  let [showing, speaking] = [-1, 0];

  function pick(name) {
    send({ selected: name });
  }

  function moveLine(kind, value) {
    if (kind === "accuracy") send({ accuracy: value ?? 0 });
    else send({ limits: { ...model.get("request").limits, [model.get("result").chart.name]: value } });
  }

  function drop(name) {
    if (name === "accuracy") send({ accuracy: 0 });
    else send({ limits: { ...model.get("request").limits, [name]: null } });
  }

  function moveControls(request) {
    for (const [name, control] of Object.entries(controls)) control.value = request[name];
  }

  function rows(result) {
    return result.chosen.map(({ name, rank, reason }) => {
      const here = name === result.selected;
      const open = html("button", { type: "button", class: "am-open-details", "aria-pressed": here, title: "Show its details" }, name);
      open.addEventListener("click", () => pick(name));
      const node = html("li", { class: rank ? "am-accepted" : "am-out", "data-network": name }, html("b", { class: "am-place" }, rank ?? "–"), html("span", {}, open, " ", html("span", { class: "am-reason" }, reason)));
      return node;
    });
  }

  function drawDetails({ name, title: heading, paper: source, idea: thought, tiles: figures, layers: most, memory: alive }) {
    title.textContent = heading === name ? name : `${name}: ${heading}`;
    paper.textContent = source;
    idea.textContent = thought;
    tiles.show(figures);
    layers.replaceChildren(...layerBars(most));
    memory.replaceChildren();
    if (alive) drawMemory(memory, alive);
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    // A line that was moved on since this result was asked for stays where it is.
    chart.show(result, result.generation >= model.get("request").generation);
    progress.textContent = result.progress;
    sentence.textContent = result.summary;
    sentence.classList.toggle("am-impossible", result.impossible);
    changed("limits", result.budget.all, () => {
      const chips = result.budget.all.map(([name, said]) => {
        const chip = button(`${said} ✕`, "Take this limit away");
        chip.addEventListener("click", () => drop(name));
        return chip;
      });
      limits.replaceChildren(...chips);
    });
    changed("list", [result.chosen, result.selected], () => {
      const focused = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.network : "";
      list.replaceChildren(...rows(result));
      if (focused) list.querySelector(`li[data-network="${CSS.escape(focused)}"] button`)?.focus();
    });
    changed("notes", result.notes, () => notes.replaceChildren(...result.notes.map((note) => html("li", {}, note))));
    changed("details", result.details, () => drawDetails(result.details));
    shownAll.hidden = false;
    // Spoken once the controls rest, or a drag would read out every position.
    clearTimeout(speaking);
    speaking = setTimeout(() => (announced.textContent = result.summary), 700);
    words.dim();
    root.dataset.axis = result.chart.name;
    root.dataset.selected = result.selected;
    root.dataset.exact = result.exact;
    root.dataset.complete = result.exact;
    root.dataset.generation = result.generation;
  }

  for (const [name, control] of Object.entries(controls)) control.addEventListener("change", () => send({ [name]: control.value }));
  steps.reset.addEventListener("click", () => {
    const { generation, again, ...start } = model.get("start");
    send(start);
    moveControls(model.get("request"));
  });
  steps.again.addEventListener("click", () => send({ again: model.get("request").again + 1 }));
  steps.save.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([model.get("result").csv], { type: "text/csv" }));
    html("a", { href: url, download: "architecture_map.csv" }).click();
    URL.revokeObjectURL(url);
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
  return () => {
    clearTimeout(speaking);
    stop();
  };
}

export default { render };
