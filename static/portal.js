// What a script adds; every page works without it. One file, because the form page has three requests to spend.

const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector) => document.querySelectorAll(selector);


// Storage: it may be switched off or full, and other applications may share this origin.

const FRAGMENT = "portal.fragment";
const DRAFT = "portal.draft";
const MOST_DRAFTS = 5;

function attempt(act, otherwise) {
  try {
    return act();
  } catch {
    return otherwise;
  }
}

// A draft is one text of one person, under the token of the form that it was typed in (a token has no blanks).
const keyOf = (token, person) => `${DRAFT} ${token} ${person}`;

function draftsOf(person) {
  return attempt(() => Object.keys(localStorage)
    .map((key) => [key, key.split(" ")[1]])
    .filter(([key, token]) => key === keyOf(token, person))
    .map(([key, token]) => ({ ...JSON.parse(localStorage.getItem(key)), token }))
    .sort((one, other) => other.at - one.at), []);
}

function forgetDraft(token, person) {
  attempt(() => localStorage.removeItem(keyOf(token, person)));
}

function keepDraft(person, draft) {
  if (!person) return; // nobody could be given it back
  if (!draft.text.trim()) return forgetDraft(draft.token, person);
  const { token, ...rest } = draft;
  attempt(() => localStorage.setItem(keyOf(token, person), JSON.stringify(rest)));
  for (const old of draftsOf(person).slice(MOST_DRAFTS)) forgetDraft(old.token, person);
}

// The server names the form whose text it has recorded; it stands in "My scenarios" from then on.
const { recordedIn } = document.documentElement.dataset;
const recordedToken = () => document.cookie.split("; ").find((one) => one.startsWith(`${recordedIn}=`))?.split("=")[1];

function forgetWhere(isGone) {
  attempt(() => Object.keys(localStorage).filter(isGone).forEach((key) => localStorage.removeItem(key)));
}

// What was sent and then erased, here or in another browser, shall not come back from a copy.
function forgetErased(person, tokens) {
  for (const draft of draftsOf(person)) if (draft.sent && tokens.includes(draft.token)) forgetDraft(draft.token, person);
}

const forgetRecorded = () => forgetWhere((key) => key.startsWith(`${DRAFT} ${recordedToken()} `));

function forgetEverything() {
  forgetWhere((key) => key.startsWith(DRAFT));
  attempt(() => sessionStorage.removeItem(FRAGMENT));
}


// A text in the address's fragment, `#p=…`, which no server sees: it waits in this tab during the sign-in.

const fragmentText = () => new URLSearchParams(location.hash.slice(1)).get("p");

function keepFragment() {
  const text = fragmentText();
  if (text !== null) attempt(() => sessionStorage.setItem(FRAGMENT, text));
}

// Return the text once, and leave no trace of it in the address.
function takeFragment() {
  const text = fragmentText();
  if (text !== null) history.replaceState(history.state, "", location.pathname + location.search);
  const kept = attempt(() => sessionStorage.getItem(FRAGMENT), null);
  attempt(() => sessionStorage.removeItem(FRAGMENT));
  return text ?? kept ?? "";
}


// The form

// As the server does it: no blank lines at the ends, and what it counts are code points.
const clean = (text) => text.replaceAll("\r\n", "\n").replace(/^(?:[^\S\n]*\n)+|\s+$/g, "");
const countOf = (text) => [...clean(text)].length;
const isSame = (one, other) => clean(one) === clean(other);

function inWords(moment, onlyTime) {
  const date = onlyTime ? {} : { dateStyle: "medium" };
  return moment.toLocaleString([], { ...date, timeStyle: "short" });
}

