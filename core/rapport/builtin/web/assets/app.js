// What a page does beyond links and forms: menus, search, boards, pickers, toasts and questions. No page needs its own script.
import htmx from "htmx.org";
import Sortable from "sortablejs";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const on = (name, listen, capture = false) => document.addEventListener(name, listen, capture);
const word = (name, facts = {}) =>
  (JSON.parse(document.body.dataset.words || "{}")[name] || name).replace(/%\((\w+)\)s/g, (_, key) => facts[key] ?? "");

// htmx: nothing is evaluated, nothing is loaded from elsewhere, no page is kept in the browser's storage.
Object.assign(htmx.config, {
  allowEval: false, allowScriptTags: false, includeIndicatorStyles: false, selfRequestsOnly: true, historyCacheSize: 0,
  responseHandling: [
    { code: "204", swap: false },
    { code: "[23]..", swap: true },
    { code: "422", swap: true }, // a form that comes back with its errors
    { code: "[45]..", swap: false, error: true },
  ],
});
window.htmx = htmx;

on("htmx:configRequest", ({ detail }) => { detail.headers["X-CSRFToken"] = $("meta[name=csrf-token]")?.content ?? ""; });

// Messages -----------------------------------------------------------------------------------------------------------

const announce = (text) => { const place = $("#announce"); if (place) place.textContent = text; };

function toast({ message, tone = "success", action, url }) {
  const shape = $("#toast-template")?.content.firstElementChild;
  if (!shape || !message) return;
  const box = shape.cloneNode(true);
  box.classList.add(`tone-${tone}`);
  box.setAttribute("role", tone === "danger" ? "alert" : "status");
  $("[data-message]", box).textContent = message;
  const button = $("[data-action]", box);
  if (action && url) {
    button.hidden = false;
    button.textContent = action;
    button.onclick = () => { box.remove(); htmx.ajax("POST", url, { source: document.body, swap: "none" }); };
  } else button.remove();
  $("#toasts").append(box);
  const leave = () => box.remove();
  let timer = setTimeout(leave, tone === "danger" ? 12000 : 6000);
  box.onmouseenter = box.onfocusin = () => clearTimeout(timer);
  box.onmouseleave = () => { timer = setTimeout(leave, 3000); };
}

// The server says it with a header: HX-Trigger: {"toast": {"message": "Saved.", "tone": "success"}}
on("toast", ({ detail }) => toast(detail.message ? detail : { message: detail.value }));
on("htmx:responseError", ({ detail: { xhr } }) => {
  if (xhr.status === 401) return location.reload();
  let problem = {};
  try { problem = JSON.parse(xhr.responseText); } catch { /* not a problem document: say it in general */ }
  return toast({ message: problem.detail || problem.title || word("failed"), tone: "danger" });
});
on("htmx:sendError", () => toast({ message: word("offline"), tone: "danger" }));
on("click", ({ target }) => target.closest("[data-dismiss]")?.closest(".r-toast, .alert")?.remove());

// Dialogs and questions ----------------------------------------------------------------------------------------------

function ask(question, { label, tone } = {}) {
  const box = $("#confirm");
  $("[data-question]", box).textContent = question;
  const yes = $("[value=yes]", box);
  yes.textContent = label || word("ok");
  yes.classList.toggle("btn-danger", tone === "danger");
  yes.classList.toggle("btn-primary", tone !== "danger");
  box.returnValue = "";
  box.showModal();
  return new Promise((resolve) => box.addEventListener("close", () => resolve(box.returnValue === "yes"), { once: true }));
}
const wishes = (element) => ({ label: element?.dataset.confirmLabel, tone: element?.dataset.confirmTone });

on("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  ask(event.detail.question, wishes(event.detail.elt)).then((yes) => yes && event.detail.issueRequest(true));
});

