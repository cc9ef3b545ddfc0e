// What a script adds to every page; each works without it. A classic script, not a module: a frame in a sandbox
// without allow-same-origin loads no modules. What stands at the top level is for the scripts that follow, too.

"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];
const wait = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

function attempt(act, otherwise) {
  try {
    return act();
  } catch {
    return otherwise;
  }
}


// The rule for texts, as webapp/forms.py has it; tests/texts.json holds both to it.

const LINE_BREAKS = /\r\n|[\r\v\f\x85\u2028\u2029]/g;
const DROPPED = /[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]/g;
const HALVES = /[\ud800-\udfff]/gu;
const VISIBLE = new RegExp("[^\\s\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f"
  + "\\u202a-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\uffa0\\ufff0-\\ufffc\\u{1bca0}-\\u{1bca3}"
  + "\\u{1d159}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]", "u");

function clean(text) {
  const whole = text.replace(HALVES, "\ufffd"); // first: two of them would meet where something is dropped
  const lines = whole.replace(LINE_BREAKS, "\n").replace(DROPPED, "").trimEnd(); // linear, as /\s+$/ is not
  if (!VISIBLE.test(lines)) return "";
  const indent = lines.length - lines.trimStart().length;
  return lines.slice(lines.lastIndexOf("\n", indent - 1) + 1);
}

const lengthOf = (text) => [...clean(text)].length;
const isSame = (one, other) => clean(one) === clean(other);


// Words stand in the page, where they can be translated: data-over-one="…", data-over-other="{count} …".

const { lang } = document.documentElement;
const locale = navigator.languages.find((one) => one.split("-")[0] === lang.split("-")[0]) ?? lang;
const numbers = new Intl.NumberFormat(locale);
const plurals = new Intl.PluralRules(locale);

function counted(element, name, count) {
  const kind = plurals.select(count);
  const words = element.dataset[name + kind[0].toUpperCase() + kind.slice(1)] ?? element.dataset[`${name}Other`];
  return words.replace("{count}", numbers.format(count));
}

function inWords(moment, onlyTime = moment.toDateString() === new Date().toDateString()) {
  const date = onlyTime ? {} : { dateStyle: "medium" };
  return moment.toLocaleString(locale, { ...date, timeStyle: "short" });
}

// Server times are UTC until here.
function showTimes() {
  for (const time of findAll("time[datetime]")) {
    time.textContent = inWords(new Date(time.dateTime), "onlyTime" in time.dataset);
  }
}


// Storage: it may be switched off or full, and other applications may share this origin.

const FRAGMENT = "portal.fragment";
const COPY = "portal.draft";
const MOST_COPIES = 5;

// A copy is one text of one person, under the token of the form that it was typed in (a token has no blanks).
const keyOf = (token, person) => `${COPY} ${token} ${person}`;

function copiesOf(person) {
  return attempt(() => Object.keys(localStorage)
    .map((key) => [key, key.split(" ")[1]])
    .filter(([key, token]) => key === keyOf(token, person))
    .map(([key, token]) => ({ ...JSON.parse(localStorage.getItem(key)), token }))
    .sort((one, other) => other.at - one.at), []);
}

function forgetCopy(token, person) {
  attempt(() => localStorage.removeItem(keyOf(token, person)));
}

function keepCopy(person, copy) {
  if (!person) return; // nobody could be given it back
  if (!clean(copy.text)) return forgetCopy(copy.token, person);
  const { token, ...rest } = copy;
  attempt(() => localStorage.setItem(keyOf(token, person), JSON.stringify(rest)));
  for (const old of copiesOf(person).slice(MOST_COPIES)) forgetCopy(old.token, person);
}

function forgetWhere(isGone) {
  attempt(() => Object.keys(localStorage).filter(isGone).forEach((key) => localStorage.removeItem(key)));
}

// What was sent and then erased, here or in another browser, shall not come back from a copy.
function forgetErased(person, tokens) {
  for (const copy of copiesOf(person)) if (copy.sent && tokens.includes(copy.token)) forgetCopy(copy.token, person);
}

// The server names the form whose text it has recorded; it stands in "My scenarios" from then on.
function recordedToken() {
  const { recordedIn } = document.documentElement.dataset;
  const all = attempt(() => document.cookie.split("; "), []);
  return all.find((one) => one.startsWith(`${recordedIn}=`))?.split("=")[1];
}

