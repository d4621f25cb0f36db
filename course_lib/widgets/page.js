// What the explorers' views share; page_source.py puts it in front of each. An explorer sends the controls'
// position with a growing generation number and draws what comes back: results arrive measured and in words.

const SVG = "http://www.w3.org/2000/svg";

function html(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function mark(tag, attributes, title) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (title) node.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: title }));
  return node;
}

function text(content, x, y, anchor = "middle") {
  const node = mark("text", { x, y, "text-anchor": anchor });
  node.textContent = content;
  return node;
}

async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // Pages that are neither local nor encrypted have no clipboard; selecting and copying still works.
    const area = html("textarea", { "aria-hidden": "true" });
    area.value = words;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// Makers of controls whose ids no other explorer has, and of their labels.
function controlMakers() {
  // Several explorers may share a page, and each loads this file for itself: a counter would repeat.
  const prefix = `ce${Math.random().toString(36).slice(2)}`;
  return {
    label: (id, words) => html("label", { for: `${prefix}-${id}` }, words),
    select: (id) => html("select", { id: `${prefix}-${id}` }),
    slider: (id, max) => html("input", { id: `${prefix}-${id}`, type: "range", min: 0, max, step: 1 }),
    check: (id) => html("input", { id: `${prefix}-${id}`, type: "checkbox" }),
  };
}

// JupyterLab would take the arrow keys of a focused element for commands of its own.
function keepKeys(nodes) {
  for (const node of nodes) node.dataset.lmSuppressShortcuts = "true";
}

function field(...children) {
  return html("div", { class: "ce-field" }, ...children);
}

function wideField(...children) {
  return html("div", { class: "ce-field ce-wide" }, ...children);
}

function button(words, title) {
  return html("button", { type: "button", title }, words);
}

// A button that copies the Python of the shown result.
function copyButton(model) {
  const made = button("Copy as code", "Copy Python that computes this setting");
  made.addEventListener("click", async () => {
    await copy(model.get("result").code);
    made.textContent = "Copied";
    setTimeout(() => (made.textContent = "Copy as code"), 1500);
  });
  return made;
}

// The row of large numbers; titles are pairs of [key, heading], and show takes {key: {value, detail}}.
function tileRow(titles) {
  const row = html("div", { class: "ce-tiles", role: "group", "aria-label": "Measured" });
  const tiles = {};
  for (const [key, title] of titles) {
    tiles[key] = { value: html("strong", { "data-field": key }, "…"), detail: html("small") };
    row.append(html("div", { class: "ce-tile" }, html("span", {}, title), tiles[key].value, tiles[key].detail));
  }
  const show = (contents) => {
    for (const [key] of titles) {
      tiles[key].value.textContent = contents[key].value;
      tiles[key].detail.textContent = contents[key].detail;
    }
  };
  return { row, show };
}

function fillOptions(select, names, chosen) {
  if (select.dataset.names !== names.join("|")) {
    select.dataset.names = names.join("|");
    select.replaceChildren(...names.map((name) => html("option", { value: name }, name)));
  }
  select.value = chosen;
}

// Painting takes a core from the measurement, so what a name stands for is drawn again only when it changes.
function onlyChanges() {
  const drawn = {};
  return (name, content, action) => {
    const now = JSON.stringify(content);
    if (drawn[name] !== now) action();
    drawn[name] = now;
  };
}

// The root notes the generation last sent, so that a test or a benchmark can wait for its result.
function sender(model, root) {
  return (change) => {
    const request = model.get("request");
    root.dataset.sent = request.generation + 1;
    model.set("request", { ...request, ...change, generation: request.generation + 1 });
    model.save_changes();
  };
}

// The lines that tell what goes on and what went wrong. What is shown is dimmed once it belongs to something else
// than the controls: after an error, or where the result and the request differ in one of `subjects`.
function wordLines(model, root, ...subjects) {
  const status = html("p", { class: "ce-status", role: "status" });
  const error = html("p", { class: "ce-error", role: "alert" });
  function dim() {
    const [result, request] = [model.get("result"), model.get("request")];
    const old = model.get("error") || subjects.some((subject) => result[subject] !== request[subject]);
    root.classList.toggle("ce-old", Boolean(old));
    root.setAttribute("aria-busy", Boolean(model.get("status")));
  }
  function show() {
    status.textContent = model.get("status");
    error.textContent = model.get("error");
    dim();
  }
  return { status, error, dim, show };
}

// Listens to pairs of [event, listener]; returns the function that stops it when the view is removed.
function listen(model, listeners) {
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => listeners.forEach(([event, listener]) => model.off(event, listener));
}