async function closeDialog(dialog) {
  if ($("form[data-dirty]", dialog) && !(await ask(word("leave"), { label: word("discard"), tone: "danger" }))) return;
  dialog.close();
}
on("click", ({ target }) => {
  const dialog = target.closest("dialog");
  if (dialog && (target === dialog || target.closest("[data-close]"))) closeDialog(dialog);
  const opener = target.closest("[data-open]");
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
});
on("cancel", (event) => { if (event.target.id === "modal") { event.preventDefault(); closeDialog(event.target); } }, true);
on("close", ({ target }) => { if (target.id === "modal") $("#modal-body").replaceChildren(); }, true);
on("closeModal", () => $("#modal")?.close());
on("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "modal-body" && detail.target.childElementCount && !$("#modal").open) $("#modal").showModal();
});

// Menus: the browser opens and closes them (popover), we say where, and move with the arrow keys -----------------------

let invoker = null;
function place(popover, by) {
  const from = by.getBoundingClientRect(), size = popover.getBoundingClientRect();
  const below = from.bottom + 4 + size.height <= innerHeight || from.top < size.height + 8;
  const start = (document.dir === "rtl") !== (popover.dataset.align === "end") ? from.right - size.width : from.left;
  popover.style.top = `${below ? from.bottom + 4 : from.top - size.height - 4}px`;
  popover.style.left = `${Math.max(8, Math.min(start, document.documentElement.clientWidth - size.width - 8))}px`;
}
const items = (menu) => $$("[role^=menuitem]:not(:disabled)", menu).filter((item) => item.offsetParent);
on("click", ({ target }) => { invoker = target.closest("[popovertarget]") ?? invoker; }, true);
on("toggle", ({ target, newState }) => {
  if (!target.matches?.(".dropdown-menu") || newState !== "open" || !invoker) return;
  place(target, invoker);
  items(target)[0]?.focus({ preventScroll: true });
}, true);
on("scroll", ({ target }) => {
  const menu = $(".dropdown-menu:popover-open");
  if (menu && target.contains?.(invoker) && !menu.contains(target)) place(menu, invoker);
}, true);
on("keydown", (event) => {
  const menu = event.target.closest?.("[role=menu]");
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (!menu || !(event.key in steps)) return;
  event.preventDefault();
  const all = items(menu), step = steps[event.key], now = all.indexOf(event.target);
  all.at(step === -Infinity ? 0 : step === Infinity ? -1 : (now + step) % all.length)?.focus();
});
on("click", ({ target }) => { target.closest("[role^=menuitem]")?.closest("[popover]")?.hidePopover(); });
// A button with data-key="1" is pressed by that key, unless somebody is typing.
on("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("dialog[open]")) return;
  const meant = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key.toLowerCase());
  if (meant) { event.preventDefault(); meant.click(); }
});

// Forms: sent once, warned about, and never lost -----------------------------------------------------------------------