const forgetRecorded = () => forgetWhere((key) => key.startsWith(`${COPY} ${recordedToken()} `));

function forgetEverything() {
  forgetWhere((key) => key.startsWith(COPY));
  attempt(() => sessionStorage.removeItem(FRAGMENT));
}


// A text in the address's fragment, `#p=…`, which no server sees, or of a link too long to be carried: it waits in
// this tab during the sign-in.

const MOST_OF_A_FRAGMENT = 40_000; // twice what the longest text takes; the rest could not be sent anyway

const fragmentText = () => new URLSearchParams(location.hash.slice(1)).get("p")?.slice(0, MOST_OF_A_FRAGMENT) ?? null;

// Whether the text, if there is one, is safe here: only then may this page be left.
function keepInThisTab(text) {
  if (!text) return true;
  return attempt(() => {
    sessionStorage.setItem(FRAGMENT, text);
    return sessionStorage.getItem(FRAGMENT) === text;
  }, false);
}

// Return the text once, and leave no trace of it in the address.
function takeFragment() {
  const text = fragmentText();
  if (text !== null) history.replaceState(history.state, "", location.pathname + location.search);
  const kept = attempt(() => sessionStorage.getItem(FRAGMENT), null);
  attempt(() => sessionStorage.removeItem(FRAGMENT));
  return text ?? kept ?? "";
}

// A stranger's page, which may hold the text of a long link in a form. Storage and cookies belong to one host:
// elsewhere nothing is kept, and the way leads home.
function goToTheSignIn(page) {
  const { arriving, home } = page.dataset;
  const { pathname, search, hash } = location;
  if (location.origin !== home) location.replace(home + pathname + search + hash);
  else if (keepInThisTab(page.elements?.prompt.value || fragmentText())) location.replace(arriving);
  else for (const notice of findAll("[data-not-kept]")) notice.hidden = false;
}


// Copying: the newer interface is refused in frames without allow="clipboard-write".

function copyText(element) {
  if (element.select) element.select();
  else getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}

function startCopying(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const isCopied = copyText(document.getElementById(button.dataset.copyFrom));
    button.textContent = isCopied ? button.dataset.copied : button.dataset.byHand;
  });
}


// The form

class PromptForm {
  constructor(form) {
    this.form = form;
    this.area = form.closest("[data-writing]");
    this.box = form.elements.prompt;
    this.token = form.elements.form_token;
    this.person = form.dataset.person;
    this.longest = Number(this.box.dataset.longest);
    this.button = find(".primary", form);
    this.status = find("[data-status]", form);
    this.offered = find("[data-offer]");
    // What this entry of the tab's history was before: Back and Reload bring the same intention again.
    this.before = history.state?.person === this.person ? history.state : null;
    this.isTyped = false;
  }

  start() {
    this.box.addEventListener("input", () => this.typed());
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    this.form.addEventListener("submit", (event) => this.submitted(event));
    for (const link of findAll("[data-starters] a")) link.addEventListener("click", (event) => this.startFrom(event, link));
    addEventListener("pagehide", () => this.isTyped && this.save());
    addEventListener("pageshow", (event) => this.shown(event));
    addEventListener("hashchange", () => this.linked());
    this.open();
    this.bringHelp();
  }

  // What helps to write comes when somebody is about to: the page itself is to weigh little.
  bringHelp() {
    const events = ["focusin", "pointerover", "dragenter"];
    const bring = async () => {
      for (const event of events) this.area.removeEventListener(event, bring);
      const [{ help }, words] = await Promise.all([import(this.area.dataset.writing), this.words()]);
      help(this, words);
    };
    if (this.box.value) return bring();
    for (const event of events) this.area.addEventListener(event, bring);
  }

  // The page of sentences, asked for once.
  words() {
    this.asked ??= pageAt(this.area.dataset.words);
    return this.asked;
  }

