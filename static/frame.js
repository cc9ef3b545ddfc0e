// The framed form, and the page that says why a frame does not work. A classic script: see frame.html.

"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const isFramed = parent !== window;

  // Throws in every sandboxed document, in all engines, and does nothing elsewhere.
  function isSandboxed() {
    try {
      document.domain = document.domain;
      return false;
    } catch {
      return true;
    }
  }

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

  // The newer interface is refused in frames without allow="clipboard-write".
  function copy(element) {
    if (element.select) {
      element.select();
    } else {
      getSelection().selectAllChildren(element);
    }
    return document.execCommand("copy");
  }

  // Tell the page around how high the content is: {type: "scenario-portal:height", height: pixels}.
  function tellHeight() {
    const height = Math.ceil(find("main").getBoundingClientRect().height);
    parent.postMessage({ type: "scenario-portal:height", height }, "*");
  }

  const wait = (time) => new Promise((resolve) => { setTimeout(resolve, time); });


  // The framed form

  function launcher(form) {
    const { prompt: box, form_token: token } = form.elements;
    const button = form.querySelector("button");
    const status = form.querySelector("[data-status]");
    const count = form.querySelector("[data-count]");
    const link = find("[data-carry]");
    const portal = link.href;
    const longest = Number(box.dataset.longest);
    let sent = null;

    // The text travels in the fragment: no server, no log and no referrer sees it.
    function carry() {
      link.href = box.value ? `${portal}#p=${encodeURIComponent(box.value)}` : portal;
      const used = [...box.value.trim()].length;
      const tooLong = used > longest ? `${(used - longest).toLocaleString("en")} characters too long` : "";
      count.textContent = tooLong || `${used.toLocaleString("en")} of ${longest.toLocaleString("en")} characters`;
      count.classList.toggle("over", used > longest);
      box.setCustomValidity(tooLong);
    }

    function offerOtherWays(text) {
      status.textContent = text;
      find("[data-fallback]").classList.add("needed");
    }

    async function hasArrived() {
      try {
        const answer = await fetch(`${form.dataset.seen}?k=${encodeURIComponent(token.value)}`);
        return (await answer.json()).seen;
      } catch {
        return false; // in a sandbox without allow-same-origin this is always refused
      }
    }

    async function watch() {
      for (let tries = 0; tries < 10; tries += 1) {
        await wait(400);
        if (await hasArrived()) {
          status.textContent = "Your text has arrived in the new tab.";
          find("[data-fallback]").classList.remove("needed");
          return;
        }
      }
      offerOtherWays("If no tab opened, use one of the ways below. Your text is still here.");
    }

    form.addEventListener("submit", (event) => {
      if (button.disabled) return event.preventDefault();
      if (sent !== null && sent !== box.value) token.value = crypto.randomUUID(); // another text is another intention
      sent = box.value;
      status.textContent = "Opening a new tab…";
      setTimeout(() => { button.disabled = true; }, 0); // a second click would open a second tab
      setTimeout(() => { button.disabled = false; }, 3000);
      watch();
    });
    box.addEventListener("input", carry);
    addEventListener("pageshow", carry);

    find("[data-copying]").hidden = false;
    find("[data-copy]").addEventListener("click", () => {
      if (!box.value) return box.focus();
      status.textContent = copy(box) ? "Copied." : "Select the text and copy it by hand.";
    });
    if (!mayPost()) {
      button.disabled = true;
      offerOtherWays("This page does not let the button work. Use one of the ways below: your text comes with you.");
    }
  }


  // The diagnosis

  function sandboxFindings(add) {
    if (!isSandboxed()) {
      add(true, "The frame has no sandbox attribute, so nothing is restricted.");
      return;
    }
    add(true, "The frame has a sandbox attribute. What it allows:");
    if (self.origin === "null") {
      add(false, "allow-same-origin is missing: people have to press one more button in the new tab.");
    } else {
      add(true, "allow-same-origin is there.");
    }
    if (!mayPost()) add(false, "allow-forms is missing: the button does nothing.");
    add(true, "allow-scripts is there.");
  }

  async function cookieFinding(add) {
    const hasCookies = await document.hasStorageAccess?.().catch(() => false);
    const what = hasCookies ? "gives" : "does not give";
    add(null, `This browser ${what} the portal its cookies inside your page. It needs none there.`);
  }

  function policyFindings(add) {
    const policy = document.featurePolicy ?? document.permissionsPolicy;
    if (!policy) return;
    if (!policy.allowsFeature("clipboard-write")) {
      add(null, "allow=\"clipboard-write\" is not set. Copying works all the same, the older way.");
    }
    const names = ["local-network-access", "local-network"].filter((name) => policy.features().includes(name));
    if (names.length && !names.some((name) => policy.allowsFeature(name))) {
      add(null, "allow=\"local-network-access\" is not set. You need it only if your page is on the internet "
        + "and the portal inside your company's network.");
    }
  }

  async function findings() {
    const found = [];
    const add = (isGood, text) => found.push([isGood, text]);
    add(true, "Your page may show the portal.");
    const origins = [...(location.ancestorOrigins ?? [])];
    if (!origins.length && document.referrer) origins.push(new URL(document.referrer).origin);
    if (origins.length) add(null, `Around this frame, from the inside out: ${origins.join(", ")}.`);
    sandboxFindings(add);
    await cookieFinding(add);
    if (self.crossOriginIsolated) add(true, "Your page sends Cross-Origin-Embedder-Policy, and the portal fits.");
    policyFindings(add);
    return found;
  }

  function list(found) {
    return found.map(([isGood, text]) => {
      const item = document.createElement("li");
      item.className = { true: "good", false: "bad", null: "aside" }[isGood];
      item.textContent = text;
      return item;
    });
  }

  async function diagnose(section) {
    const found = await findings();
    section.querySelector("[data-findings]").replaceChildren(...list(found));
    const isWrong = found.some(([isGood]) => isGood === false);
    find("[data-change]").hidden = !isWrong;
    find("[data-no-change]").hidden = isWrong;
  }

  // A tab that opens takes the focus away from here.
  function watchPress(form) {
    form.addEventListener("submit", async () => {
      const status = form.querySelector("[data-status]");
      let isAway = false;
      const leave = () => { isAway = true; };
      addEventListener("blur", leave, { once: true });
      document.addEventListener("visibilitychange", leave, { once: true });
      for (let tries = 0; tries < 15 && !isAway; tries += 1) await wait(100);
      status.textContent = isAway
        ? "A new tab opened. What it says is the rest of the answer."
        : "No new tab? Then allow-popups or allow-forms is missing in the sandbox attribute.";
      find("[data-change]").hidden = isAway && find("[data-change]").hidden;
      if (!isAway) find("[data-no-change]").hidden = true;
    });
  }

  function copyButtons() {
    for (const button of document.querySelectorAll("[data-copy-from]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const isCopied = copy(document.getElementById(button.dataset.copyFrom));
        button.textContent = isCopied ? "Copied" : "Select it and copy it by hand";
      });
    }
  }

  function tab(page) {
    page.querySelector(isSandboxed() ? "[data-tab-bound]" : "[data-tab-free]").hidden = false;
  }

  if (find("[data-embed]")) launcher(find("[data-embed]"));
  if (find("[data-diagnose]")) diagnose(find("[data-diagnose]"));
  if (find("[data-press]")) watchPress(find("[data-press]"));
  if (find("[data-tab]")) tab(find("[data-tab]"));
  copyButtons();
  if (isFramed) new ResizeObserver(tellHeight).observe(find("main"));
})();