const accepted = ({ xhr }) => xhr.status >= 200 && xhr.status < 400; // htmx calls a swapped 422 successful too
const busy = (element, yes) => element?.setAttribute("aria-busy", yes);
on("click", (event) => {
  if (event.target.closest?.("[aria-busy=true], [aria-disabled=true]")?.matches("button, a")) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);
on("submit", (event) => {
  const form = event.target, by = event.submitter;
  if (form.getAttribute("aria-busy") === "true") { event.preventDefault(); event.stopImmediatePropagation(); return; }
  const question = by?.dataset.confirm || form.dataset.confirm;
  if (question && !form.dataset.confirmed) {
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(question, wishes(by?.dataset.confirm ? by : form)).then((yes) => {
      if (!yes) return;
      form.dataset.confirmed = "yes";
      form.requestSubmit(by);
      delete form.dataset.confirmed;
    });
    return;
  }
  if (form.getAttribute("method") === "dialog") return;
  delete form.dataset.dirty;
  if (form.matches("[hx-get],[hx-post],[hx-put],[hx-patch],[hx-delete]")) return;
  busy(form, true);
  busy(by, true);
}, true);
on("htmx:beforeRequest", ({ target, detail }) => {
  const form = target.closest("form");
  busy(target, true);
  if (target === form) busy(detail.requestConfig.triggeringEvent?.submitter, true);
});
on("htmx:afterRequest", ({ target, detail }) => {
  busy(target, false);
  busy(detail.requestConfig?.triggeringEvent?.submitter, false);
  if (!accepted(detail) && target.matches?.("form[data-guard]")) target.dataset.dirty = "yes";
});
window.addEventListener("pageshow", () => $$("[aria-busy=true]").forEach((element) => busy(element, false)));
on("input", ({ target }) => { const form = target.closest("form[data-guard]"); if (form) form.dataset.dirty = "yes"; });
window.addEventListener("beforeunload", (event) => { if ($("form[data-dirty]")) event.preventDefault(); });

// Choosing from suggestions: the search box and every reference field (ARIA 1.2 combobox) ------------------------------

function options(input) { return $$("[role=option]", document.getElementById(input.getAttribute("aria-controls"))); }
function highlight(input, option) {
  options(input).forEach((each) => each.setAttribute("aria-selected", each === option));
  input.setAttribute("aria-activedescendant", option?.id ?? "");
  option?.scrollIntoView({ block: "nearest" });
}
function fold(input, open) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  input.setAttribute("aria-expanded", open);
  if (!open) highlight(input, null);
  if (!list.popover) return;
  list.togglePopover(open);
  if (open) { list.style.width = `${input.offsetWidth}px`; place(list, input); }
}
on("keydown", (event) => {
  const input = event.target;
  if (!input.matches?.("[role=combobox]") || event.isComposing) return;
  const all = options(input), now = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (input.getAttribute("aria-expanded") !== "true" && input.dataset.suggest) return void suggest(input);
    if (all.length) highlight(input, all.at(event.key === "ArrowDown" ? (now + 1) % all.length : Math.max(now, 0) - 1));
  } else if (event.key === "Enter" && input.getAttribute("aria-expanded") === "true" && all.length) {
    event.preventDefault();
    all[Math.max(now, 0)].click();
  } else if (event.key === "Escape" && input.dataset.suggest && input.getAttribute("aria-expanded") === "true") {
    event.preventDefault();
    fold(input, false);
  }
});
on("htmx:afterSwap", ({ detail: { target } }) => {
  if (target.getAttribute("role") !== "listbox") return;
  const input = $(`[aria-controls="${target.id}"]`);
  $$("[role=option]", target).forEach((option, at) => { option.id ||= `${target.id}-${at}`; option.tabIndex = -1; });
  fold(input, target.childElementCount > 0);
  if (!input.dataset.suggest) highlight(input, options(input)[0]);
  announce(options(input).length ? "" : target.textContent.trim());
});

let waiting;
function suggest(input) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  return htmx.ajax("GET", input.dataset.suggest, { source: input, target: list, swap: "innerHTML", values: { q: input.value } });
}
const hidden = (input) => $("input[type=hidden]", input.closest("[data-picker]"));
on("input", ({ target }) => {
  if (!target.dataset.suggest) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => suggest(target), 180);
});
on("mousedown", (event) => { if (event.target.closest("[data-picker] [role=listbox]")) event.preventDefault(); });
on("click", ({ target }) => {
  const picker = target.closest("[data-picker]"), option = target.closest("[role=option]");
  const input = picker && $("[role=combobox]", picker);
  if (input && option) choose(input, option.dataset.value, option.dataset.label || option.textContent.trim());
  else if (input && target.closest("[data-clear]")) { choose(input, "", ""); input.focus(); }
});
function choose(input, value, label) {
  hidden(input).value = value;
  input.value = input.dataset.chosen = label;
  fold(input, false);
  hidden(input).dispatchEvent(new Event("change", { bubbles: true }));
  hidden(input).dispatchEvent(new Event("input", { bubbles: true }));
}
on("focusout", ({ target }) => {
  if (!target.dataset?.suggest || target.value === (target.dataset.chosen ?? "")) return;
  if (target.value.trim() === "") choose(target, "", "");
  else { target.value = target.dataset.chosen ?? ""; fold(target, false); } // typed, but never chosen
});

// Search: Ctrl+K, Cmd+K or a slash --------------------------------------------------------------------------------------

on("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  const wanted = (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing);
  if (!wanted || !$("#search") || $("dialog[open]")) return;
  event.preventDefault();
  $("#search").showModal();
  $("#search-input").select();
});

