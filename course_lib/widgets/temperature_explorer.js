// The view of the temperature explorer; it stands behind page.js. Results arrive computed and in words: the only
// arithmetic here is where a mark lies on the chart, and which picture of the strip is the next one.

const TEMPERATURE_TILES = [
  ["entropy", "Entropy of soft targets"],
  ["true", "On the true class"],
  ["loss", "KL(teacher‖student) · T²"],
  ["agree", "Same first class"],
];
const ROLES = ["teacher", "student"];
const TEMPERATURE_HELP = [
  "Scores are divided by T before the softmax. Drag the slider or use ← →; click a picture, or go through them with ← →",
  "Home End once the row has the focus. ✓ marks the true class. Everything is computed from the scores that both",
  "networks gave to these images.",
].join(" ");

function buildTemperatureControls(model) {
  const { label, select, slider } = controlMakers();
  const controls = {
    teacher: select("teacher"),
    student: select("student"),
    temperature: slider("temperature", model.get("temperatures").length - 1),
  };
  const steps = {
    previous: button("‹ Previous", "The picture before in the row"),
    next: button("Next ›", "The next picture of the row"),
    surprise: button("Surprise me", "Any of the images, drawn at random"),
    reset: button("Reset", "Back to where the explorer started"),
  };
  keepKeys([...Object.values(controls), ...Object.values(steps)]);
  const shown = html("output");
  const box = html(
    "div",
    { class: "ce-controls" },
    field(label("teacher", "Teacher"), controls.teacher),
    field(label("student", "Student"), controls.student),
    field(...Object.values(steps), copyButton(model)),
    wideField(label("temperature", "Temperature T"), controls.temperature, shown),
  );
  return { box, controls, steps, shown };
}

// The pictures to pick from, in groups; the nodes stay while the teacher does.
function pictureStrip(choose) {
  const prefix = `te${Math.random().toString(36).slice(2)}`;
  const box = html("div", { class: "te-strip", role: "listbox", tabindex: 0, "aria-label": "Pictures", "aria-orientation": "horizontal" });
  keepKeys([box]);
  let options = [];

  function build(strip) {
    options = [];
    const groups = strip.groups.map(({ kind, words, images }) => {
      const row = images.map(({ index, url, name }) => {
        const id = `${prefix}-${index}`;
        const node = html("div", { class: "te-thumb", role: "option", id, "aria-label": name, title: name, "data-image": index });
        node.append(html("img", { src: url, alt: "", draggable: "false" }));
        node.addEventListener("click", () => choose(index));
        options.push({ index, node });
        return node;
      });
      const caption = html("span", { class: "te-kind", "aria-hidden": "true" }, words);
      return html("div", { class: `te-group te-${kind}`, role: "group", "aria-label": words }, html("div", { class: "te-row" }, ...row), caption);
    });
    box.replaceChildren(...groups);
  }

  function show(image) {
    box.removeAttribute("aria-activedescendant");
    for (const { index, node } of options) {
      node.setAttribute("aria-selected", index === image);
      if (index === image) box.setAttribute("aria-activedescendant", node.id);
    }
  }

  // One after the last is the first again; from a picture that is not in the row, both ways lead into it.
  function beside(image, step) {
    const at = options.findIndex(({ index }) => index === image);
    const place = at < 0 ? (step > 0 ? 0 : options.length - 1) : (at + step + options.length) % options.length;
    return options[place]?.index;
  }

  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const end = { Home: 0, End: -1 }[event.key];
    if ((step === undefined && end === undefined) || !options.length) return;
    event.preventDefault();
    if (step) choose(null, step);
    else choose(options.at(end).index);
  });

  return { box, build, show, beside };
}

