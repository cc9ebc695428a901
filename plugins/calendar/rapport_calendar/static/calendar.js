// The calendar with a mouse or the keyboard: draw a new appointment, drag one to another time, or move it with the arrows.
// Everything here also goes by links and forms; htmx sends what is set in the hidden forms of the page.
(() => {
  "use strict";
  const STEP = 15;
  const $ = (selector, root = document) => root.querySelector(selector);
  const page = () => $("[data-calendar-page]");
  const pad = (number) => String(number).padStart(2, "0");
  const wide = () => window.matchMedia("(pointer: fine) and (min-width: 48rem)").matches;
  let drag = null;

  const text = (date) => `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}T${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
  // What a clock shows is counted with as if it were UTC, so that no zone of this device comes between.
  const clock = (local) => new Date(`${local}:00Z`);
  const later = (local, minutes) => text(new Date(clock(local).getTime() + minutes * 60000));

  function ask(form, values) {
    const here = $(form);
    if (!here) return;
    for (const [name, value] of Object.entries(values)) here.elements[name].value = value;
    here.dispatchEvent(new Event("calendar-ask"));
  }
  function drop(block, start, minutes) {
    const { id, at, version, repeats } = block.dataset;
    ask(repeats === undefined ? "#calendar-drop" : "#calendar-drop-series", { id, at, version, start, minutes });
  }
  const length = (block) => (Number(block.dataset.end) - Number(block.dataset.top)) * STEP;

  // Where on a day the pointer is, in minutes of that day
  function minutesAt(day, y) {
    const grid = day.closest("[data-grid]"), { top, height } = day.getBoundingClientRect();
    const hours = Math.round(height / (4 * parseFloat(getComputedStyle(day).gridAutoRows)));
    const from = Number(grid.dataset.firstHour) * 60, at = from + ((y - top) / height) * hours * 60;
    return Math.max(from, Math.min(from + hours * 60, at));
  }
  const dayAt = (x, y) => document.elementsFromPoint(x, y).find((each) => each.matches(".c-day"));
  const startOf = (day, minutes) => later(`${day.dataset.day}T00:00`, minutes);
  const rounded = (minutes) => Math.round(minutes / STEP) * STEP;

  function show(day, from, to) {
    const first = Number(day.closest("[data-grid]").dataset.firstHour) * 60;
    drag.wish ??= document.createElement("div");
    drag.wish.className = `c-wish c-top-${(from - first) / STEP} c-end-${Math.max((to - first) / STEP, (from - first) / STEP + 1)}`;
    if (drag.wish.parentNode !== day) day.append(drag.wish);
  }
  function end() {
    drag?.wish?.remove();
    drag?.block?.classList.remove("is-dragged");
    drag = null;
  }

  document.addEventListener("pointerdown", (event) => {
    const day = event.target.closest?.(".c-day");
    if (!day || event.button !== 0 || !wide() || !page()?.querySelector("#calendar-new")) return;
    const block = event.target.closest(".c-block");
    if (block && block.dataset.block === undefined) return;
    const at = minutesAt(day, event.clientY);
    if (!block) {
      const from = Math.floor(at / (2 * STEP)) * 2 * STEP;
      drag = { kind: "new", day, from, to: from + 60, x: event.clientX, y: event.clientY };
      event.preventDefault();
      return;
    }
    const low = block.getBoundingClientRect().bottom - event.clientY < 7;
    const from = minutesAt(day, block.getBoundingClientRect().top);
    drag = { kind: low ? "length" : "move", block, day, from: rounded(from), to: rounded(from) + length(block), grip: at - from, x: event.clientX, y: event.clientY };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 6) return;
    drag.moved = true;
    event.preventDefault();
    const day = (drag.kind === "move" && dayAt(event.clientX, event.clientY)) || drag.day;
    const at = minutesAt(day, event.clientY);
    if (drag.kind === "move") {
      const span = length(drag.block);
      drag.from = rounded(at - drag.grip);
      drag.to = drag.from + span;
      drag.day = day;
    } else drag.to = Math.max(drag.from + STEP, rounded(at));
    drag.block?.classList.add("is-dragged");
    show(day, drag.from, drag.to);
  });
  document.addEventListener("pointerup", () => {
    if (!drag) return;
    const { kind, block, day, from, to, moved } = drag;
    if (moved && block) window.addEventListener("click", (click) => { click.preventDefault(); click.stopPropagation(); }, { capture: true, once: true });
    if (kind === "new") ask("#calendar-new", { start: startOf(day, from), minutes: to - from });
    else if (moved && kind === "move" && startOf(day, from) !== block.dataset.start) drop(block, startOf(day, from), "");
    else if (moved && kind === "length") drop(block, block.dataset.start, to - from);
    end();
  });
  document.addEventListener("pointercancel", end);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drag) return end();
    const block = event.target.closest?.("[data-block]");
    if (!block || !event.altKey || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const aside = document.documentElement.dir === "rtl" ? -1 : 1;
    const by = { ArrowUp: -STEP, ArrowDown: STEP, ArrowLeft: -1440 * aside, ArrowRight: 1440 * aside }[event.key];
    if (event.shiftKey && Math.abs(by) === STEP) drop(block, block.dataset.start, Math.max(STEP, length(block) + by));
    else drop(block, later(block.dataset.start, by), "");
    page().dataset.focus = block.dataset.id;
  });

  const changed = () => document.body.dispatchEvent(new Event("calendar-changed"));
  document.addEventListener("htmx:responseError", ({ target }) => { if (target.matches?.("#calendar-drop")) changed(); });
  document.addEventListener("htmx:beforeSwap", ({ target }) => { if (target.id === "calendar") window.calendarFocus = target.dataset.focus; });
  document.addEventListener("htmx:afterSettle", () => {
    awaken();
    const id = window.calendarFocus;
    window.calendarFocus = undefined;
    if (id) $(`[data-block][data-id="${CSS.escape(id)}"]`)?.focus();
  });

  function awaken() {
    const here = page();
    if (!here) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone, hint = $("[data-zone-hint]", here);
    const shown = (name) => new Intl.DateTimeFormat("en", { timeZone: name, dateStyle: "short", timeStyle: "short" }).format(new Date());
    if (hint && zone && shown(zone) !== shown(here.dataset.zone)) hint.hidden = false;
    if (wide() && $("#calendar-new", here)) here.dataset.draggable = "";
  }
  awaken();
  // The line of the present goes on, and what colleagues planned shows up.
  window.setInterval(() => { if (!drag && !document.hidden && !$("dialog[open]")) changed(); }, 300000);
})();
