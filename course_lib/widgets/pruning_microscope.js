// The view of the pruning microscope; it stands behind page.js. Every number arrives measured and in words: the
// only arithmetic here is where a bar lies, and which channels are the first ones of a ranking that was sent.

const MICROSCOPE_TILES = [
  ["accuracy", "Accuracy"],
  ["latency", "Latency, one image"],
  ["macs", "MACs"],
  ["params", "Parameters"],
  ["size", "Size when stored"],
];
const LEGEND = [
  ["kept", "stays"],
  ["gone", "removed"],
  ["fixed", "cannot be removed"],
  ["loses", "loses the same channels"],
  ["reads", "reads them"],
];
const HELP = [
  "Click a layer, or go through them with ↑ ↓. The slider removes its least important channels; a click on a bar",
  "removes that channel or takes it back. Keyboard: → goes from the layers to the bars, ← → Home End moves along them,",
  "Space removes or takes back, Esc returns. Ctrl+Z undoes, Ctrl+Y redoes.",
].join(" ");

function buildMicroscopeControls(model) {
  const { label, select, slider, check } = controlMakers();
  const controls = {
    model: select("model"),
    importance: select("importance"),
    part: select("part"),
    count: slider("count", 1),
    sorted: check("sorted"),
  };
  controls.sorted.checked = true;
  for (const [name, words] of model.get("importances")) {
    controls.importance.append(html("option", { value: name }, words));
  }
  const steps = {
    undo: button("Undo", "Back to the channels before"),
    redo: button("Redo", "Forward again"),
    reset: button("Reset", "All channels of all layers"),
  };
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    field(label("importance", "Rank channels by"), controls.importance),
    field(...Object.values(steps), copyButton(model)),
  );
  const count = html("output");
  const slide = wideField(label("count", "Remove the least important"), controls.count, count);
  const order = field(controls.sorted, label("sorted", "Sorted by importance"));
  const part = field(label("part", "Its groups of channels"), controls.part);
  return { box, controls, steps, count, slide, order, part };
}

// The layers, one below the other. The nodes stay while the model does, and with them the keyboard's focus.
function layerList(prefix, choose) {
  const list = html("div", { class: "pm-layers", role: "listbox", tabindex: 0, "aria-label": "Layers of the network" });
  let rows = new Map();

  function row(layer, index, widest) {
    const parts = Object.fromEntries(
      ["name", "kind", "kept", "gone", "count", "tag"].map((name) => [name, html("span", { class: `pm-${name}` })]),
    );
    parts.name.textContent = parts.name.title = layer.path;
    parts.kind.textContent = layer.kind;
    const bar = html("span", { class: "pm-bar-of", style: `width:${(100 * layer.outputs) / widest}%` }, parts.kept, parts.gone);
    const attributes = { class: "pm-layer", role: "option", id: `${prefix}-l${index}` };
    const track = html("span", { class: "pm-track" }, bar);
    const node = html("div", attributes, parts.name, parts.kind, track, parts.count, parts.tag);
    node.classList.toggle("pm-fixed", layer.groups.length === 0);
    node.addEventListener("click", () => choose(layer.path));
    return { ...parts, node, layer };
  }

  function build(network) {
    rows = new Map(network.layers.map((layer, index) => [layer.path, row(layer, index, network.widest)]));
    list.replaceChildren(...[...rows.values()].map((each) => each.node));
  }

  // `touches` says what the chosen group does to each layer.
  function show(chosen, touches, widths) {
    [...rows.values()].forEach((each, index) => {
      const { layer, node } = each;
      const width = widths ? widths[index] : { outputs: layer.outputs, text: `${layer.outputs}`, inputs: "" };
      each.kept.style.width = `${(100 * width.outputs) / layer.outputs}%`;
      each.gone.style.width = `${(100 * (layer.outputs - width.outputs)) / layer.outputs}%`;
      const touch = touches[layer.path] ?? "";
      const here = layer.path === chosen;
      const fixed = layer.groups.length ? "" : "outputs stay";
      const words = here ? ["this layer", fixed].filter(Boolean).join(": ") : touch || fixed;
      const read = touch.startsWith("reads") && width.inputs ? `: ${width.inputs}` : "";
      each.count.textContent = width.text;
      each.tag.textContent = here ? words : words + read;
      node.classList.toggle("pm-loses", touch.includes("loses") || here);
      node.classList.toggle("pm-reads", !here && touch.startsWith("reads"));
      node.setAttribute("aria-selected", here);
      node.setAttribute("aria-label", `${layer.path}, ${layer.kind}, ${width.text} channels${words ? `, ${words}${here ? "" : read}` : ""}`);
      if (here) list.setAttribute("aria-activedescendant", node.id);
    });
  }

  const reveal = (path) => rows.get(path)?.node.scrollIntoView({ block: "nearest" });
  return { list, build, show, reveal };
}

