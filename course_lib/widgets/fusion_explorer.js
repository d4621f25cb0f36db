// The view of the fusion explorer; it stands behind page.js. Results arrive measured and in words, nodes with the
// row in which they lie: the only arithmetic here is from rows to pixels.

const FUSION_TILES = [
  ["nodes", "Nodes that run"],
  ["fused", "Fused nodes"],
  ["latency", "Latency, one input, one thread"],
  ["written", "Written in one run"],
];
const FUSION_HELP = [
  "Drag the level, or use Tab and ← →. Point at a node, or click it, to see what went into it. Keyboard: ↑ ↓ Home End",
  "go through the nodes of a column, ← → change to the other column, Esc forgets the choice. Boxes: filled = several",
  "nodes became one, blue = another operator in its place, dashed orange = not in the file, struck out = folded into a",
  "stored value or removed. Level off is the baseline: every level is measured in turns with it.",
].join(" ");
const COLUMN = { before: { x: 58, width: 282 }, after: { x: 424, width: 290 } };
const [PICTURE_WIDTH, PITCH, PICTURE_TOP] = [850, 27, 6];
const BOX = 22;

function buildFusionControls(model) {
  const { label, select, slider, check } = controlMakers();
  const levels = model.get("levels");
  const controls = { model: select("model"), level: slider("level", levels.length - 1), timed: check("timed") };
  fillOptions(controls.model, model.get("models"), model.get("request").model);
  const output = html("output");
  const stops = html("span", { class: "fx-stops", "aria-hidden": "true" }, ...levels.map((level) => html("span", {}, level)));
  const slide = wideField(label("level", "Optimization level"), html("div", { class: "fx-slide" }, controls.level, stops), output);
  const save = button("Save the picture", "Both graphs as an SVG file");
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    slide,
    field(controls.timed, label("timed", "Time every node")),
    field(save, copyButton(model)),
  );
  return { box, controls, output, levels, save };
}

