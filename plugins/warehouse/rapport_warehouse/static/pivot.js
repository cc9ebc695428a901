// The pivot's page: where a dimension is dropped is its choice, and short addresses.
(() => {
  // Dragged by mouse or finger (the lists say data-drag), a dimension takes the place it is dropped at; the form asks anew.
  document.addEventListener("dropped", ({ target }) => {
    const choice = target.querySelector("select.w-place");
    if (!choice) return;
    choice.value = target.closest("[data-zone]").dataset.zone;
    choice.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // What was left empty does not stand in the address.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (!detail.elt.matches("form[data-pivot]")) return;
    for (const name of [...detail.formData.keys()]) if (detail.formData.get(name) === "" && !name.startsWith("only.")) detail.formData.delete(name);
  });

  // Long lists are narrowed by typing.
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("[data-narrow]")) return;
    const wanted = target.value.trim().toLocaleLowerCase();
    for (const each of target.closest("details").querySelectorAll(".r-check, .w-dimension")) each.hidden = !each.textContent.toLocaleLowerCase().includes(wanted);
  });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-narrow], .w-slicer [type=search]")) event.stopPropagation(); }, true);

  // What somebody unfolded stays unfolded when the answer comes.
  let open = [];
  document.addEventListener("htmx:beforeSwap", () => { open = [...document.querySelectorAll("#ask details[open]")].map((each) => each.id); });
  document.addEventListener("htmx:load", () => { for (const id of open) document.getElementById(id)?.setAttribute("open", ""); });
})();