// Tags: type, Enter or a comma, Backspace takes the last one back -------------------------------------------------------

function drawTags(box) {
  const store = $("input[type=hidden]", box), shape = $("template", box).content.firstElementChild;
  $$(".r-tag", box).forEach((tag) => tag.remove());
  for (const text of store.value.split(",").map((each) => each.trim()).filter(Boolean)) {
    const tag = shape.cloneNode(true);
    $("[data-text]", tag).textContent = text;
    $("button", tag).setAttribute("aria-label", word("remove", { name: text }));
    $("button", tag).onclick = () => { keepTags(box, (all) => all.filter((each) => each !== text)); $("[data-entry]", box).focus(); };
    $("[data-entry]", box).before(tag);
  }
}
function keepTags(box, change) {
  const store = $("input[type=hidden]", box);
  const all = change(store.value.split(",").map((each) => each.trim()).filter(Boolean));
  store.value = [...new Set(all)].join(", ");
  store.dispatchEvent(new Event("input", { bubbles: true }));
  drawTags(box);
}
const enter = (entry) => {
  const text = entry.value;
  entry.value = "";
  if (text.trim()) keepTags(entry.closest("[data-tags]"), (all) => [...all, ...text.split(/[,،،、，]/).map((each) => each.trim()).filter(Boolean)]);
};
on("keydown", (event) => {
  const entry = event.target;
  if (!entry.matches?.("[data-tags] [data-entry]") || event.isComposing) return;
  if (event.key === "Enter" || event.key === ",") { if (entry.value.trim() || event.key === ",") event.preventDefault(); enter(entry); }
  else if (event.key === "Backspace" && !entry.value) keepTags(entry.closest("[data-tags]"), (all) => all.slice(0, -1));
});
on("focusout", ({ target }) => { if (target.matches?.("[data-tags] [data-entry]")) enter(target); });

// Lists: choosing many rows, and changing one value in place ------------------------------------------------------------

function count(list) {
  const boxes = $$("input[data-row]", list), chosen = boxes.filter((box) => box.checked).length;
  const all = $("input[data-select-all]", list), bar = $("[data-bulk-bar]", list);
  boxes.forEach((box) => box.closest("tr").classList.toggle("is-selected", box.checked));
  if (all) { all.checked = chosen > 0 && chosen === boxes.length; all.indeterminate = chosen > 0 && chosen < boxes.length; }
  if (bar) { bar.hidden = chosen === 0; $("[data-count]", bar).textContent = word("selected", { count: chosen.toLocaleString(document.documentElement.lang) }); }
}
let lastRow = null;
on("click", ({ target, shiftKey }) => {
  const list = target.closest("[data-bulk]");
  if (!list) return;
  const boxes = $$("input[data-row]", list);
  if (target.matches("input[data-select-all]")) boxes.forEach((box) => { box.checked = target.checked; });
  else if (target.closest("[data-select-none]")) boxes.forEach((box) => { box.checked = false; });
  else if (target.matches("input[data-row]")) {
    const [from, to] = [boxes.indexOf(lastRow), boxes.indexOf(target)].sort((a, b) => a - b);
    if (shiftKey && from >= 0) boxes.slice(from, to + 1).forEach((box) => { box.checked = target.checked; });
    lastRow = target;
  } else return;
  count(list);
});

const before = new WeakMap();
on("htmx:beforeSwap", ({ detail: { target } }) => {
  if (target.matches?.("[data-inline]") && !$("form", target)) before.set(target, target.innerHTML);
});
on("htmx:afterSettle", ({ detail: { target } }) => {
  if (target.matches?.("[data-inline]")) $("form input:not([type=hidden]), form select, form textarea, button", target)?.focus();
});
on("keydown", (event) => {
  const cell = event.key === "Escape" && event.target.closest?.("[data-inline]");
  if (!cell || !before.has(cell) || event.defaultPrevented) return;
  event.stopPropagation();
  cell.innerHTML = before.get(cell); // what the server had rendered there a moment ago
  htmx.process(cell);
  $("button, a", cell)?.focus();
});

