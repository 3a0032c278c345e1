// Renews the page every second: it asks for the page again and changes what
// differs, so that what is open stays open, and the focus and the selection
// stay where they are. Without it the page is whole, and as of its loading.
"use strict";

const every = 1000; // ms after an answer
const slowest = 5000; // ms after a failure, after some
const patience = 8000; // ms for an answer
const live = document.getElementById("live");
let lastAnswer = Date.now();
let failures = 0;
let next = 0; // the timer of the next question
let asking = false;

// say changes what a screen reader reads out, so only when it says another thing.
function say(state, text) {
  if (live.className !== state) live.className = state;
  if (live.textContent !== text) live.textContent = text;
}

// kept are what the reader has done to an element, which the server knows nothing of.
const kept = (node, name) => name === "open" && node.localName === "details";

// renew makes a node like another of the same name.
function renew(old, now) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [mine, theirs] = [[...old.childNodes], [...now.childNodes]];
  theirs.forEach((node, i) => {
    const was = mine[i];
    if (!was) old.append(node);
    else if (was.nodeName !== node.nodeName || (was.id || "") !== (node.id || "")) was.replaceWith(node);
    else renew(was, node);
  });
  mine.slice(theirs.length).forEach((node) => node.remove());
}

async function ask() {
  const url = location.search || "?";
  const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(patience) });
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = page.getElementById("main");
  if (!main) throw new Error("that is another page");
  renew(document.getElementById("main"), main);
  renew(document.querySelector(".facts"), page.querySelector(".facts"));
}

async function tick() {
  if (document.hidden || asking) return; // seen again, it goes on
  asking = true;
  clearTimeout(next);
  try {
    await ask();
    lastAnswer = Date.now();
    failures = 0;
    say("on", "live");
  } catch {
    failures++;
    const since = new Date(lastAnswer).toLocaleTimeString();
    say("off", `No answer since ${since}; what you see is from then. Trying again.`);
  }
  asking = false;
  next = setTimeout(tick, Math.min(every * (failures + 1), slowest));
}

document.addEventListener("visibilitychange", tick);
tick();