  // Which text stands here: the server's, then the link's, then this browser's own copy.
  open() {
    this.forgetErased(this.form.dataset.forget.split(" "));
    const fragment = takeFragment();
    if (this.before) this.restore();
    const linked = fragment ? this.takeLinked(fragment) : [];
    const brought = "brought" in this.form.dataset && !this.before ? this.copy() : null;
    if ("onlyHere" in this.form.dataset && !this.before) this.save();
    this.remember(this.before ?? {});
    const isFree = !("restricted" in document.documentElement.dataset); // tab.js
    if ("sendNow" in this.form.dataset && !this.before && isFree) this.form.requestSubmit();
    else if (brought && !isSame(brought.text, this.box.value)) this.offerAsItWas(brought.text);
    else if (!this.saySent()) this.offerCopy(linked);
  }

  // Nor from this tab's history, where Back would find it.
  forgetErased(tokens) {
    forgetErased(this.person, tokens);
    if (!this.before?.sent || !tokens.includes(this.before.token)) return;
    this.before = null;
    this.box.autocomplete = "off"; // or the browser puts it back by itself, or has done so already
    this.box.value = this.box.defaultValue;
  }

  // A file's text came in, or the text was cut: the way back.
  offerAsItWas(text) {
    this.offer("brought", { undo: () => this.change(text) });
  }

  copy() {
    return copiesOf(this.person).find((one) => one.token === this.token.value);
  }

  restore() {
    this.token.value = this.before.token;
    this.fill((this.copy() ?? this.before).text ?? this.box.value);
  }

  // Return what is to be offered, for where nothing can be kept.
  takeLinked(text) {
    if (clean(this.box.value)) {
      const copy = { token: crypto.randomUUID(), text, at: Date.now() };
      keepCopy(this.person, copy);
      return [copy];
    }
    this.fill(text);
    this.save();
    if (text.length === MOST_OF_A_FRAGMENT) this.offer("cut");
    return [];
  }

  // A link followed where the form stands already: browsers load no page for it.
  linked() {
    const text = takeFragment();
    if (!text) return;
    const linked = this.takeLinked(text);
    this.remember();
    this.offerCopy(linked);
  }

  // Back from the studio: this was sent, and the portal has it.
  saySent() {
    const { sent, token } = history.state ?? {};
    if (!sent || token !== recordedToken()) return false;
    const list = find("[data-list]").cloneNode(true);
    this.offer("sent", {}, { when: inWords(new Date(sent)), list });
    return true;
  }

  offerCopy(linked) {
    const copy = copiesOf(this.person).concat(linked).find((one) => one.token !== this.token.value && !isSame(one.text, this.box.value));
    if (!copy) return;
    const slots = { when: inWords(new Date(copy.at)), glimpse: glimpseOf(copy.text) };
    if (clean(this.box.value)) return this.offer("other", this.choicesOf(copy), slots);
    this.take(copy);
    this.offer(copy.sent ? "unsure" : "back", { clear: () => this.clear(copy) }, slots);
  }

  choicesOf(copy) {
    return {
      use: () => this.take(copy),
      discard: () => {
        forgetCopy(copy.token, this.person);
        this.offer("discarded", { undo: () => keepCopy(this.person, copy) });
      },
    };
  }

  // A text that was never sent moves to this form; one that was sent is still the same intention.
  take(copy) {
    forgetCopy(copy.token, this.person);
    this.token.value = copy.sent ? copy.token : crypto.randomUUID();
    this.fill(copy.text);
    this.save(copy.sent ? { sent: true } : {});
    this.remember();
  }

  clear(copy) {
    this.fill("");
    this.save();
    this.offer("cleared", { undo: () => this.take(copy) });
  }

  // A whole sentence with its buttons, and what each of them does.
  async offer(name, choices = {}, slots = {}) {
    const sentence = find(`[data-sentence="${name}"]`, await this.words()).content.cloneNode(true);
    for (const slot of findAll("[data-slot]", sentence)) slot.replaceChildren(slots[slot.dataset.slot]);
    for (const button of findAll("[data-do]", sentence)) {
      button.addEventListener("click", () => this.choose(choices[button.dataset.do]));
    }
    this.said = name;
    this.offered.replaceChildren(sentence);
  }

  choose(act) {
    this.offered.replaceChildren();
    act();
    if (!this.offered.contains(document.activeElement)) this.box.focus();
  }

  // An example takes the place of another one, and otherwise stands below what was typed.
  async startFrom(event, link) {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    try {
      this.place(find("[name=prompt]", await pageAt(link.href)).value);
    } catch {
      this.save();
      location.assign(link.href);
    }
  }

