// Changes on their way to the server: one request at a time, the newest change of each place only, each with a key of
// its own that stays the same however often it is sent, so that an answer that got lost does no harm.

const FIRST_DELAY = 500; // milliseconds
const LONGEST_DELAY = 15000;
const TRIES = 5;
const PATIENCE = 10000;
const WORTH_ANOTHER_TRY = new Set([408, 409, 425, 429, 500, 502, 503, 504]);
const REASONS = { 401: "login", 403: "login", 404: "moved", 422: "moved" };

const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Outbox {
  #entries = new Map(); // place -> { mark, key, tries, unanswered, failed, reason, next }; the oldest first
  #current = null;
  #timer = null;
  #wake = null;
  #waiting = [];

  constructor({ url, csrfToken, changed, saved }) {
    Object.assign(this, { url, csrfToken, changed, saved });
    window.addEventListener("online", () => this.#hurry());
    window.addEventListener("offline", () => this.changed());
  }

  // What becomes of the change of this place: undefined (nothing is on its way), "waiting", "sending" or "failed".
  state(place) {
    const entry = this.#entries.get(place);
    if (!entry) return undefined;
    if (entry.failed) return "failed";
    return entry === this.#current ? "sending" : "waiting";
  }

  summary() {
    const failed = [...this.#entries.values()].filter((entry) => entry.failed);
    return { failed: failed.length, reason: failed.find((entry) => entry.reason)?.reason, offline: !this.isEmpty() && !navigator.onLine };
  }

  isEmpty() {
    return this.#entries.size === 0;
  }

  // A newer change of the same place takes the place of the older one. If that one was sent and not answered, it may
  // still arrive, so it is sent until there is an answer, and the newer one after it.
  put(place, mark) {
    const entry = this.#entries.get(place);
    if (entry?.unanswered) {
      Object.assign(entry, { next: mark, failed: false, tries: 0 });
    } else {
      this.#begin(place, mark);
    }
    this.changed();
    this.#run();
  }

  #begin(place, mark) {
    this.#entries.delete(place);
    this.#entries.set(place, { mark, key: newKey(), tries: 0, unanswered: false, failed: false });
  }

  tryAgain() {
    for (const entry of this.#entries.values()) Object.assign(entry, { failed: false, tries: 0 });
    this.changed();
    this.#hurry();
    this.#run();
  }

  // Give up what could not be saved.
  forget() {
    for (const [place, entry] of this.#entries) if (entry.failed) this.#entries.delete(place);
  }

  // Resolves as soon as nothing is on its way any more: true if all was saved, false if something failed.
  drained() {
    if (this.isEmpty()) return Promise.resolve(true);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #run() {
    if (this.#current) return;
    for (;;) {
      const next = [...this.#entries].find(([, entry]) => !entry.failed);
      if (!next) break;
      const [place, entry] = next;
      this.#current = entry;
      this.changed();
      await this.#send(place, entry);
      this.#current = null;
    }
    this.changed();
    for (const resolve of this.#waiting.splice(0)) resolve(this.isEmpty());
  }

  async #send(place, entry) {
    while (this.#entries.get(place) === entry) {
      if (!navigator.onLine) {
        entry.tries = 0;
        await this.#sleep(Infinity);
        continue;
      }
      entry.tries += 1;
      entry.unanswered = true;
      const { answer, status, after } = await this.#request(entry);
      if (status !== 0 && !WORTH_ANOTHER_TRY.has(status)) {
        this.#settle(place, entry, status);
        if (status === 200) this.saved(answer);
        return;
      }
      if (entry.tries >= TRIES && navigator.onLine) {
        entry.failed = true;
        return;
      }
      const backoff = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (entry.tries - 1)) * (0.75 + Math.random() / 2);
      await this.#sleep(Math.min(LONGEST_DELAY, Math.max(backoff, after)));
    }
  }

  // The answer is final. What was tapped since then goes next.
  #settle(place, entry, status) {
    entry.unanswered = false;
    if (entry.next) {
      this.#begin(place, entry.next);
    } else if (status === 200) {
      this.#entries.delete(place);
    } else {
      Object.assign(entry, { failed: true, reason: REASONS[status] });
    }
  }

  // Status 0: there was no answer.
  async #request(entry) {
    try {
      const response = await fetch(this.url, {
        method: "PATCH",
        headers: { "Content-Type": "application/json", "Idempotency-Key": entry.key, "X-CSRFToken": this.csrfToken },
        body: JSON.stringify({ marks: [entry.mark] }),
        signal: AbortSignal.timeout(PATIENCE),
        redirect: "error",
      });
      const after = Number(response.headers.get("Retry-After")) * 1000 || 0;
      const answer = response.status === 200 ? await response.json() : null;
      return { answer, status: response.status, after };
    } catch (error) {
      return { answer: null, status: 0, after: 0 };
    }
  }

  #sleep(duration) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (duration !== Infinity) this.#timer = setTimeout(resolve, duration);
    });
  }

  #hurry() {
    clearTimeout(this.#timer);
    this.#wake?.();
    this.changed();
  }
}