// Chart and table in one: a row a class, a bar a model. The nodes stay while the classes do.
function answerTable() {
  const heads = Object.fromEntries(ROLES.map((role) => [role, { name: html("b"), detail: html("small") }]));
  const titles = ROLES.map((role) => {
    const title = html("span", {}, role === "teacher" ? "Teacher " : "Student ", heads[role].name);
    return html("th", { scope: "col", class: `te-${role}` }, title, " ", heads[role].detail);
  });
  const body = html("tbody");
  const corner = html("td", { class: "te-corner" }, "Soft targets");
  const table = html("table", { class: "te-table", "aria-label": "Soft targets of teacher and student" }, html("thead", {}, html("tr", {}, corner, ...titles)), body);
  let rows = [];

  function build(names) {
    rows = names.map((name) => {
      const tick = html("span", { class: "te-tick" });
      const cells = ROLES.map((role) => {
        const [bar, share] = [html("span", { class: "te-bar" }), html("span", { class: "te-share" })];
        const track = html("span", { class: "te-track", "aria-hidden": "true" }, bar);
        return { role, bar, share, node: html("td", { class: `te-${role}` }, html("span", { class: "te-cell" }, track, share)) };
      });
      const title = html("th", { scope: "row" }, tick, name);
      return { tick, cells, title, node: html("tr", { "data-class": name }, title, ...cells.map((cell) => cell.node)) };
    });
    body.replaceChildren(...rows.map((row) => row.node));
  }

  function show(result) {
    for (const role of ROLES) {
      heads[role].name.textContent = result.answers[role].name;
      heads[role].detail.textContent = result.answers[role].detail;
    }
    rows.forEach((row, index) => {
      const shown = result.rows[index];
      row.node.classList.toggle("te-true", shown.true);
      row.tick.textContent = shown.true ? "✓ " : "";
      row.title.setAttribute("aria-label", shown.true ? `${shown.name}, the true class` : shown.name);
      for (const { role, bar, share } of row.cells) {
        bar.style.width = `${100 * shown[role].share}%`;
        share.textContent = shown[role].text;
      }
    });
  }

  return { table, build, show };
}