  place(text) {
    const typed = this.box.value;
    const isFree = !clean(typed) || isSame(typed, this.example ?? "");
    this.example = isFree ? text : null;
    this.change(isFree ? text : `${typed.trimEnd()}\n\n${text}`);
    if (!isFree) this.offer("added", { undo: () => this.change(typed) });
    this.goOnWriting(this.box.value.length - text.length);
  }

  // The caret where one goes on: the first blank such as [customer], else the end.
  goOnWriting(from) {
    const blank = /\[[^\]\n]+\]/.exec(this.box.value.slice(from));
    const start = blank ? from + blank.index : this.box.value.length;
    this.box.focus();
    this.box.setSelectionRange(start, start + (blank ? blank[0].length : 0));
  }

  change(text) {
    if (this.token.value === recordedToken()) this.beginAnew();
    this.fill(text);
    this.save();
  }

  fill(text) {
    this.box.value = text;
    this.showLength();
    if (!this.problem()) this.showProblem("");
    this.box.dispatchEvent(new Event("filled"));
  }

  save(more) {
    keepCopy(this.person, { token: this.token.value, text: this.box.value, at: Date.now(), ...more });
  }

  remember({ text, sent } = {}) {
    attempt(() => history.replaceState({ person: this.person, token: this.token.value, text, sent }, ""));
  }

  showLength() {
    const length = lengthOf(this.box.value);
    const count = find("[data-count]", this.form);
    count.textContent = counted(count, "used", length);
    count.classList.toggle("over", length > this.longest);
  }

  showProblem(text) {
    const problem = find("[data-problem]");
    problem.hidden = !text;
    find("a", problem).textContent = text;
    this.box.setAttribute("aria-invalid", String(Boolean(text)));
    this.box.setAttribute("aria-describedby", `prompt-hint ${text && "prompt-error "}prompt-count`);
    if (text) problem.focus();
  }

  problem() {
    const over = lengthOf(this.box.value) - this.longest;
    if (over > 0) return counted(this.box, "over", over);
    return clean(this.box.value) ? "" : this.box.dataset.blank;
  }

  typed() {
    this.isTyped = true;
    if (this.token.value === recordedToken()) this.beginAnew();
    clearTimeout(this.saving);
    this.showLength();
    if (!this.problem()) this.showProblem("");
    this.saving = setTimeout(() => this.save(), 300);
  }

  // What was recorded is one intention; a new text is another.
  beginAnew() {
    this.token.value = crypto.randomUUID();
    this.remember();
  }

  // Enter ends a composition (229 in WebKit, after it) and must not send it.
  pressed(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
  }

  submitted(event) {
    if ((event.submitter ?? this.button) !== this.button) return this.save(); // another button of this form
    if (this.busy) return event.preventDefault();
    const problem = this.problem();
    if (problem) {
      event.preventDefault();
      return this.showProblem(problem);
    }
    this.send();
  }

  send() {
    clearTimeout(this.saving);
    this.isTyped = false;
    this.save({ sent: true });
    this.remember({ text: this.box.value, sent: Date.now() });
    this.setBusy(true);
  }

  setBusy(isBusy) {
    clearTimeout(this.busy);
    this.busy = isBusy ? setTimeout(() => this.setBusy(false), 30_000) : 0; // Stop was pressed; again is safe
    this.button.setAttribute("aria-disabled", String(isBusy));
    this.status.textContent = isBusy ? this.status.dataset.busy : "";
  }

  // Back from the studio can show this page as it was left. Asked for anew, it knows what was erased meanwhile.
  shown(event) {
    if (event.persisted && history.state?.sent) return location.reload();
    this.showLength();
  }
}

async function pageAt(address) {
  const answer = await fetch(address, { redirect: "error" });
  if (!answer.ok) throw new Error("the portal does not answer");
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function glimpseOf(text) {
  const line = clean(text).trimStart().split("\n")[0];
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line;
}


// Every page

if (find("[data-signed-out]")) forgetEverything();
for (const { dataset } of findAll("[data-erased]")) forgetWhere((key) => key.startsWith(`${COPY} ${dataset.erased} `));
forgetRecorded();
showTimes();
findAll("[data-copy-from]").forEach(startCopying);
for (const form of findAll("[data-prompt-form]")) new PromptForm(form).start();
findAll("[data-arriving]").forEach(goToTheSignIn);
