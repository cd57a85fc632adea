"use strict";

// Commands to copy.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
  });
}

// An image to try: each piece of the page is asked for in turn, so that engines do not slow each other down.
const drop = document.querySelector("#drop");

async function fetchPiece(place, file, signal) {
  place.innerHTML = '<p class="note">Under way … The first image takes longer, as engines are opened for it.</p>';
  place.setAttribute("aria-busy", "true");
  const address = `${place.dataset.piece}&name=${encodeURIComponent(file.name)}`;
  const answer = await fetch(address, { method: "POST", body: file, headers: { "X-Piece": "1" }, signal });
  place.innerHTML = await answer.text();
  place.removeAttribute("aria-busy");
}

function compareFirst(places) {
  const firsts = places.map((place) => place.querySelector("[data-first]")?.dataset.first);
  const names = places.map((place) => place.dataset.engine);
  const given = firsts.filter(Boolean);
  if (!given.length) return "No engine gave a class.";
  const missing = names.filter((_, index) => !firsts[index]);
  const others = names.filter((_, index) => firsts[index] && firsts[index] !== given[0]);
  const same = given.length > 1 ? "All give" : "It gives";
  const found = others.length
    ? `${names[firsts.indexOf(given[0])]} gives class ${given[0]} first; another class comes first from ${others.join(", ")}.`
    : `${same} class ${given[0]} first.`;
  return missing.length ? `${found} Nothing from ${missing.join(", ")}.` : found;
}

let running = new AbortController();
async function tryImage(file) {
  running.abort();
  const { signal } = (running = new AbortController());
  const places = [...document.querySelectorAll("[data-piece]")];
  const summary = document.querySelector("#summary");
  document.querySelector("#tried").hidden = false;
  for (const place of places) place.replaceChildren();
  if (file.size > drop.dataset.mostMib * 2 ** 20) {
    // The server refuses it too, but its answer would be lost while the file is being sent.
    summary.textContent = `${file.name} is larger than ${drop.dataset.mostMib} MiB, the most that is taken here.`;
    return;
  }
  summary.textContent = `Trying ${file.name} …`;
  const engines = places.filter((place) => place.dataset.engine);
  try {
    const steps = places.filter((place) => !place.dataset.engine).map((place) => fetchPiece(place, file, signal));
    for (const place of engines) await fetchPiece(place, file, signal);
    await Promise.all(steps);
    summary.textContent = `${file.name}: ${compareFirst(engines)}`;
  } catch (error) {
    if (!signal.aborted) summary.textContent = `${file.name} could not be sent: ${error.message}`;
  }
}

if (drop) {
  const field = document.querySelector("#file");
  field.addEventListener("change", () => { if (field.files.length) tryImage(field.files[0]); });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) tryImage(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) tryImage(event.clipboardData.files[0]);
  });
}

// Work that is followed: the server sends the piece anew whenever it has changed.
const followed = document.querySelector("[data-events]");
if (followed) {
  const events = new EventSource(followed.dataset.events);
  events.addEventListener("message", (event) => { followed.innerHTML = event.data; });
  events.addEventListener("over", () => events.close());
}