function drawEntropy(svg, result, stops) {
  const [width, height, left, right, top, base] = [400, 276, 26, 14, 26, 226];
  const [low, high] = [stops[0], stops.at(-1)].map(Math.log);
  const most = Math.max(result.most_bits, 1e-9);
  const x = (temperature) => left + ((Math.log(temperature) - low) / (high - low)) * (width - left - right);
  const y = (bits) => base - (bits / most) * (base - top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const marks = [mark("line", { class: "te-most", x1: left, x2: width - right, y1: y(most), y2: y(most) })];
  marks.push(text(result.most_text, left + 2, y(most) - 8, "start"));
  for (let bits = 0; bits <= most; bits += most > 4 ? 2 : 1) {
    marks.push(mark("line", { class: "ce-rule", x1: left, x2: width - right, y1: y(bits), y2: y(bits) }));
    marks.push(text(bits, left - 8, y(bits) + 6, "end"));
  }
  for (const temperature of [0.5, 1, 2, 4, 8, 20]) {
    marks.push(mark("line", { class: "ce-axis", x1: x(temperature), x2: x(temperature), y1: base, y2: base + 5 }));
    marks.push(text(temperature, x(temperature), base + 24));
  }
  marks.push(text("temperature T", (left + width - right) / 2, base + 46), mark("line", { class: "ce-axis", x1: left, x2: width - right, y1: base, y2: base }));
  const at = x(result.temperature);
  marks.push(mark("line", { class: "te-now", x1: at, x2: at, y1: top, y2: base }));
  ROLES.forEach((role, index) => {
    const { points, here, text: words } = result.curves[role];
    const path = points.map(([temperature, bits]) => `${x(temperature)},${y(bits)}`).join(" ");
    marks.push(mark("polyline", { class: `te-curve te-${role}`, points: path }));
    marks.push(mark("circle", { class: `te-here te-${role}`, cx: at, cy: y(here), r: 9 }, words));
    const legend = text(words, width - right - 4, base - 36 + 24 * index, "end");
    legend.setAttribute("class", `te-legend te-${role}`);
    marks.push(legend);
  });
  svg.replaceChildren(...marks);
  svg.setAttribute("aria-label", result.curve_summary);
}

function render({ model, el }) {
  const { box, controls, steps, shown } = buildTemperatureControls(model);
  const root = html("section", { class: "ce te", "aria-label": "Temperature explorer" });
  const strip = pictureStrip((index, step) => pick(index ?? strip.beside(current(), step)));
  const lines = wordLines(model, root, ...ROLES);
  const now = html("p", { class: "ce-now" });
  const picture = html("img", { class: "te-picture" });
  const name = html("figcaption");
  const explanation = html("p", { class: "te-explanation" });
  const warning = html("p", { class: "te-warning" });
  const answers = answerTable();
  const tiles = tileRow(TEMPERATURE_TILES);
  const chart = mark("svg", { role: "img", class: "ce-chart", "data-chart": "entropy" });
  const announced = html("p", { class: "ce-unseen", role: "status" });
  const shownAll = html(
    "div",
    { class: "ce-charts te-charts" },
    html(
      "div",
      { class: "te-side" },
      html("figure", { class: "te-image" }, picture, name),
      html("figure", {}, html("h4", {}, "Mean entropy in bits"), chart),
    ),
    html("div", { class: "te-answers" }, explanation, answers.table, warning),
    tiles.row,
  );
  shownAll.hidden = true;
  root.append(box, strip.box, now, announced, lines.error, lines.status, shownAll, html("p", { class: "te-help" }, TEMPERATURE_HELP));
  el.append(root);

  const changed = onlyChanges();
  const send = sender(model, root);
  const stops = model.get("temperatures");
  let showing = -1;
  let speaking = 0;
  let surprised = 0;

  const current = () => model.get("request").image ?? model.get("result").image;

  function pick(image) {
    if (image === undefined || image === current()) return;
    send({ image });
    strip.show(image);
  }

  function moveControls(request) {
    for (const role of ROLES) fillOptions(controls[role], model.get("models"), request[role]);
    // A start in code may lie between two stops.
    const near = stops.map((stop) => Math.abs(stop - request.temperature));
    controls.temperature.value = near.indexOf(Math.min(...near));
    sayTemperature(request);
  }

  function sayTemperature(request) {
    shown.textContent = request.temperature;
    controls.temperature.setAttribute("aria-valuetext", `T = ${request.temperature}`);
  }

  function drawStrip() {
    const sent = model.get("strip");
    if (!sent.groups) return;
    changed("strip", sent, () => strip.build(sent));
    strip.show(current());
  }

  function draw() {
    const result = model.get("result");
    if (result.generation === undefined || result.generation < showing) return;
    showing = result.generation;
    now.textContent = result.label;
    changed("picture", result.picture, () => {
      picture.src = result.picture.url;
      picture.alt = result.picture.name;
      name.textContent = result.picture.name;
    });
    changed("classes", result.rows.map((row) => row.name), () => answers.build(result.rows.map((row) => row.name)));
    answers.show(result);
    tiles.show(result.tiles);
    explanation.textContent = result.explanation;
    warning.textContent = result.warning;
    changed("entropy", [result.curves, result.temperature], () => drawEntropy(chart, result, stops));
    shownAll.hidden = false;
    strip.show(current());
    // Spoken once the controls rest, or a drag would read out every position.
    clearTimeout(speaking);
    speaking = setTimeout(() => (announced.textContent = `${result.explanation} ${result.warning}`), 700);
    lines.dim();
    root.dataset.temperature = result.temperature;
    root.dataset.image = result.image;
    root.dataset.exact = result.exact;
    root.dataset.generation = result.generation;
  }

  controls.temperature.addEventListener("input", () => {
    send({ temperature: stops[controls.temperature.valueAsNumber] });
    sayTemperature(model.get("request"));
  });
  for (const role of ROLES) {
    controls[role].addEventListener("change", () => {
      send({ [role]: controls[role].value });
      lines.dim();
    });
  }
  steps.previous.addEventListener("click", () => pick(strip.beside(current(), -1)));
  steps.next.addEventListener("click", () => pick(strip.beside(current(), 1)));
  steps.surprise.addEventListener("click", () => {
    const surprises = model.get("surprises");
    pick(surprises[surprised % surprises.length]);
    surprised += 1;
  });
  steps.reset.addEventListener("click", () => {
    const { generation, ...start } = model.get("start");
    send(start);
    moveControls(model.get("request"));
  });

  const moved = () => root.contains(document.activeElement) || moveControls(model.get("request"));
  const stop = listen(model, [
    ["change:strip", drawStrip],
    ["change:result", draw],
    ["change:status", lines.show],
    ["change:error", lines.show],
    ["change:request", moved],
  ]);
  moveControls(model.get("request"));
  lines.show();
  drawStrip();
  draw();
  return () => {
    clearTimeout(speaking);
    stop();
  };
}

export default { render };
