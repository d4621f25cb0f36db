// The view of the sensitivity explorer; it stands behind page.js and visited.js. Every number arrives measured and
// in words: the only arithmetic here is where a mark lies on a chart.

const FLOAT = 32;
const COLUMNS = [
  ["Layer", "left"],
  ["Weights", "right"],
  ["MACs", "right"],
  ["Bits", "left"],
  ["Size", "right"],
  ["SQNR", "right"],
];

function buildPlans(model, save) {
  const { label, select } = controlMakers();
  const number = (id, step, max) => html("input", { id, type: "number", min: 0, max, step, class: "se-number" });
  const controls = { model: select("model") };
  const prefix = controls.model.id;
  controls.average = number(`${prefix}-average`, 0.25, 8);
  controls.alpha = number(`${prefix}-alpha`, 0.1, 20);
  keepKeys(Object.values(controls));
  const plans = {
    uniform: button("Uniform", "The same bits for every layer"),
    programme: button("Integer programme", "The smallest sum of sensitivities that keeps the average"),
    rule: button("α·log rule", "More bits to more sensitive layers, whatever they cost"),
  };
  const steps = {
    undo: button("Undo", "Back to the bits before"),
    redo: button("Redo", "Forward again"),
    reset: button("Reset", "All layers in 32-bit floating point"),
  };
  const named = (id, words) => html("label", { for: `${prefix}-${id}` }, words);
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("model", "Model"), controls.model),
    field(named("average", "Average bits"), controls.average),
    field(plans.uniform, plans.programme, plans.rule, named("alpha", "α"), controls.alpha),
    field(...Object.values(steps), copyButton(model), save),
  );
  return { box, controls, plans, steps };
}

// The table of layers. The bits of each are a group of radio buttons, coloured by what the model loses when this
// layer alone has so many. Its nodes stay while the layers do, and with them the keyboard's focus.
function layerTable(widths, choose, explain) {
  const heading = ([name, side]) => html("th", { scope: "col", class: `se-${side}` }, name);
  const body = html("tbody");
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...COLUMNS.map(heading))), body);
  let rows = [];
  let names = "";

  function cell(layer, row, width) {
    const words = width === FLOAT ? "float" : `${width}`;
    const node = html("button", { type: "button", role: "radio", class: "se-cell", tabindex: -1 }, words);
    node.addEventListener("click", () => choose(row, width));
    for (const event of ["focus", "pointerenter"]) node.addEventListener(event, () => explain(row, width));
    return node;
  }

  function build(layers) {
    rows = layers.map((layer, row) => {
      const cells = new Map(widths.map((width) => [width, cell(layer, row, width)]));
      keepKeys([...cells.values()]);
      const group = html("div", { class: "se-bits", role: "radiogroup", "aria-label": `Bits of ${layer.name}` });
      group.append(...cells.values());
      const values = { size: html("td"), sqnr: html("td") };
      const fixed = [html("td", {}, layer.params), html("td", {}, layer.macs), html("td", {}, group)];
      const name = html("th", { scope: "row", title: layer.shape }, layer.name);
      return { cells, ...values, node: html("tr", {}, name, ...fixed, values.size, values.sqnr) };
    });
    body.replaceChildren(...rows.map((row) => row.node));
  }

  function check(bits) {
    rows.forEach((row, index) => {
      if (row.checked === bits[index]) return;
      row.checked = bits[index];
      for (const [width, node] of row.cells) {
        node.setAttribute("aria-checked", width === bits[index]);
        node.setAttribute("tabindex", width === bits[index] ? 0 : -1);
      }
    });
  }

  function show(layers) {
    const now = layers.map((layer) => `${layer.weight} ${layer.shape}`).join("|");
    if (now !== names) build(layers);
    names = now;
    layers.forEach((layer, index) => {
      for (const name of ["size", "sqnr"]) {
        if (rows[index][name].textContent !== layer[name]) rows[index][name].textContent = layer[name];
      }
    });
  }

  function colour(layers, cells) {
    layers.forEach((layer, index) => {
      for (const [width, node] of rows[index].cells) {
        const known = cells[layer.weight]?.[width];
        const words = width === FLOAT ? "32 bits, floating point" : `${width} bits`;
        node.setAttribute("aria-label", known ? `${words}; ${known.text}` : words);
        node.title = known ? known.text : "";
        node.style.setProperty("--heat", known ? known.heat : 0);
        node.classList.toggle("se-hot", Boolean(known) && known.heat > 0.85);
      }
    });
  }

  body.addEventListener("keydown", (event) => {
    const row = rows.findIndex((each) => each.node.contains(event.target));
    const place = row < 0 ? -1 : [...rows[row].cells.values()].indexOf(event.target);
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const sideways = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: widths.length - 1 }[event.key];
    const typed = event.key === "f" ? widths.length - 1 : widths.indexOf(Number(event.key));
    const up = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (up) {
      event.preventDefault();
      rows[row + up]?.node.querySelector("[tabindex='0']").focus();
      return;
    }
    const width = widths[sideways ?? typed];
    if (width === undefined) return;
    event.preventDefault();
    choose(row, width);
    rows[row].cells.get(width).focus();
  });

  return { table, show, check, colour };
}

