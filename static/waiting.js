// A launch that waits: ask as often as the page says, count down in between, go on when the server does.

"use strict";

class Waiting {
  constructor(page) {
    this.page = page;
    this.live = find("[data-live]", page);
    this.longest = 1;
  }

  start() {
    this.ticking = setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.askAtOnce());
    addEventListener("online", () => this.askAtOnce());
    this.show();
  }

  say(text) {
    const announce = find("[data-announce]", this.page);
    if (announce.textContent !== text) announce.textContent = text;
  }

  left() {
    return Math.max(0, Math.ceil(this.live.dataset.seconds - (Date.now() - this.shownAt) / 1000));
  }

  // The clock stands in the tab's title as well, for those who look at another one.
  tick() {
    const clock = find("[data-clock]", this.live);
    document.title = this.title;
    if (!clock) return;
    const left = this.left();
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left) document.title = `${clock.textContent} · ${this.title}`;
    this.showProgress(left);
    if (left === 5) this.say(this.page.dataset.soon);
  }

  showProgress(left) {
    const progress = find("[data-progress]", this.live);
    progress.max = this.longest = Math.max(this.longest, left);
    progress.value = this.longest - left;
  }

  show(title = document.title) {
    this.title = title;
    this.shownAt = Date.now();
    this.say(this.live.dataset.say);
    this.tick();
    this.askIn(this.live.dataset.refresh * 1000);
  }

  askIn(time) {
    clearTimeout(this.next);
    this.next = setTimeout(() => this.ask(), time);
  }

  askAtOnce() {
    if (!document.hidden && this.page.isConnected) this.ask();
  }

  async ask() {
    this.askIn(30_000);
    try {
      const signal = AbortSignal.timeout(29_000);
      const answer = await fetch("?go=1", { redirect: "manual", headers: { Accept: "text/html" }, signal });
      if (answer.status >= 500) throw new Error("the portal does not answer");
      if (!answer.ok) return location.replace("?go=1"); // the studio, the sign-in, or a page that says what is wrong
      this.goOn(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      find("[data-offline]", this.page).hidden = false;
      this.askIn(5_000);
    }
  }

  goOn(fresh) {
    find("[data-offline]", this.page).hidden = true;
    const part = find("[data-live]", fresh);
    if (!part) return this.end(fresh);
    find("[data-heading]").textContent = find("[data-heading]", fresh).textContent;
    Object.assign(this.live.dataset, part.dataset);
    if (this.live.innerHTML !== part.innerHTML) this.replace(part);
    showTimes();
    this.show(fresh.title);
  }

  // Whoever has gone to a link in it stays there.
  replace(part) {
    const at = findAll("a", this.live).indexOf(document.activeElement);
    this.live.replaceChildren(...part.childNodes);
    findAll("a", this.live)[at]?.focus();
  }

  end(fresh) {
    clearTimeout(this.next);
    clearInterval(this.ticking);
    document.title = fresh.title;
    find("main").replaceChildren(...find("main", fresh).childNodes);
    showTimes();
    find("[data-heading]").focus();
  }
}

for (const page of findAll("[data-waiting]")) new Waiting(page).start();
