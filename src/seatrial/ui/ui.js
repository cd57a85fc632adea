"use strict";

// Commands to copy; those in pieces that come later, too.
function offerCopies(place) {
  for (const button of place.querySelectorAll(".copy")) button.hidden = !navigator.clipboard;
}
offerCopies(document);
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = "Copied";
});

// An image to try: each piece of the page is asked for in turn, so that engines do not slow each other down.
const drop = document.querySelector("#drop");

async function fetchPiece(place, file, data, signal) {
  place.innerHTML = '<p class="note">Under way … The first image takes longer, as engines are opened for it. They run one at a time, and wait for those that another page uses.</p>';
  place.setAttribute("aria-busy", "true");
  const address = `${place.dataset.piece}&name=${encodeURIComponent(file.name)}`;
  const answer = await fetch(address, { method: "POST", body: data, headers: { "X-Piece": "1" }, signal });
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

// A line about the image, with the stripe that goes with it: plain, good, bad, or none of these where engines differ.
function say(text, kind) {
  const summary = document.querySelector("#summary");
  summary.textContent = text;
  summary.className = `banner ${kind}`;
  document.querySelector("#results").hidden = kind === "bad";
}

function clear(places) {
  for (const place of places) {
    place.replaceChildren();
    place.removeAttribute("aria-busy");
  }
}

let running = new AbortController();
async function tryImage(file) {
  running.abort();
  const { signal } = (running = new AbortController());
  const places = [...document.querySelectorAll("[data-piece]")];
  document.querySelector("#tried").hidden = false;
  clear(places);
  if (file.size > drop.dataset.mostMib * 2 ** 20) {
    // The server refuses it too, but its answer would be lost while the file is being sent.
    return say(`${file.name} is larger than ${drop.dataset.mostMib} MiB, the most that is taken here.`, "bad");
  }
  say(`Trying ${file.name} …`, "plain");
  let data;
  try {
    data = await file.arrayBuffer();
  } catch (error) {
    if (!signal.aborted) say(`${file.name} cannot be read (${error.message}): choose another file.`, "bad");
    return;
  }
  if (!signal.aborted) await sendImage(file, data, signal, places);
}

async function sendImage(file, data, signal, places) {
  const engines = places.filter((place) => place.dataset.engine);
  try {
    for (const place of places.filter((each) => !each.dataset.engine)) {
      await fetchPiece(place, file, data, signal);
      const refused = place.querySelector("[data-choose]");
      // No engine would take it either: it is said once.
      if (refused) {
        say(refused.textContent, "bad");
        return clear(places);
      }
    }
    for (const place of engines) await fetchPiece(place, file, data, signal);
    const firsts = engines.map((place) => place.querySelector("[data-first]")?.dataset.first);
    const same = firsts[0] && firsts.every((first) => first === firsts[0]);
    say(`${file.name}: ${compareFirst(engines)}`, same ? "good" : "");
  } catch (error) {
    if (signal.aborted) return;
    clear(places.filter((place) => place.ariaBusy));
    say(`${file.name} could not be sent (${error.message}): is seatrial ui still running?`, "bad");
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
let lostSince = null;

function follow() {
  const lost = document.querySelector("#lost");
  const events = new EventSource(followed.dataset.events);
  events.addEventListener("open", () => {
    lostSince = null;
    lost.hidden = true;
  });
  events.addEventListener("message", (event) => {
    followed.innerHTML = event.data;
    offerCopies(followed);
  });
  events.addEventListener("over", () => events.close());
  events.addEventListener("error", () => {
    lostSince ??= new Date().toLocaleTimeString("en-GB");
    lost.textContent = `Connection lost since ${lostSince}, trying again: what is shown below is of then. ` +
      "If seatrial ui was started anew, open the address that it printed.";
    lost.hidden = false;
    // Some browsers give up where nobody listens.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}
if (followed) follow();
