// Asking the server, and saving: one change after another, each until the server has it on its disk.

async function answer(response) {
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(content.error?.message ?? `status ${response.status}`), { status: response.status });
  return content;
}

export async function get(path, given = {}) {
  const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false));
  return answer(await fetch(`api/${path}${query.size ? `?${query}` : ""}`, { credentials: "same-origin" }));
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function identifier() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Changes wait here, and in the browser's storage, until they are saved; the same request is never done twice. */
export class Saver {
  constructor(user, tell) {
    this.key = `omnisila-unsaved:${location.pathname}:${user}`;
    this.tell = tell;
    this.waiting = JSON.parse(localStorage.getItem(this.key) ?? "[]").map((entry) => ({ ...entry, done: () => {}, failed: () => {} }));
    this.busy = false;
    addEventListener("beforeunload", (event) => { if (this.waiting.length) event.preventDefault(); });
  }

  /** A promise of what the server says once the change is saved; it fails where the server refuses the change. */
  save(path, body) {
    return new Promise((done, failed) => {
      this.waiting.push({ path, body: { request: identifier(), ...body }, done, failed });
      this.keep();
      this.work();
    });
  }

  keep() {
    if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting.map(({ path, body }) => ({ path, body }))));
    else localStorage.removeItem(this.key);
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    for (let waitMs = 500; this.waiting.length;) {
      const entry = this.waiting[0];
      this.tell("saving", this.waiting.length);
      try {
        const said = await answer(await fetch(`api/${entry.path}`, {
          method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(entry.body),
        }));
        entry.done(said);
        this.tell("saved", 0);
      } catch (error) {
        const again = error.status === undefined || error.status >= 500;  // the server or its disk; not what was asked
        if (again) {
          this.tell("unsaved", this.waiting.length, error.status ? error.message : "the server does not answer");
          await pause(waitMs);
          waitMs = Math.min(waitMs * 2, 10000);
          continue;
        }
        entry.failed(error);
        this.tell("refused", 0, error.message);
      }
      waitMs = 500;
      this.waiting.shift();
      this.keep();
    }
    this.busy = false;
  }
}
