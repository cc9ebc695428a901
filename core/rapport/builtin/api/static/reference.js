// Sends the forms of this page as requests with the pasted token, and shows what comes back. The token stays in memory.
"use strict";

let token = "";

document.querySelector("#sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = document.querySelector("#token").value.trim();
  const whose = document.querySelector("#whose");
  try {
    const answer = await fetch("/api/v1/me", { headers: headers(), credentials: "omit" });
    const body = await answer.json();
    const scopes = body.scopes ? `, limited to ${body.scopes.join(", ")}` : "";
    whose.textContent = answer.ok ? `You are ${body.name}${scopes}.` : body.detail;
  } catch {
    whose.textContent = "Rapport cannot be reached.";
  }
});

document.querySelector("#find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of document.querySelectorAll("section.group[id]:not(#problems)")) {
    let any = false;
    for (const operation of group.querySelectorAll(".operation")) {
      const text = operation.dataset.words.toLowerCase();
      operation.hidden = !words.every((word) => text.includes(word));
      any ||= !operation.hidden;
    }
    group.hidden = !any;
  }
});

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function send(form) {
  const request = { method: form.dataset.method, headers: headers(), credentials: "omit" };
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const input of form.querySelectorAll("[data-in]")) {
    const value = input.value.trim();
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(value));
    else if (input.dataset.in === "body") request.body = input.value;
    else if (!value) continue;
    else if (input.dataset.in === "query") query.set(input.name, value);
    else request.headers[input.name] = value;
  }
  if (form.dataset.media) request.headers["Content-Type"] = form.dataset.media;
  const address = path + (query.size ? `?${query}` : "");
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  const begun = performance.now();
  try {
    const answer = await fetch(address, request);
    const text = await answer.text();
    const head = [`${request.method} ${address}`, ...[...answer.headers].map(([name, value]) => `${name}: ${value}`)];
    show(form, answer.ok, `${answer.status} ${answer.statusText} · ${Math.round(performance.now() - begun)} ms`, head, pretty(text));
    offer(form, answer.headers.get("ETag"));
  } catch (error) {
    show(form, false, "Rapport cannot be reached.", [`${request.method} ${address}`], String(error));
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function show(form, fine, title, head, body) {
  const answer = form.querySelector(".answer");
  answer.className = `answer wide ${fine ? "fine" : "refused"}`;
  answer.querySelector("h3").textContent = title;
  answer.querySelector(".headers").textContent = head.join("\n");
  answer.querySelector(".body").textContent = body || "(no body)";
  answer.hidden = false;
}

// The version just read is the one the next change is based on.
function offer(form, etag) {
  const id = form.querySelector('[name="id"]')?.value;
  if (!etag || !id) return;
  for (const input of form.closest(".group").querySelectorAll('[name="If-Match"]')) {
    input.value = etag;
    input.closest("form").querySelector('[name="id"]').value = id;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