// Boards: drag a card, or take "Move to" from its menu -------------------------------------------------------------------

function settle(board) {
  $$("[data-stage]", board).forEach((list) => {
    const size = $("[data-size]", list.closest(".r-column"));
    if (size) size.textContent = (Number(list.dataset.more || 0) + list.children.length).toLocaleString(document.documentElement.lang);
  });
}
function move(card, list, next, from, after) {
  list.insertBefore(card, next);
  settle(card.closest("[data-board]"));
  const finish = ({ target, detail }) => {
    if (target !== card) return;
    card.removeEventListener("htmx:afterRequest", finish);
    if (accepted(detail)) return announce(word("moved", { stage: list.dataset.title }));
    from.insertBefore(card, after?.parentNode === from ? after : null);
    return settle(card.closest("[data-board]"));
  };
  card.addEventListener("htmx:afterRequest", finish);
  const values = { stage: list.dataset.stage, before: next?.dataset.id ?? "", version: card.dataset.version ?? "" };
  htmx.ajax("POST", card.dataset.url, { source: card, swap: "none", values });
}
on("click", ({ target }) => {
  const item = target.closest("[data-move]"), card = item && invoker?.closest(".r-card");
  if (!card) return;
  const from = card.parentNode, after = card.nextElementSibling;
  const list = item.dataset.move === "stage" ? $(`[data-stage="${CSS.escape(item.dataset.to)}"]`, card.closest("[data-board]")) : from;
  const next = { up: card.previousElementSibling, down: after?.nextElementSibling ?? null, stage: list.firstElementChild }[item.dataset.move];
  const idle = { up: !card.previousElementSibling, down: !after, stage: list === from }[item.dataset.move];
  if (!idle) move(card, list, next, from, after);
  $("[popovertarget]", card)?.focus();
});

// Layouts: drag a field or press its arrows; what stands where in the form is what is sent ---------------------------------

const parts = (element) => $$("[data-order]", element.closest("[data-arrange]"));
const title = (list) => $("[name=title]", list.closest("section"))?.value || list.getAttribute("aria-label");
function arranged(element, focus) {
  element.closest("form").dataset.dirty = "yes";
  (focus?.offsetParent ? focus : $("button", element))?.focus();
}
function put(item, list, next, focus) {
  if (!list || (list.hasAttribute("data-out") && item.hasAttribute("data-stay"))) return;
  list.insertBefore(item, next);
  arranged(item, focus);
  announce(word("moved", { stage: title(list) }));
}
on("click", ({ target }) => {
  const button = target.closest("[data-arrange] button");
  if (!button) return;
  const item = button.closest("[data-item]"), part = button.closest("[data-part]"), { shift, put: where, shiftPart } = button.dataset;
  if (shift) {
    const list = item.parentNode, all = parts(item), step = Number(shift);
    const beside = step < 0 ? item.previousElementSibling : item.nextElementSibling;
    const other = all[all.indexOf(list) + step];
    if (beside) put(item, list, step < 0 ? beside : beside.nextElementSibling, button);
    else put(item, other, step < 0 ? null : other?.firstElementChild, button);
  } else if (where) {
    const all = parts(item);
    put(item, where === "out" ? all.at(-1) : all.at(-2), null);
  } else if (shiftPart) {
    const beside = shiftPart < 0 ? part.previousElementSibling : part.nextElementSibling;
    if (beside) { beside[shiftPart < 0 ? "before" : "after"](part); arranged(part, button); }
  } else if ("dropPart" in button.dataset) {
    const beside = part.previousElementSibling ?? part.nextElementSibling;
    if (!beside) return;
    $("[data-order]", beside).append(...$("[data-order]", part).children);
    part.remove();
    arranged(beside, $("[name=title]", beside));
  } else if ("addPart" in button.dataset) {
    const form = button.closest("form"), made = $("[data-new-part]", form).content.firstElementChild.cloneNode(true);
    $("[data-parts]", form).append(made);
    awaken(made);
    arranged(made, $("[name=title]", made));
  }
});

// What new content needs ------------------------------------------------------------------------------------------------