// Both graphs as two columns of boxes, and bands from what was to what it became.
function fusionPicture(prefix) {
  const svg = mark("svg", { class: "ce-chart fx-picture", role: "listbox", tabindex: 0, "data-chart": "graphs", "aria-label": "Nodes of both graphs" });
  let nodes = { before: [], after: [] };
  let links = [];
  let bars = [];

  const y = (row) => PICTURE_TOP + PITCH * row;
  const middle = (node) => y(node.top) + (PITCH * node.rows - (PITCH - BOX)) / 2;
  const short = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

  function box(side, node, place) {
    const { x, width } = COLUMN[side];
    const where = side === "before" ? "in the file" : "runs";
    const attributes = { role: "option", id: `${prefix}-${side}${place}`, "aria-selected": false, "aria-label": `${where}: ${node.words}`, "data-side": side, "data-place": place };
    const group = mark("g", { ...attributes, class: `fx-node fx-${node.change}`, style: node.colour ? `--fx-colour:${node.colour}` : "" });
    const height = PITCH * node.rows - (PITCH - BOX);
    group.append(mark("rect", { class: "fx-box", x, width, y: y(node.top), height, rx: 4 }));
    const line = node.rows > 1 ? y(node.top) + 18 : middle(node) + 5;
    const title = text(short(node.title, 26), x + 8, line, "start");
    title.setAttribute("class", "fx-title");
    // A fused box has a line of its own for details; in others they get what the title leaves.
    const room = node.rows > 1 ? 40 : Math.floor((width - 24 - 8.4 * Math.min(26, node.title.length)) / 7);
    const shape = node.detail.slice(Math.max(0, node.detail.indexOf("→")));
    const words = short(node.detail.length > room ? shape : node.detail, Math.max(3, room));
    const detail = node.rows > 1 ? text(words, x + 8, line + 21, "start") : text(words, x + width - 8, line, "end");
    detail.setAttribute("class", "fx-detail");
    group.append(title, detail);
    return group;
  }

  function band([from, to], picture) {
    const [left, right] = [picture.before[from], picture.after[to]];
    const [x1, x2] = [COLUMN.before.x + COLUMN.before.width, COLUMN.after.x];
    const parts = picture.links.filter((link) => link[1] === to).map((link) => link[0]);
    const height = (PITCH * right.rows - (PITCH - BOX)) / parts.length;
    const [top, end] = [y(left.top), y(right.top) + height * parts.indexOf(from)];
    const bend = (x1 + x2) / 2;
    const d = `M${x1} ${top}C${bend} ${top} ${bend} ${end} ${x2} ${end}v${height}C${bend} ${end + height} ${bend} ${top + BOX} ${x1} ${top + BOX}z`;
    return mark("path", { class: right.change === "fused" ? "fx-link fx-of" : "fx-link", style: right.colour ? `--fx-colour:${right.colour}` : "", d });
  }

  function arc(side, { start, end, lane }, column) {
    const outside = side === "before" ? -1 : 1;
    const edge = side === "before" ? COLUMN.before.x : COLUMN.after.x + COLUMN.after.width;
    const out = edge + outside * (10 + 11 * lane);
    const [from, to] = [middle(column[start]), middle(column[end])];
    return mark("path", { class: "fx-arc", d: `M${edge} ${from + 4}H${out}V${to - 4}H${edge}` });
  }

  function step(side, place, column) {
    const x = COLUMN[side].x + 20;
    const [above, here] = [column[place - 1], column[place]];
    return mark("path", { class: "fx-step", d: `M${x} ${y(above.top + above.rows) - (PITCH - BOX)}V${y(here.top)}` });
  }

  function draw(picture) {
    svg.setAttribute("viewBox", `0 0 ${PICTURE_WIDTH} ${y(picture.rows) + 4}`);
    for (const side of ["before", "after"]) nodes[side] = picture[side].map((node, place) => box(side, node, place));
    links = picture.links.map((link) => ({ link, path: band(link, picture) }));
    bars = picture.after.map((node) => {
      const bar = mark("rect", { class: "fx-time", x: COLUMN.after.x, width: 0, y: y(node.top) + PITCH * node.rows - (PITCH - BOX) - 4, height: 4 });
      const words = text("", PICTURE_WIDTH - 4, middle(node) + 5, "end");
      words.setAttribute("class", "fx-us");
      return { bar, words };
    });
    const ways = ["before", "after"].flatMap((side) => [
      ...picture.steps[side].map((place) => step(side, place, picture[side])),
      ...picture.arcs[side].map((each) => arc(side, each, picture[side])),
    ]);
    svg.replaceChildren(...links.map(({ path }) => path), ...ways, ...nodes.before, ...nodes.after, ...bars.flatMap(({ bar, words }) => [bar, words]));
  }

  function time(times) {
    bars.forEach(({ bar, words }, place) => {
      bar.setAttribute("width", times ? COLUMN.after.width * times[place].share : 0);
      words.textContent = times ? times[place].words : "";
    });
  }

  // Light the node and all that it is linked with.
  function light(side, place, chosen) {
    const at = side === "before" ? 0 : 1;
    svg.querySelectorAll(".fx-lit, .fx-chosen").forEach((node) => node.classList.remove("fx-lit", "fx-chosen"));
    svg.querySelectorAll("[aria-selected=true]").forEach((node) => node.setAttribute("aria-selected", false));
    svg.removeAttribute("aria-activedescendant");
    if (place === null || !nodes[side][place]) return;
    for (const { link, path } of links.filter(({ link }) => link[at] === place)) {
      path.classList.add("fx-lit");
      nodes.before[link[0]].classList.add("fx-lit");
      nodes.after[link[1]].classList.add("fx-lit");
    }
    const node = nodes[side][place];
    node.classList.add(chosen ? "fx-chosen" : "fx-lit");
    if (!chosen) return;
    node.setAttribute("aria-selected", true);
    svg.setAttribute("aria-activedescendant", node.id);
  }

  // Scrolls the picture alone: the browser's own way would move the whole page along.
  function reveal(side, place, scroll) {
    const [shown, frame] = [nodes[side][place].getBoundingClientRect(), scroll.getBoundingClientRect()];
    if (shown.top < frame.top) scroll.scrollTop -= frame.top - shown.top + 8;
    if (shown.bottom > frame.bottom) scroll.scrollTop += shown.bottom - frame.bottom + 8;
  }

  return { svg, draw, time, light, reveal };
}

