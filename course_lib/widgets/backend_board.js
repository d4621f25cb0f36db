// The view of the backend board; it stands behind page.js. Rows arrive sorted, measured and in words: the only
// arithmetic here is where a point and its name lie.

const BB_GROUPS = [
  ["models", "Networks"],
  ["targets", "Targets"],
  ["precisions", "Precisions"],
];
const BB_TILES = [
  ["latency", "Median latency"],
  ["ratio", "Ratio to ONNX Runtime fp32"],
  ["size", "Size"],
  ["parity", "Worst difference"],
  ["agreement", "Same answer"],
];
const BB_HELP = [
  "A heading sorts, and sorts the other way when used again. Click a row or a point, or focus one and use ↑ ↓ and Enter, for",
  "its details. Ratios are medians of interleaved rounds, with 95 % intervals.",
].join(" ");
const BB_PLOT = { width: 720, height: 470, left: 76, right: 700, top: 40, base: 400 };
const BB_SHAPES = {
  fp32: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  fp16: (x, y, r) => `M${x} ${y - r * 1.25}L${x + r * 1.25} ${y}L${x} ${y + r * 1.25}L${x - r * 1.25} ${y}z`,
  int8: (x, y, r) => `M${x - r * 0.9} ${y - r * 0.9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}z`,
};

// A row of checkboxes with one name for all of them.
function bbGroup(name, title, entries, change) {
  const group = html("fieldset", { class: `bb-group bb-${name}` }, html("legend", {}, title));
  const boxes = new Map();
  for (const [value, why] of entries) {
    const box = html("input", { type: "checkbox", value });
    const label = html("label", { class: why ? "bb-absent" : "", title: why }, box, ` ${value}`);
    box.addEventListener("change", () => change(entries.map(([each]) => each).filter((each) => boxes.get(each).checked)));
    boxes.set(value, box);
    group.append(label);
  }
  keepKeys(boxes.values());
  return { group, show: (chosen) => boxes.forEach((box, value) => (box.checked = chosen.includes(value))) };
}

// Names go beside their points, where they cover no other point or name; one that finds no place is left out, and
// its point says it when pointed at.
function bbNames(spots) {
  const taken = spots.map(({ x, y }) => [x - 10, y - 10, x + 10, y + 10]);
  return spots.map(({ name, x, y }) => {
    const width = 9.4 * name.length;
    for (const [anchor, dx, dy] of [["start", 14, 5], ["end", -14, 5], ["middle", 0, -16], ["middle", 0, 26], ["start", 12, -12], ["end", -12, -12], ["start", 12, 22], ["end", -12, 22]]) {
      const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
      const box = [left, y + dy - 13, left + width, y + dy + 4];
      const free = box[0] > BB_PLOT.left && box[2] < BB_PLOT.width && box[1] > 4 && box[3] < BB_PLOT.base;
      if (!free || taken.some(([x1, y1, x2, y2]) => box[0] < x2 && box[2] > x1 && box[1] < y2 && box[3] > y1)) continue;
      taken.push(box);
      return { anchor, x: x + dx, y: y + dy };
    }
    return null;
  });
}

function bbChart(choose) {
  const svg = mark("svg", { role: "group", class: "ce-chart bb-chart", viewBox: `0 0 ${BB_PLOT.width} ${BB_PLOT.height}`, "data-chart": "board", "aria-label": "Worst difference against cost" });

  function show(chart, selected) {
    const [from, to] = [Math.log(chart.low), Math.log(chart.high)];
    const [floor, top] = [Math.log(chart.floor), Math.log(chart.top)];
    const x = (cost) => BB_PLOT.left + 14 + ((Math.log(cost) - from) / (to - from)) * (BB_PLOT.right - BB_PLOT.left - 28);
    const y = (difference) => (difference === null ? BB_PLOT.base : BB_PLOT.base - 14 - ((Math.log(difference) - floor) / (top - floor)) * (BB_PLOT.base - BB_PLOT.top - 14));
    const focused = svg.contains(document.activeElement) ? document.activeElement.dataset.cell : "";
    const marks = [];
    for (const [value, said] of chart.levels) {
      marks.push(mark("line", { class: "ce-rule", x1: BB_PLOT.left, x2: BB_PLOT.right, y1: y(value), y2: y(value) }), text(said, BB_PLOT.left - 8, y(value) + 5, "end"));
    }
    for (const [value, said] of chart.ticks) {
      marks.push(mark("line", { class: "ce-axis", x1: x(value), x2: x(value), y1: BB_PLOT.base, y2: BB_PLOT.base + 6 }), text(said, x(value), BB_PLOT.base + 24));
    }
    marks.push(mark("line", { class: "ce-axis", x1: BB_PLOT.left, x2: BB_PLOT.right, y1: BB_PLOT.base, y2: BB_PLOT.base }));
    marks.push(text(chart.title, (BB_PLOT.left + BB_PLOT.right) / 2, BB_PLOT.base + 54), text("worst difference (log scale)", 0, 16, "start"));
    const spots = chart.points.map((point) => ({ ...point, x: x(point.cost), y: y(point.difference) }));
    const names = bbNames(spots);
    const nodes = spots.map((spot, index) => {
      const here = spot.key === selected;
      const node = mark("g", { class: `bb-point bb-is-${spot.precision}${here ? " bb-here" : ""}`, role: "button", tabindex: here || (index === 0 && !spots.some((each) => each.key === selected)) ? 0 : -1, "data-cell": spot.key, "aria-label": spot.words, "aria-pressed": here }, spot.words);
      node.append(mark("path", { class: "bb-ring", d: BB_SHAPES.fp32(spot.x, spot.y, 15) }), mark("path", { class: "bb-dot", d: BB_SHAPES[spot.precision](spot.x, spot.y, 8) }));
      if (names[index]) node.append(text(spot.name, names[index].x, names[index].y, names[index].anchor));
      node.addEventListener("click", () => choose(spot.key));
      node.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1 }[event.key];
        if (event.key !== "Enter" && event.key !== " " && step === undefined) return;
        event.preventDefault();
        if (step === undefined) return choose(spot.key);
        const order = [...spots].sort((a, b) => a.x - b.x).map(({ key }) => key);
        const next = order[(order.indexOf(spot.key) + step + order.length) % order.length];
        svg.querySelector(`[data-cell="${CSS.escape(next)}"]`).focus();
      });
      return node;
    });
    keepKeys(nodes);
    if (chart.empty) marks.push(text(chart.empty, (BB_PLOT.left + BB_PLOT.right) / 2, (BB_PLOT.top + BB_PLOT.base) / 2));
    svg.replaceChildren(...marks, ...nodes);
    if (focused) svg.querySelector(`[data-cell="${CSS.escape(focused)}"]`)?.focus();
  }

  return { svg, show };
}

