// The pivot's page: dragging a dimension to another place sets the choice beside it, and short addresses.
(() => {
  const form = () => document.querySelector("form[data-pivot]");
  let dragged = null;

  // A dimension dragged over a place goes before the one under the pointer; where it is dropped, the form asks anew.
  const wake = (root) => root.querySelectorAll?.(".w-dimension").forEach((item) => { item.draggable = true; });
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.(".w-dimension");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.dimension);
    form().classList.add("is-dragging");
  });
  document.addEventListener("dragover", (event) => {
    const zone = dragged && event.target.closest?.("[data-zone]");
    if (!zone) return;
    event.preventDefault();
    const under = event.target.closest(".w-dimension");
    if (under && under !== dragged) zone.insertBefore(dragged, under);
    else if (!under) zone.append(dragged);
  });
  document.addEventListener("drop", (event) => { if (dragged) event.preventDefault(); });
  document.addEventListener("dragend", () => {
    if (!dragged) return;
    const choice = dragged.querySelector("select");
    choice.value = dragged.closest("[data-zone]").dataset.zone;
    dragged = null;
    form().classList.remove("is-dragging");
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
  document.addEventListener("htmx:load", ({ detail }) => {
    wake(detail.elt);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  });
  wake(document);
})();
