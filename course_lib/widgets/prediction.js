// The view of a prediction: a question and its answers. It sends the guess; Python decides whether it counts.

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Without this on the very element that has the focus, JupyterLab takes arrow keys and Enter for itself.
const KEYS = { "data-lm-suppress-shortcuts": "true" };

function answers(options, unit) {
  if (options.length === 0) {
    const field = node("input", { ...KEYS, type: "text", inputmode: "decimal", size: 8, autocomplete: "off" });
    return [node("label", {}, "Your guess: ", field, ` ${unit}`)];
  }
  // Radio buttons of one name form a group within their form.
  return options.map((option) =>
    node("label", {}, node("input", { ...KEYS, name: "guess", type: "radio", value: option }), ` ${option}`),
  );
}

function render({ model, el }) {
  const choices = node("div", { class: "pr-choices" }, ...answers(model.get("options"), model.get("unit")));
  const button = node("button", { ...KEYS, type: "submit" }, "Lock my guess");
  const status = node("span", { role: "status", tabindex: -1 });
  const fields = node("fieldset", {}, node("legend", {}, `Predict: ${model.get("question")}`), choices, button);
  const form = node("form", { class: "pr" }, fields, status);
  el.append(form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("input")].find((input) => input.type === "text" || input.checked);
    model.send({ kind: "lock", guess: chosen ? chosen.value : "" });
  });

  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.type !== "text") return;
    event.preventDefault();
    form.requestSubmit();
  });

  function show() {
    const locked = model.get("locked");
    const focused = form.contains(document.activeElement);
    fields.disabled = locked !== "";
    status.textContent = locked ? `Locked: ${locked}` : model.get("hint");
    for (const input of form.querySelectorAll("input")) {
      if (locked && input.type === "text") input.value = locked.split(" ")[0];
      if (locked && input.type === "radio") input.checked = input.value === locked;
    }
    if (locked && focused) status.focus(); // the button that had the focus is gone
  }

  model.on("change:locked", show);
  model.on("change:hint", show);
  show();
  return () => {
    model.off("change:locked", show);
    model.off("change:hint", show);
  };
}

export default { render };
