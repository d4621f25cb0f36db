// The view of a prediction: a question and its answers. It sends the guess; Python decides whether it counts.

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

let views = 0;

function answers(options, unit) {
  const group = `prediction${views++}`;
  if (options.length === 0) {
    const field = node("input", { name: group, type: "text", inputmode: "decimal", size: 8, autocomplete: "off" });
    return [node("label", {}, "Your guess: ", field, ` ${unit}`)];
  }
  return options.map((option) =>
    node("label", {}, node("input", { name: group, type: "radio", value: option }), ` ${option}`),
  );
}

function render({ model, el }) {
  const choices = node("div", { class: "pr-choices" }, ...answers(model.get("options"), model.get("unit")));
  const button = node("button", { type: "submit" }, "Lock my guess");
  const status = node("span", { role: "status" });
  const fields = node("fieldset", {}, node("legend", {}, `Predict: ${model.get("question")}`), choices, button);
  // JupyterLab would take the arrow keys and Enter for itself.
  const form = node("form", { class: "pr", "data-lm-suppress-shortcuts": "true" }, fields, status);
  el.append(form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("input")].find((input) => input.type === "text" || input.checked);
    model.send({ kind: "lock", guess: chosen ? chosen.value : "" });
  });

  function show() {
    const locked = model.get("locked");
    fields.disabled = locked !== "";
    status.textContent = locked ? `Locked: ${locked}` : model.get("hint");
    for (const input of form.querySelectorAll("input")) {
      if (locked && input.type === "text") input.value = locked.split(" ")[0];
      if (locked && input.type === "radio") input.checked = input.value === locked;
    }
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