function startForm(form) {
  const { prompt: box, form_token: token } = form.elements;
  const { person } = form.dataset;
  const longest = Number(box.dataset.longest);
  const button = find(".primary", form);
  const label = button.textContent;
  const status = find("[data-status]", form);
  const offered = find("[data-offer]", form);
  // What this entry of the tab's history was before: Back and Reload bring the same intention again.
  const before = history.state?.person === person ? history.state : null;
  let isTyped = false;
  let saving;
  let busy;

  function showCount() {
    const used = countOf(box.value);
    const over = used - longest;
    const tooLong = over > 0 ? `${over.toLocaleString("en")} characters too long` : "";
    const count = find("[data-count]", form);
    count.textContent = tooLong || `${used.toLocaleString("en")} of ${longest.toLocaleString("en")} characters`;
    if (count.classList.toggle("over", over > 0) !== Boolean(box.validationMessage)) status.textContent = tooLong;
    box.setCustomValidity(tooLong);
  }

  function setBusy(isBusy) {
    clearTimeout(busy);
    busy = isBusy ? setTimeout(setBusy, 30_000, false) : 0; // someone pressed Stop; sending again is safe
    button.setAttribute("aria-disabled", String(isBusy));
    button.textContent = isBusy ? button.dataset.busyLabel : label;
    status.textContent = isBusy ? "Creating your scenario. This can take a few seconds." : "";
  }

  const remember = (text) => attempt(() => history.replaceState({ person, token: token.value, text }, ""));
  const save = (more) => keepDraft(person, { token: token.value, text: box.value, at: Date.now(), ...more });

  function fill(text) {
    box.value = text;
    showCount();
  }

  // A text that was never sent moves to this form; one that was sent is still the same intention.
  function take(draft) {
    forgetDraft(draft.token, person);
    token.value = draft.sent ? draft.token : crypto.randomUUID();
    fill(draft.text);
    save(draft.sent ? { sent: true } : {});
    remember();
  }

  function offer(text, choices = {}) {
    const buttons = Object.entries(choices).map(([name, act]) => {
      const choice = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      choice.addEventListener("click", () => {
        offer("");
        act();
        if (!offered.contains(document.activeElement)) box.focus();
      });
      return choice;
    });
    offered.replaceChildren(text, ...buttons);
  }

  function clear(draft) {
    fill("");
    save();
    offer("Cleared.", { Undo: () => take(draft) });
  }

  function offerDraft() {
    const draft = draftsOf(person).find((one) => one.token !== token.value && !isSame(one.text, box.value));
    if (!draft) return;
    const moment = new Date(draft.at);
    const when = inWords(moment, moment.toDateString() === new Date().toDateString());
    const what = draft.sent ? "text, which may not have arrived," : "unsent text";
    if (!box.value.trim()) {
      take(draft);
      return offer(`Your ${what} from ${when} is back.`, { Clear: () => clear(draft) });
    }
    offer(`You have an unsent text from ${when}.`, {
      "Use it": () => take(draft),
      Discard() {
        forgetDraft(draft.token, person);
        offer("Discarded.", { Undo: () => keepDraft(person, draft) });
      },
    });
  }

  function open() {
    forgetErased(person, form.dataset.forget.split(" "));
    const fragment = takeFragment();
    if (before) {
      token.value = before.token;
      fill((draftsOf(person).find((one) => one.token === before.token) ?? before).text ?? box.value);
    }
    if (fragment && !box.value.trim()) {
      fill(fragment);
      save();
    } else if (fragment) {
      save({ token: crypto.randomUUID(), text: fragment });
    }
    if ("onlyHere" in form.dataset && !before) save();
    remember(before?.text);
    const isFree = !("restricted" in document.documentElement.dataset); // tab.js
    if ("sendNow" in form.dataset && !before && isFree) form.requestSubmit();
    else offerDraft();
  }

  box.addEventListener("input", () => {
    showCount();
    isTyped = true;
    if (token.value === recordedToken()) {
      token.value = crypto.randomUUID(); // a new text is a new intention
      remember();
    }
    clearTimeout(saving);
    saving = setTimeout(save, 300);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    if (busy) return event.preventDefault();
    clearTimeout(saving);
    isTyped = false;
    save({ sent: true });
    remember(box.value);
    setBusy(true);
  });
  for (const link of findAll("[data-starter]")) {
    link.addEventListener("click", () => {
      link.target = isSame(box.value, box.defaultValue) ? "" : "_blank"; // what is typed here stays
    });
  }
  addEventListener("pagehide", () => isTyped && save());
  // Back from the studio shows this page as it was left.
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      setBusy(false);
      forgetRecorded();
    }
    showCount();
  });

  open();
}


// A launch that waits: ask as often as the page says, count down in between, go on when the server does.

function startWaiting(page) {
  const live = find("[data-live]", page);
  const offline = find("[data-offline]", page);
  const announce = find("[data-announce]", page);
  let shownAt;
  let longest = 1;
  let next;

  function say(text) {
    if (announce.textContent !== text) announce.textContent = text;
  }

  function tick() {
    const left = Math.max(0, Math.ceil(live.dataset.seconds - (Date.now() - shownAt) / 1000));
    const clock = find("[data-clock]", live);
    if (!clock) return;
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    const progress = find("[data-progress]", live);
    progress.max = longest = Math.max(longest, left);
    progress.value = longest - left;
    if (left === 5) say("Five more seconds.");
  }

  function show() {
    shownAt = Date.now();
    say(live.dataset.say);
    tick();
    clearTimeout(next);
    next = setTimeout(ask, live.dataset.refresh * 1000);
  }

  async function ask() {
    clearTimeout(next);
    next = setTimeout(ask, 30_000);
    try {
      const signal = AbortSignal.timeout(29_000);
      const answer = await fetch("?go=1", { redirect: "manual", headers: { Accept: "text/html" }, signal });
      if (answer.status >= 500) throw new Error("the portal does not answer");
      if (!answer.ok) return location.replace("?go=1"); // the studio, the sign-in, or a page that says what is wrong
      goOn(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      offline.hidden = false;
      clearTimeout(next);
      next = setTimeout(ask, 5_000);
    }
  }

  function goOn(fresh) {
    offline.hidden = true;
    document.title = fresh.title;
    const part = find("[data-live]", fresh);
    if (!part) return end(fresh);
    find("[data-heading]").textContent = find("[data-heading]", fresh).textContent;
    Object.assign(live.dataset, part.dataset);
    if (live.innerHTML !== part.innerHTML) live.replaceChildren(...part.childNodes);
    show();
  }

  function end(fresh) {
    clearTimeout(next);
    clearInterval(ticking);
    find("main").replaceChildren(...find("main", fresh).childNodes);
    showTimes();
    find("[data-heading]").focus();
  }

  const ticking = setInterval(tick, 1000);
  const askAtOnce = () => document.hidden || !page.isConnected || ask();
  document.addEventListener("visibilitychange", askAtOnce);
  addEventListener("online", askAtOnce);
  show();
}


// Every page

// Server times are UTC until here.
function showTimes() {
  for (const time of findAll("time")) time.textContent = inWords(new Date(time.dateTime), "onlyTime" in time.dataset);
}

if (find("[data-signed-out]")) forgetEverything();
for (const { dataset } of findAll("[data-erased]")) forgetWhere((key) => key.startsWith(`${DRAFT} ${dataset.erased} `));
forgetRecorded();
showTimes();
for (const form of findAll("[data-prompt-form]")) startForm(form);
for (const page of findAll("[data-waiting]")) startWaiting(page);
for (const link of findAll("[data-arriving]")) {
  keepFragment();
  location.replace(link.href);
}