const calendars = { fa: "fa-IR-u-ca-persian", he: "he-IL-u-ca-hebrew" };
function localDate(input) {
  const hint = document.getElementById(`${input.id}-calendar`), day = new Date(`${input.value.slice(0, 10)}T12:00`);
  if (hint) hint.textContent = Number.isNaN(day.valueOf()) ? "" : new Intl.DateTimeFormat(calendars[document.documentElement.lang.slice(0, 2)], { dateStyle: "long" }).format(day);
}
on("input", ({ target }) => { if (target.matches("[data-calendar]")) localDate(target); });

// The script of charts is as large as all others together: it comes when the first chart does.
function drawCharts(root) {
  const wanted = root.matches?.("[data-chart]") || $("[data-chart]", root), address = document.body.dataset.charts;
  if (!wanted || !address || $("script[data-draws]")) return;
  const script = Object.assign(document.createElement("script"), { src: address });
  script.dataset.draws = "";
  document.head.append(script);
}

// Lists of a plugin's page: what is dragged within or between those of one name says "dropped" where it ends. It is the same
// for mouse, pen and finger: a browser's own dragging knows no fingers.
function draggable(list) {
  if (Sortable.get(list)) return;
  Sortable.create(list, {
    group: list.dataset.drag, animation: 150, delay: 150, delayOnTouchOnly: true, touchStartThreshold: 5, forceFallback: true,
    fallbackOnBody: true, fallbackTolerance: 4, filter: "button, select, input", preventOnFilter: false, ghostClass: "is-ghost",
    onStart: () => { document.documentElement.dataset.dragging = list.dataset.drag; },
    onEnd: ({ item, from, to, oldIndex, newIndex }) => {
      delete document.documentElement.dataset.dragging;
      if (from !== to || oldIndex !== newIndex) item.dispatchEvent(new CustomEvent("dropped", { bubbles: true }));
    },
  });
  list.addEventListener("change", (event) => { if (event.target === list) event.stopPropagation(); }); // on the way, of Sortable's: no field's
}

function awaken(root) {
  $$("[data-stage]", root).forEach((list) => Sortable.get(list) || Sortable.create(list, {
    group: list.closest("[data-board]").id, animation: 150, delay: 150, delayOnTouchOnly: true, draggable: ".r-card",
    filter: "button", preventOnFilter: false, ghostClass: "is-ghost", dragClass: "is-dragged",
    onStart: ({ item }) => { item.after = item.nextElementSibling; },
    onEnd: ({ item, from, to, oldIndex, newIndex }) => {
      if (from === to && oldIndex === newIndex) return;
      const others = [...from.children].filter((each) => each !== item);
      move(item, to, item.nextElementSibling, from, others[oldIndex] ?? null);
    },
  }));
  $$("[data-order]", root).forEach((list) => Sortable.get(list) || Sortable.create(list, {
    group: { name: "fields", put: (to, _from, item) => !(to.el.hasAttribute("data-out") && item.hasAttribute("data-stay")) },
    animation: 150, delay: 150, delayOnTouchOnly: true, draggable: "[data-item]", filter: "button", preventOnFilter: false,
    ghostClass: "is-ghost", onEnd: ({ item }) => arranged(item),
  }));
  $$("[data-drag]", root).forEach(draggable);
  $$("[data-tags]", root).forEach(drawTags);
  $$("[data-bulk]", root).forEach(count);
  if (root.closest?.("[data-bulk]")) count(root.closest("[data-bulk]"));
  $$("[data-calendar]", root).forEach(localDate);
  $(".r-field [aria-invalid=true]", root)?.focus();
  drawCharts(root);
}
htmx.onLoad(awaken);
htmx.onLoad(() => { document.documentElement.dataset.ready = ""; }); // until then, app.css keeps presses from being lost

on("click", ({ target }) => {
  const theme = target.closest("[data-theme-choice]")?.dataset.themeChoice;
  if (!theme) return;
  document.documentElement.dataset.bsTheme = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
  $$("[data-theme-choice]").forEach((each) => each.setAttribute("aria-checked", each.dataset.themeChoice === theme));
});