// The chosen group's channels as bars, as high as their score; removed ones grey and hatched.
function channelChart(prefix) {
  const svg = mark("svg", { class: "ce-chart pm-chart", role: "listbox", tabindex: 0, "aria-multiselectable": true, "data-chart": "channels" });
  const [width, height, top, base] = [640, 214, 6, 184];

  function hatch() {
    const pattern = mark("pattern", { id: `${prefix}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(mark("rect", { class: "pm-hatch-back", width: 6, height: 6 }), mark("rect", { class: "pm-hatch", width: 2, height: 6 }));
    return pattern;
  }

  function draw({ places, scores, removed, cursor, sorted, words, name }) {
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const step = (width - 16) / places.length;
    const gap = Math.min(3, 0.15 * step);
    const bars = places.map((channel, place) => {
      const gone = removed.has(channel);
      const say = `channel ${channel}, score ${scores.texts[channel]}, ${gone ? "removed" : "stays"}`;
      const attributes = { role: "option", id: `${prefix}-c${channel}`, "aria-selected": gone, "aria-label": say, "data-channel": channel };
      const node = mark("g", { ...attributes, class: gone ? "pm-channel pm-removed" : "pm-channel" }, say);
      const x = 8 + place * step;
      const size = Math.max(3, scores.heights[channel] * (base - top));
      const box = { x: x + gap / 2, width: step - gap, y: base - size, height: size };
      node.append(mark("rect", { class: "pm-hit", x, width: step, y: top, height: base - top + 6 }));
      node.append(mark("rect", { class: "pm-bar", ...box, ...(gone ? { style: `fill:url(#${prefix}-hatch)` } : {}) }));
      if (channel === cursor) node.append(mark("rect", { class: "pm-cursor", x, width: step, y: top, height: base - top + 6 }));
      return node;
    });
    const ends = sorted ? ["least important", "most important"] : ["channel 0", `channel ${places.length - 1}`];
    svg.replaceChildren(
      hatch(),
      ...bars,
      mark("line", { class: "ce-axis", x1: 8, x2: width - 8, y1: base, y2: base }),
      text(ends[0], 8, base + 22, "start"),
      text(words, width / 2, base + 22),
      text(ends[1], width - 8, base + 22, "end"),
    );
    svg.setAttribute("aria-activedescendant", `${prefix}-c${cursor}`);
    svg.setAttribute("aria-label", `Channels of ${name}: ${removed.size} of ${places.length} removed; height: ${words}`);
  }

  return { svg, draw };
}

const sameChannels = (removed) =>
  Object.keys(removed)
    .filter((name) => removed[name].length)
    .sort()
    .map((name) => `${name}:${[...removed[name]].sort((a, b) => a - b).join(" ")}`)
    .join("|");

function render({ model, el }) {
  const prefix = `pm${Math.random().toString(36).slice(2)}`;
  const { box, controls, steps, count, slide, order, part } = buildMicroscopeControls(model);
  const root = html("section", { class: "ce pm", "aria-label": "Pruning microscope" });
  const progress = html("progress", { max: 1, value: 0, "aria-label": "Share of the test set done" });
  const words = wordLines(model, root, "model");
  const now = html("p", { class: "ce-now" });
  const tiles = tileRow(MICROSCOPE_TILES);
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const note = html("p", { class: "ce-note" });
  const layers = layerList(prefix, (path) => choose(path));
  const chart = channelChart(prefix);
  const title = html("h4");
  const why = html("ul", { class: "pm-why" });
  const about = html("p", { class: "pm-about" });
  const lines = html("pre");
  const details = html("details", {}, html("summary", {}, "Everything that goes with one channel"), lines);
  const removable = html("div", {}, part, slide, order, chart.svg, about);
  const legend = html(
    "p",
    { class: "pm-legend" },
    ...LEGEND.flatMap(([kind, meaning]) => [html("span", {}, html("i", { class: `pm-swatch pm-${kind}` }), ` ${meaning}`), " "]),
  );
  const main = html(
    "div",
    { class: "pm-main" },
    html("div", { class: "pm-network" }, html("h4", {}, "The network: one bar a layer, as long as it has channels"), layers.list, legend),
    html("div", { class: "pm-channels" }, title, removable, why, details),
  );
  main.hidden = true;
  root.append(box, progress, now, tiles.row, announced, note, words.error, words.status, main, html("p", { class: "pm-help" }, HELP));
  el.append(root);
  keepKeys([...Object.values(controls), ...Object.values(steps), layers.list, chart.svg]);

  const changed = onlyChanges();
  const send = sender(model, root);
  let removed = {};
  let [past, future] = [[], []];
  let [layer, group, cursor] = [null, "", 0];
  let [told, warned] = [null, null];
  let [sliding, showing, built] = [false, -1, ""];

  const ranked = () => model.get("ranking").groups?.[group];
  const gone = () => new Set(removed[group] ?? []);

  function put(next) {
    removed = next;
    warned = null;
    drawChannels();
    send({ removed });
  }

  function change(channels) {
    const next = { ...removed, [group]: channels };
    if (!channels.length) delete next[group];
    if (sameChannels(next) === sameChannels(removed)) return;
    past.push(removed);
    future = [];
    put(next);
  }

  function toggle(channel) {
    const channels = gone();
    if (!channels.delete(channel)) channels.add(channel);
    cursor = channel;
    if (channels.size === ranked().order.length) {
      told = warned = channel;
      drawChannels();
      about.textContent = "One channel has to stay: a layer without any would cut the network in two.";
      return;
    }
    told = channel;
    change([...channels].sort((a, b) => a - b));
  }

  function slideTo(number) {
    const before = past.length;
    change(ranked().order.slice(0, number).sort((a, b) => a - b));
    // One drag of the slider is one step to undo, however many positions it passed.
    if (sliding && past.length > before) past.pop();
    sliding = true;
  }

  function step(from, to) {
    while (from.length && sameChannels(from.at(-1)) === sameChannels(removed)) from.pop();
    if (!from.length) return;
    to.push(removed);
    put(from.pop());
  }

  function explain(channel) {
    if (channel === warned) return; // the warning stays until something else is looked at
    const scores = ranked();
    [told, warned] = [channel, null];
    const score = scores.reason ? "no score" : `${model.get("ranking").words} ${scores.texts[channel]}, number ${scores.order.indexOf(channel) + 1} of ${scores.order.length} from the least important`;
    about.textContent = `Channel ${channel}: ${score}; ${gone().has(channel) ? "removed" : "stays"}.`;
  }

  function choose(path) {
    const found = model.get("network").layers.find((each) => each.path === path);
    if (!found) return;
    layer = found;
    pick(found.groups[0] ?? "");
  }

  function pick(name) {
    group = name;
    cursor = ranked()?.order[0] ?? 0;
    told = null;
    about.textContent = ranked()?.reason || "Each bar is one channel: click it to remove it or to take it back.";
    drawChannels();
    drawLayers();
  }

  function drawLayers() {
    const network = model.get("network");
    if (!layer) return;
    const result = model.get("result");
    const touches = network.groups[group]?.touches ?? {};
    const widths = result.model === network.model ? result.widths : null;
    changed("layers", [network.model, layer.path, group, widths], () => layers.show(layer.path, touches, widths));
  }

  function drawChannels() {
    const scores = ranked();
    if (!layer) return;
    const total = scores?.order.length ?? layer.outputs;
    title.textContent = `${layer.path}: ${layer.kind}, ${total} channels${total === layer.outputs ? "" : ` of ${layer.outputs / total} outputs each`}`;
    changed("why", layer, () => why.replaceChildren(...layer.why.map((sentence) => html("li", {}, sentence))));
    lines.textContent = layer.details.join("\n");
    details.hidden = !layer.details.length;
    removable.hidden = !scores;
    part.hidden = layer.groups.length < 2;
    fillOptions(controls.part, layer.groups, group);
    if (layer.groups.length > 1 && scores) title.textContent = `${layer.path}: ${layer.kind}, ${layer.groups.length} groups of channels`;
    steps.undo.disabled = past.length === 0;
    steps.redo.disabled = future.length === 0;
    if (!scores) return;
    if (told !== null) explain(told);
    const channels = gone();
    controls.count.max = total - 1;
    controls.count.value = channels.size;
    controls.count.disabled = Boolean(scores.reason);
    count.textContent = `${channels.size} of ${total}`;
    controls.count.setAttribute("aria-valuetext", `${channels.size} of ${total} channels removed`);
    const { words } = model.get("ranking");
    const sorted = controls.sorted.checked;
    const places = sorted ? scores.order : scores.order.map((_, channel) => channel);
    changed("channels", [places, scores, [...channels], cursor, sorted, words, group], () =>
      chart.draw({ places, scores, removed: channels, cursor, sorted, words, name: group }),
    );
  }

  // The network and the ranking come before the first result of a model.
  function rebuild() {
    const network = model.get("network");
    if (!network.layers || model.get("ranking").model !== network.model) return;
    if (built !== network.model) {
      built = network.model;
      layers.build(network);
      [past, future, removed] = [[], [], { ...model.get("request").removed }];
      main.hidden = false;
      choose((network.layers.find((each) => each.groups.length) ?? network.layers[0]).path);
    } else {
      drawChannels();
    }
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    rebuild();
    // A later click may be on its way: its channels stay on the page.
    if (result.generation === model.get("request").generation) removed = result.removed;
    now.textContent = `${result.model}: ${result.label}`;
    tiles.show(result.tiles);
    progress.value = result.progress;
    note.textContent = result.note;
    if (result.exact) {
      const said = MICROSCOPE_TILES.map(([name, heading]) => `${heading} ${result.tiles[name].value}`);
      announced.textContent = `${result.label}: ${said.join(", ")}`;
    }
    drawLayers();
    drawChannels();
    words.dim();
    root.dataset.model = result.model;
    root.dataset.exact = result.exact;
    root.dataset.complete = result.tiles.latency.value !== "…";
    root.dataset.removed = sameChannels(result.removed);
    root.dataset.generation = result.generation;
  }

  function refused() {
    if (!model.get("error") || !model.get("result").removed) return;
    removed = model.get("result").removed;
    drawChannels();
  }

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    controls.importance.value = request.importance;
  }

  function move(places, key) {
    const place = places.indexOf(cursor);
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: places.length - 1 }[key];
    if (places[next] === undefined) return;
    cursor = told = places[next];
    drawChannels();
  }

  layers.list.addEventListener("keydown", (event) => {
    const all = model.get("network").layers ?? [];
    const place = all.indexOf(all.find((each) => each.path === layer?.path));
    const next = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "ArrowRight" && ranked()) chart.svg.focus();
    else if (!all[next]) return;
    else {
      choose(all[next].path);
      layers.reveal(all[next].path);
    }
    event.preventDefault();
  });
  chart.svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const places = controls.sorted.checked ? ranked().order : ranked().order.map((_, channel) => channel);
    if (event.key === "Escape") layers.list.focus();
    else if (event.key === " " || event.key === "Enter") toggle(cursor);
    else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) move(places, event.key);
    else return;
    event.preventDefault();
  });
  chart.svg.addEventListener("click", (event) => {
    const bar = event.target.closest("[data-channel]");
    if (bar) toggle(Number(bar.dataset.channel));
  });
  chart.svg.addEventListener("pointerover", (event) => {
    const bar = event.target.closest("[data-channel]");
    if (bar) explain(Number(bar.dataset.channel));
  });
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    const back = event.key === "z" && !event.shiftKey;
    if (!back && event.key !== "y" && event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    event.stopPropagation();
    if (back) step(past, future);
    else step(future, past);
  });
  controls.count.addEventListener("input", () => slideTo(controls.count.valueAsNumber));
  controls.count.addEventListener("change", () => (sliding = false));
  controls.sorted.addEventListener("change", drawChannels);
  controls.part.addEventListener("change", () => pick(controls.part.value));
  controls.importance.addEventListener("change", () => send({ importance: controls.importance.value }));
  controls.model.addEventListener("change", () => {
    send({ model: controls.model.value, removed: {} });
    words.dim();
  });
  steps.undo.addEventListener("click", () => step(past, future));
  steps.redo.addEventListener("click", () => step(future, past));
  steps.reset.addEventListener("click", () => {
    if (sameChannels(removed) === "") return;
    past.push(removed);
    future = [];
    put({});
  });

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:network", rebuild],
    ["change:ranking", rebuild],
    ["change:result", draw],
    ["change:status", words.show],
    ["change:error", words.show],
    ["change:error", refused],
    ["change:request", moved],
  ]);
  moveControls(model.get("request"));
  words.show();
  rebuild();
  draw();
  return stop;
}

export default { render };