function bbLegend() {
  const entries = Object.entries(BB_SHAPES).map(([name, shape]) => {
    const picture = mark("svg", { class: `bb-key bb-is-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" });
    picture.append(mark("path", { class: "bb-dot", d: shape(12, 12, 8) }));
    return html("span", {}, picture, ` ${name}`);
  });
  return html("p", { class: "bb-legend" }, ...entries);
}

// The table: headings that sort, and a row for each cell, of which one can be reached with Tab.
function bbTable(columns, sort, choose) {
  const heads = [["order", "Cell", "In the board's order"], ...columns];
  const buttons = new Map();
  const head = html("tr");
  for (const [name, heading, title] of heads) {
    const sorter = button(heading, `Sort by: ${title}`);
    const cell = html("th", { scope: "col" }, sorter);
    sorter.addEventListener("click", () => sort(name));
    buttons.set(name, { cell, sorter, heading });
    head.append(cell);
  }
  head.append(html("th", { scope: "col" }, "State"));
  const body = html("tbody");
  const table = html("table", { class: "bb-table" }, html("caption", { class: "ce-unseen" }, "Compiled cells"), html("thead", {}, head), body);
  keepKeys([...buttons.values()].map(({ sorter }) => sorter));

  function row(each, here, reachable) {
    const open = html("button", { type: "button", class: "bb-open", tabindex: reachable ? 0 : -1, "aria-pressed": here, title: "Show its details" }, `${each.target} ${each.precision}`);
    keepKeys([open]);
    const name = html("th", { scope: "row" }, open, " ", html("small", {}, each.model));
    const figures = columns.map(([column]) => html("td", { "data-column": column }, each.figures[column]));
    const words = html("td", { class: "bb-state" }, html("b", {}, each.words), each.why ? html("span", { class: "bb-why", title: each.why }, each.why) : "");
    const node = html("tr", { class: `bb-row bb-${each.state}${here ? " bb-here" : ""}`, "data-cell": each.key }, name, ...figures, words);
    node.addEventListener("click", () => choose(each.key));
    open.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const all = [...body.querySelectorAll(".bb-open")];
      all[(all.indexOf(open) + step + all.length) % all.length].focus();
    });
    return node;
  }

  function show(result) {
    for (const [name, { cell, sorter, heading }] of buttons) {
      const used = name === result.sort;
      cell.setAttribute("aria-sort", used ? (result.falling ? "descending" : "ascending") : "none");
      sorter.textContent = used ? `${heading} ${result.falling ? "▼" : "▲"}` : heading;
    }
    const active = document.activeElement;
    const focused = body.contains(active) ? active.closest("tr").dataset.cell : "";
    const reachable = result.rows.some(({ key }) => key === result.selected) ? result.selected : result.rows[0]?.key;
    body.replaceChildren(...result.rows.map((each) => row(each, each.key === result.selected, each.key === reachable)));
    if (focused) body.querySelector(`tr[data-cell="${CSS.escape(focused)}"] .bb-open`)?.focus();
  }

  return { table, show };
}

function bbDetails() {
  const [title, state, why] = [html("h4"), html("p", { class: "bb-said" }), html("p", { class: "bb-why" })];
  const tiles = tileRow(BB_TILES);
  const command = html("pre", { class: "bb-command", tabindex: 0, "aria-label": "The same from the command line" });
  const take = button("Copy", "Copy the command");
  const messages = html("ul", { class: "bb-messages", "aria-label": "Messages" });
  take.addEventListener("click", async () => {
    await copy(command.textContent);
    take.textContent = "Copied";
    setTimeout(() => (take.textContent = "Copy"), 1500);
  });
  const box = html(
    "section",
    { class: "bb-details", "aria-label": "Details of the chosen cell" },
    title,
    state,
    why,
    tiles.row,
    html("h5", {}, "The same from the command line"),
    html("div", { class: "bb-line" }, command, take),
    html("h5", {}, "What the cache and the compiler say"),
    messages,
  );
  function show(details) {
    box.hidden = !details;
    if (!details) return;
    title.textContent = details.title;
    state.textContent = details.state;
    why.textContent = details.why;
    tiles.show(details.tiles);
    command.textContent = details.command;
    messages.replaceChildren(...(details.messages.length ? details.messages : ["Nothing."]).map((line) => html("li", {}, line)));
  }
  return { box, show };
}

function render({ model, el }) {
  const root = html("section", { class: "ce bb", "aria-label": "Backend board" });
  const send = sender(model, root);
  const words = wordLines(model, root);
  const entries = { models: model.get("models").map((name) => [name, ""]), targets: model.get("targets"), precisions: model.get("precisions").map((name) => [name, ""]) };
  const groups = Object.fromEntries(BB_GROUPS.map(([name, title]) => [name, bbGroup(name, title, entries[name], (chosen) => send({ [name]: chosen }))]));
  const { label, select } = controlMakers();
  const axis = select("axis");
  for (const [name, title] of model.get("axes")) axis.append(html("option", { value: name }, title));
  const steps = {
    run: button("Stop", "Finish the cell in progress and leave the rest"),
    again: button("Measure again", "Time everything that runs here over four times the rounds"),
    save: button("Export CSV", "Download all figures"),
  };
  keepKeys([axis, ...Object.values(steps)]);
  const bar = html("progress", { "aria-label": "Cells done" });
  const said = html("p", { class: "bb-progress" });
  const sentence = html("p", { class: "bb-summary", role: "status" });
  const absent = html("ul", { class: "bb-lacks", "aria-label": "Not installed" });
  const pick = (key) => send({ selected: key });
  const chart = bbChart(pick);
  const table = bbTable(model.get("columns"), (name) => {
    const { sort, falling } = model.get("request");
    send({ sort: name, falling: sort === name && !falling });
  }, pick);
  const details = bbDetails();
  const shown = html(
    "div",
    { class: "bb-all" },
    sentence,
    bar,
    said,
    absent,
    html("div", { class: "bb-map" }, field(label("axis", "Chart"), axis), chart.svg, bbLegend()),
    details.box,
    html("div", { class: "bb-scroll" }, table.table),
  );
  shown.hidden = true;
  root.append(
    html("div", { class: "bb-groups" }, ...Object.values(groups).map(({ group }) => group)),
    html("div", { class: "ce-controls" }, field(...Object.values(steps), copyButton(model))),
    words.error,
    words.status,
    shown,
    html("p", { class: "bb-help" }, BB_HELP),
  );
  el.append(root);

  const changed = onlyChanges();
  let showing = -1;

  function moveControls() {
    const request = model.get("request");
    for (const [name, { show }] of Object.entries(groups)) show(request[name]);
    axis.value = request.axis;
    steps.run.textContent = request.running ? "Stop" : "Go on";
    steps.run.title = request.running ? "Finish the cell in progress and leave the rest" : "Work on the cells that wait";
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    changed("chart", [result.chart, result.selected], () => chart.show(result.chart, result.selected));
    changed("table", [result.rows, result.sort, result.falling, result.selected], () => table.show(result));
    changed("details", result.details, () => details.show(result.details));
    changed("absent", result.absent, () => {
      absent.replaceChildren(...result.absent.map(([target, why]) => html("li", {}, html("b", {}, target), ` ${why}`)));
    });
    sentence.textContent = result.summary;
    said.textContent = result.progress.words;
    bar.max = result.progress.total || 1;
    bar.value = result.progress.done;
    steps.again.disabled = !result.again;
    shown.hidden = false;
    words.dim();
    root.dataset.exact = result.exact;
    root.dataset.complete = result.exact;
    root.dataset.selected = result.selected;
    root.dataset.generation = result.generation;
  }

  axis.addEventListener("change", () => send({ axis: axis.value }));
  steps.run.addEventListener("click", () => send({ running: !model.get("request").running }));
  steps.again.addEventListener("click", () => send({ again: model.get("request").again + 1 }));
  steps.save.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([model.get("result").csv], { type: "text/csv" }));
    html("a", { href: url, download: "backend_board.csv" }).click();
    URL.revokeObjectURL(url);
  });
  const stop = listen(model, [
    ["change:result", draw],
    ["change:status", words.show],
    ["change:error", words.show],
    ["change:request", moveControls],
  ]);
  moveControls();
  words.show();
  draw();
  return stop;
}

export default { render };