function render({ model, el }) {
  const root = html("section", { class: "ce se", "aria-label": "Sensitivity explorer" });
  const parts = measuredParts(model, root, "sensitivity_explorer.csv", (setting) => assign(setting.bits));
  const { box, controls, plans, steps } = buildPlans(model, parts.save);
  const layers = layerTable(model.get("widths"), (row, width) => assign(bits.with(row, width)), explain);
  const progress = html("p", { class: "se-progress", role: "status" });
  const share = html("progress", { max: 1, value: 0, "aria-label": "Share of the sensitivities measured" });
  const about = html("p", { class: "se-about" });
  const help = html(
    "p",
    { class: "se-help" },
    "Click a number of bits. Keyboard: ← → or a digit changes the bits, f is float, ↑ ↓ changes the layer.",
  );
  const scale = html("span", { class: "se-scale", "aria-hidden": "true" });
  const legend = html("p", { class: "se-legend" }, "Colour: how far the answers move with this layer alone at so many bits, ");
  legend.append("0.0001 ", scale, " 1 nat");
  const title = html("h4", {}, "The layers, their bits, and what each loses alone");
  // Results change the height of what they are shown in: below the table, so that no row moves under the pointer.
  root.append(
    box,
    parts.error,
    html("div", { class: "se-layers" }, title, help, html("div", { class: "se-table" }, layers.table)),
    legend,
    share,
    progress,
    about,
    ...parts.top.filter((node) => node !== parts.error),
    html("div", { class: "ce-charts se-charts" }, parts.frontier, parts.visited),
  );
  el.append(root);

  const changed = onlyChanges();
  const send = sender(model, root);
  let bits = [];
  let [past, future] = [[], []];
  let showing = false;

  function assign(next) {
    if (String(next) === String(bits)) return;
    past.push(bits);
    future = [];
    put(next);
  }

  function put(next) {
    bits = [...next];
    layers.check(bits);
    showSteps();
    send({ bits, plan: "" });
  }

  // The programme and the rule are Python's: their bits are known when the result arrives.
  function ask(plan) {
    send({ bits, plan, average: controls.average.valueAsNumber, alpha: controls.alpha.valueAsNumber });
  }

  function step(from, to) {
    // What the kernel refused is no step.
    while (String(from.at(-1)) === String(bits)) from.pop();
    if (!from.length) return;
    to.push(bits);
    put(from.pop());
  }

  function refused() {
    if (!model.get("error") || !model.get("result").setting) return;
    bits = model.get("result").setting.bits;
    layers.check(bits);
  }

  function showSteps() {
    steps.undo.disabled = past.length === 0;
    steps.redo.disabled = future.length === 0;
  }

  function uniformWidth() {
    const average = Math.floor(controls.average.valueAsNumber);
    return Number.isNaN(average) ? 0 : average;
  }

  function nameUniform() {
    plans.uniform.textContent = `Uniform ${uniformWidth()} bits`;
  }

  function explain(row, width) {
    const result = model.get("result");
    const layer = result.layers?.[row];
    const known = model.get("sensitivity").model === result.model && model.get("sensitivity").cells[layer?.weight]?.[width];
    if (layer) about.textContent = `${layer.name}: ${layer.shape}${known ? `; ${known.text}.` : "."}`;
  }

  function draw() {
    const result = model.get("result");
    if (!parts.draw(result)) return;
    layers.show(result.layers);
    if (result.generation === model.get("request").generation) adopt(result);
    root.dataset.bits = result.setting.bits.join(" ");
    showing = true;
    changed("colours", result.model, colour);
  }

  // Bits that a plan found are a step that can be undone, like those that were clicked.
  function adopt(result) {
    const found = result.setting.bits;
    if (result.model !== root.dataset.adopted) [past, future] = [[], []];
    else if (model.get("request").plan && String(found) !== String(bits)) {
      past.push(bits);
      future = [];
    }
    root.dataset.adopted = result.model;
    bits = found;
    layers.check(bits);
    showSteps();
  }

  function colour() {
    const result = model.get("result");
    const sensitivity = model.get("sensitivity");
    const mine = sensitivity.model === result.model;
    layers.colour(result.layers, mine ? sensitivity.cells : {});
    progress.textContent = mine ? sensitivity.words : "";
    share.value = mine ? sensitivity.share : 0;
    share.hidden = !mine || sensitivity.complete;
    root.dataset.sensitivities = mine && sensitivity.complete;
  }

  function moveControls(request) {
    fillOptions(controls.model, model.get("models"), request.model);
    controls.average.value = request.average;
    controls.alpha.value = request.alpha;
    nameUniform();
  }

  controls.model.addEventListener("change", () => send({ model: controls.model.value, bits: [], plan: "" }));
  controls.average.addEventListener("input", nameUniform);
  plans.uniform.addEventListener("click", () => assign(bits.map(() => uniformWidth())));
  plans.programme.addEventListener("click", () => ask("programme"));
  plans.rule.addEventListener("click", () => ask("rule"));
  steps.undo.addEventListener("click", () => step(past, future));
  steps.redo.addEventListener("click", () => step(future, past));
  steps.reset.addEventListener("click", () => assign(bits.map(() => FLOAT)));

  return parts.follow(draw, moveControls, [
    ["change:sensitivity", () => showing && colour()],
    ["change:error", refused],
  ]);
}

export default { render };