function track(share, kind = "") {
  return html("span", { class: `fx-track ${kind}` }, html("i", { style: `width:${100 * share}%` }));
}

function fusionTable(caption, heads) {
  const body = html("tbody");
  const head = html("thead", {}, html("tr", {}, ...heads.map((words) => html("th", { scope: "col" }, words))));
  return { table: html("table", {}, html("caption", {}, caption), head, body), body };
}

function cell(words, share, kind) {
  const made = html("td", { class: share === undefined ? "fx-number" : "fx-took" }, words);
  if (share !== undefined && share !== null) made.append(track(share, kind));
  return made;
}

function render({ model, el }) {
  const prefix = `fx${Math.random().toString(36).slice(2)}`;
  const { box, controls, output, levels, save } = buildFusionControls(model);
  const root = html("section", { class: "ce fx", "aria-label": "Fusion explorer" });
  const lines = wordLines(model, root, "model");
  const now = html("p", { class: "ce-now" });
  const tiles = tileRow(FUSION_TILES);
  const explanation = html("p", { class: "fx-explanation" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const heads = [html("span"), html("span")];
  const picture = fusionPicture(prefix);
  const scroll = html("div", { class: "fx-scroll" }, picture.svg);
  const about = html("p", { class: "fx-about", role: "status" });
  const legend = html("ul", { class: "fx-legend", "aria-label": "Patterns of fusion" });
  const compared = fusionTable("Levels of this model", ["level", "nodes", "time ÷ time at level off"]);
  const operators = fusionTable("Operators", ["operator", "file", "runs", "time"]);
  compared.table.dataset.table = "levels";
  operators.table.dataset.table = "operators";
  const main = html(
    "div",
    { class: "fx-main" },
    html("div", {}, html("div", { class: "fx-heads" }, ...heads), scroll, about, legend),
    html("div", {}, compared.table, html("div", { class: "fx-operators", tabindex: 0, role: "group", "aria-label": "Operators" }, operators.table)),
  );
  main.hidden = true;
  root.append(box, now, tiles.row, explanation, announced, lines.error, lines.status, main, html("p", { class: "fx-help" }, FUSION_HELP));
  el.append(root);
  keepKeys([...Object.values(controls), save, picture.svg]);

  const changed = onlyChanges();
  const send = sender(model, root);
  let [side, place] = ["after", null];
  let [showing, speaking] = [-1, 0];

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    controls.level.value = levels.indexOf(request.level);
    controls.timed.checked = request.timed;
    output.textContent = request.level;
    controls.level.setAttribute("aria-valuetext", request.level);
  }

  function tell(where, at) {
    const node = at === null ? null : model.get("picture")[where]?.[at];
    const taken = where === "after" ? model.get("result").times?.[at]?.words : "";
    about.textContent = node ? `${node.words}${taken ? ` It took ${taken}.` : ""}` : "Point at a node to see what became of it, or what went into it.";
  }

  function choose(where, at) {
    [side, place] = [where, at];
    picture.light(side, place, true);
    tell(side, place);
  }

  function rebuild() {
    const shown = model.get("picture");
    if (!shown.before) return;
    changed("picture", [shown.model, shown.level], () => {
      picture.draw(shown);
      shown.heads.forEach((words, at) => (heads[at].textContent = words));
      legend.replaceChildren(
        ...shown.patterns.map(({ words, count, colour }) => html("li", { style: `--fx-colour:${colour}` }, html("i"), ` ${words}, ${count}`)),
      );
      root.dataset.picture = `${shown.model} ${shown.level}`;
      choose("after", null);
    });
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    rebuild();
    now.textContent = result.label;
    tiles.show(result.tiles);
    explanation.textContent = result.explanation;
    changed("times", [result.model, result.level, result.times], () => {
      picture.time(result.times);
      if (place !== null) tell(side, place);
    });
    changed("levels", [result.level, result.levels], () =>
      compared.body.replaceChildren(
        ...result.levels.map((row) =>
          html(
            "tr",
            { "data-level": row.level, ...(row.level === result.level ? { class: "fx-here", "aria-current": "true" } : {}) },
            html("th", { scope: "row" }, row.level),
            cell(row.nodes, row.nodes_share),
            cell(row.latency, row.latency_share, "fx-hot"),
          ),
        ),
      ),
    );
    changed("operators", result.operators, () =>
      operators.body.replaceChildren(
        ...result.operators.map((row) =>
          html("tr", { "data-operator": row.kind }, html("th", { scope: "row" }, row.kind), cell(row.before), cell(row.after), cell(row.time, row.share, "fx-hot")),
        ),
      ),
    );
    main.hidden = false;
    // Spoken once the controls rest, or a drag would read out every position.
    clearTimeout(speaking);
    speaking = setTimeout(() => (announced.textContent = `${result.label}. ${result.explanation}`), 700);
    lines.dim();
    root.dataset.model = result.model;
    root.dataset.level = result.level;
    root.dataset.exact = result.exact;
    root.dataset.complete = result.tiles.latency.value !== "…";
    root.dataset.generation = result.generation;
  }

  // From one column to the other: to what the node became, or to the first of those it stands for.
  function across() {
    const { links } = model.get("picture");
    const found = side === "before" ? links.find(([from]) => from === place)?.[1] : links.find(([, to]) => to === place)?.[0];
    return found === undefined ? null : [side === "before" ? "after" : "before", found];
  }

  function step(key) {
    const last = (model.get("picture")[side]?.length ?? 0) - 1;
    if (place === null) return [side, key === "End" ? last : 0];
    const next = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: last }[key];
    return next >= 0 && next <= last ? [side, next] : null;
  }

  picture.svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      choose(side, null);
      return;
    }
    const sideways = { ArrowLeft: "before", ArrowRight: "after" }[event.key];
    if (!sideways && !["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    let next = sideways ? (sideways === side || place === null ? null : across()) : step(event.key);
    if (sideways && place === null) next = [sideways, 0];
    if (!next) return;
    choose(...next);
    picture.reveal(side, place, scroll);
  });
  const under = (event) => event.target.closest(".fx-node");
  picture.svg.addEventListener("click", (event) => {
    const node = under(event);
    if (node) choose(node.dataset.side, Number(node.dataset.place));
  });
  picture.svg.addEventListener("pointerover", (event) => {
    const node = under(event);
    if (!node) return;
    picture.light(node.dataset.side, Number(node.dataset.place), false);
    tell(node.dataset.side, Number(node.dataset.place));
  });
  picture.svg.addEventListener("pointerleave", () => choose(side, place));
  controls.level.addEventListener("input", () => {
    send({ level: levels[controls.level.valueAsNumber] });
    moveControls(model.get("request"));
  });
  controls.timed.addEventListener("change", () => send({ timed: controls.timed.checked }));
  controls.model.addEventListener("change", () => {
    send({ model: controls.model.value });
    lines.dim();
  });
  save.addEventListener("click", () => model.send({ kind: "picture", view: prefix }));

  function download(message) {
    if (message.kind !== "picture" || message.view !== prefix) return;
    const url = URL.createObjectURL(new Blob([message.content], { type: "image/svg+xml" }));
    html("a", { href: url, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:result", draw],
    ["change:status", lines.show],
    ["change:error", lines.show],
    ["change:request", moved],
    ["msg:custom", download],
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
