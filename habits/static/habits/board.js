// A tap answers at once and is sent in the background, one change at a time. What cannot be sent is shown as such.
// Without this module the circles are plain buttons of a form.
import { Outbox } from "./outbox.js";

const NEXT = { none: "green", green: "yellow", yellow: "red", red: "none" };

const board = document.getElementById("board");
const cells = [...board.querySelectorAll(".cell")];
const words = board.dataset;
const csrfToken = document.querySelector("#marks [name=csrfmiddlewaretoken]").value;
const alertBox = document.getElementById("alert");
const alertText = document.getElementById("alert-text");
const again = document.getElementById("again");
const anew = document.getElementById("anew");

const keyOf = (cell) => `${cell.dataset.position}-${cell.dataset.day}`;
const lines = (text) => text.replace(/\r\n?/g, "\n");
const names = JSON.stringify([...board.querySelectorAll(".habit")].map((habit) => lines(habit.dataset.name)));
const byKey = new Map(cells.map((cell) => [keyOf(cell), cell]));

let moved = false; // the habits are no longer those of this page, so positions mean other ones

const outbox = new Outbox({ url: words.api, csrfToken, changed: show, saved: follow });

function show() {
  for (const [key, cell] of byKey) {
    const state = outbox.state(key);
    cell.classList.toggle("sending", state === "sending");
    cell.classList.toggle("failed", state === "failed");
    name(cell);
  }
  const { failed, offline, reason } = outbox.summary();
  const isOver = moved || reason !== undefined; // no use in trying again on this page
  const sentence = { login: words.login, moved: words.moved }[moved ? "moved" : reason] ?? words.failed;
  const text = moved || failed ? sentence : offline ? words.waiting : "";
  alertBox.hidden = !text;
  again.hidden = !failed || isOver;
  anew.hidden = !isOver;
  if (alertText.textContent !== text) alertText.textContent = text;
}

function name(cell) {
  const suffix = outbox.state(keyOf(cell)) === "failed" ? `, ${words.notSaved}` : "";
  const label = `${cell.dataset.place}: ${words[cell.dataset.status]}${suffix}`;
  if (cell.getAttribute("aria-label") !== label) cell.setAttribute("aria-label", label);
}

function paint(cell, status) {
  if (cell.dataset.status === status) return;
  cell.dataset.status = status;
  cell.value = `${keyOf(cell)}-${NEXT[status]}`;
  cell.querySelector(".circle").className = `circle mark-${status}`;
  name(cell);
}

function count() {
  const score = cells.filter((cell) => cell.dataset.status === "green").length;
  const text = words.score.replace("{score}", score).replace("{max}", cells.length);
  document.getElementById("ring").setAttribute("stroke-dasharray", `${score} ${cells.length || 1}`);
  const place = document.getElementById("score-text");
  if (place.textContent !== text) place.textContent = text;
}

// What the other parent marked meanwhile comes along with the answer. Cells with a tap of our own stay as tapped.
function follow(answer) {
  if (!Array.isArray(answer?.habits)) return;
  moved = JSON.stringify(answer.habits.map((habit) => lines(habit.name))) !== names;
  if (moved) return show();
  for (const habit of answer.habits) {
    habit.times.forEach((status, day) => {
      const cell = byKey.get(`${habit.position}-${day}`);
      if (cell && !outbox.state(keyOf(cell))) paint(cell, status);
    });
  }
  count();
}

board.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  event.preventDefault();
  if (moved) return;
  const status = NEXT[cell.dataset.status];
  paint(cell, status);
  count();
  outbox.put(keyOf(cell), { position: Number(cell.dataset.position), day: Number(cell.dataset.day), status });
});

again.addEventListener("click", () => outbox.tryAgain());

anew.addEventListener("click", () => {
  outbox.forget();
  location.reload();
});

// Another form of the page waits for the taps before it, so that it cannot overtake them.
document.addEventListener("submit", async (event) => {
  if (outbox.isEmpty()) return;
  event.preventDefault();
  const { target: form, submitter } = event;
  if (await outbox.drained()) form.requestSubmit(submitter);
});

window.addEventListener("beforeunload", (event) => {
  if (!outbox.isEmpty()) event.preventDefault();
});

window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
