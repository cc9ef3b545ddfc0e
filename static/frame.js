// The framed form: it opens a new tab, and says so when it cannot. A classic script: see portal.js.

"use strict";

// In a sandbox without allow-forms a form is not even asked (HTML standard, form submission, step 4).
// WebKit asks all the same: there only a press tells.
function mayPost() {
  const form = document.createElement("form");
  let isAsked = false;
  form.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    isAsked = true;
  });
  document.body.append(form);
  form.requestSubmit();
  form.remove();
  return isAsked;
}

// Tell the page around how high the content is: {type: "scenario-portal:height", height: pixels}.
function tellHeight() {
  const height = Math.ceil(find("main").getBoundingClientRect().height);
  parent.postMessage({ type: "scenario-portal:height", height }, "*");
}

class Launcher {
  constructor(form) {
    this.form = form;
    this.box = form.elements.prompt;
    this.token = form.elements.form_token;
    this.longest = Number(this.box.dataset.longest);
    this.button = find("button", form);
    this.status = find("[data-status]", form);
    this.count = find("[data-count]", form);
    this.problem = find("[data-problem]", form);
    this.fallback = find("[data-fallback]");
    this.link = find("[data-carry]");
    this.portal = this.link.href;
    this.sent = null;
  }

  start() {
    this.form.addEventListener("submit", (event) => this.submitted(event));
    this.box.addEventListener("input", () => this.carry());
    addEventListener("pageshow", () => this.carry());
    find("[data-copying]").hidden = false;
    find("[data-copy]").addEventListener("click", () => this.copy());
    if (mayPost()) return;
    this.button.disabled = true;
    this.offerOtherWays("bound");
  }

  // The text travels in the fragment: no server, no log and no referrer sees it.
  carry() {
    const text = clean(this.box.value);
    this.link.href = text ? `${this.portal}#p=${encodeURIComponent(text)}` : this.portal;
    const length = lengthOf(text);
    this.count.textContent = counted(this.count, "used", length);
    this.count.classList.toggle("over", length > this.longest);
    if (!this.whatIsWrong()) this.showProblem("");
  }

  showProblem(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
    this.box.setAttribute("aria-invalid", String(Boolean(text)));
    if (text) this.box.focus();
  }

  whatIsWrong() {
    const over = lengthOf(this.box.value) - this.longest;
    if (over > 0) return counted(this.box, "over", over);
    return clean(this.box.value) ? "" : this.box.dataset.blank;
  }

  submitted(event) {
    if (this.button.disabled || this.isOpening) return event.preventDefault();
    const wrong = this.whatIsWrong();
    this.showProblem(wrong);
    if (wrong) return event.preventDefault();
    if (this.sent !== null && this.sent !== this.box.value) this.token.value = crypto.randomUUID(); // another intention
    this.sent = this.box.value;
    this.say("opening");
    this.setOpening(true); // a second click would open a second tab
    setTimeout(() => this.setOpening(false), 3000);
    this.watch();
  }

  // A button that were really disabled would lose the focus.
  setOpening(isOpening) {
    this.isOpening = isOpening;
    this.button.setAttribute("aria-disabled", String(isOpening));
  }

  say(name) {
    this.status.textContent = this.status.dataset[name];
  }

  offerOtherWays(name) {
    this.say(name);
    this.fallback.classList.add("needed");
  }

  async watch() {
    for (let tries = 0; tries < 10; tries += 1) {
      await wait(400);
      if (await this.hasArrived()) {
        this.say("arrived");
        return this.fallback.classList.remove("needed");
      }
    }
    this.offerOtherWays("missing");
  }

  async hasArrived() {
    try {
      const answer = await fetch(`${this.form.dataset.seen}?k=${encodeURIComponent(this.token.value)}`);
      return (await answer.json()).seen;
    } catch {
      return false; // in a sandbox without allow-same-origin this is always refused
    }
  }

  copy() {
    if (!this.box.value) return this.box.focus();
    this.say(copyText(this.box) ? "copied" : "byHand");
  }
}

for (const form of findAll("[data-embed]")) new Launcher(form).start();
if (parent !== window) new ResizeObserver(tellHeight).observe(find("main"));
