// The framed form, and the page that says why a frame does not work. A classic script: see frame.html.

"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);

  // Throws in every sandboxed document, in all engines, and does nothing elsewhere.
  function isSandboxed() {
    try {
      document.domain = document.domain;
      return false;
    } catch {
      return true;
    }
  }

  // Tell the page around how high the content is: {type: "scenario-portal:height", height: pixels}.
  function tellHeight() {
    const height = Math.ceil(find("main").getBoundingClientRect().height);
    parent.postMessage({ type: "scenario-portal:height", height }, "*");
  }

  function launcher(form) {
    const box = form.elements.prompt;
    const button = form.querySelector("button");
    const status = form.querySelector("[data-status]");
    const link = find("[data-carry]");
    const portal = link.href;

    // The text travels in the fragment: no server, no log and no referrer sees it.
    const carry = () => { link.href = box.value ? `${portal}#p=${encodeURIComponent(box.value)}` : portal; };

    async function arrived() {
      try {
        const token = encodeURIComponent(form.elements.form_token.value);
        return (await (await fetch(`${form.dataset.seen}?k=${token}`)).json()).seen;
      } catch {
        return false; // in a sandbox without same-origin this is always refused
      }
    }

    async function watch() {
      for (let tries = 0; tries < 10; tries += 1) {
        await new Promise((resolve) => { setTimeout(resolve, 400); });
        if (await arrived()) {
          status.textContent = "Opened in a new tab.";
          return;
        }
      }
      status.textContent = "If no tab opened, use one of the ways below. Your text is still here.";
      find("[data-fallback]").classList.add("needed");
    }

    form.addEventListener("submit", (event) => {
      if (button.disabled) return event.preventDefault();
      status.textContent = "Opening a new tab…";
      setTimeout(() => { button.disabled = true; }, 0); // a second click would open a second tab
      setTimeout(() => { button.disabled = false; }, 3000);
      watch();
    });
    box.addEventListener("input", carry);
    addEventListener("pageshow", carry);

    find("[data-copying]").hidden = false;
    find("[data-copy]").addEventListener("click", () => {
      box.select(); // the newer interface is refused in frames without allow="clipboard-write"
      status.textContent = document.execCommand("copy") ? "Copied." : "Select the text and copy it by hand.";
    });
  }

  function findings() {
    const isFramed = parent !== window;
    const found = [];
    const add = (isGood, text) => found.push([isGood, text]);
    if (!isFramed) {
      add(true, "This page was opened by itself, not in a frame. Paste the frame below into your page.");
      return found;
    }
    add(true, "The portal may be framed here.");
    add(true, "Scripts run.");
    if (!isSandboxed()) {
      add(true, "The frame has no sandbox attribute: nothing is restricted.");
    } else if (self.origin === "null") {
      add(false, "The frame is sandboxed without allow-same-origin: people need one more click. "
        + "Add allow-same-origin to the iframe's sandbox attribute.");
    } else {
      add(true, "The frame is sandboxed with allow-same-origin. Use the button below to test the rest.");
    }
    const origins = [...(location.ancestorOrigins ?? [])];
    if (!origins.length && document.referrer) origins.push(new URL(document.referrer).origin);
    add(true, `Around this frame: ${origins.join(", ") || "the browser does not say"}.`);
    const policy = document.featurePolicy ?? document.permissionsPolicy;
    if (policy?.allowsFeature("clipboard-write") === false) {
      add(true, "Copying needs the older way here, which works. allow=\"clipboard-write\" on the iframe is welcome.");
    }
    add(true, "Cookies of other sites are not needed, whatever your browsers block.");
    return found;
  }

  function diagnose(section) {
    section.querySelector("[data-findings]").replaceChildren(...findings().map(([isGood, text]) => {
      const item = document.createElement("li");
      item.className = isGood ? "good" : "bad";
      item.textContent = text;
      return item;
    }));
  }

  if (find("[data-embed]")) launcher(find("[data-embed]"));
  if (find("[data-diagnose]")) diagnose(find("[data-diagnose]"));
  if (find("[data-tab-bound]") && isSandboxed()) {
    find("[data-tab-bound]").hidden = false;
    find("[data-tab-free]").hidden = true;
  }
  if (parent !== window) new ResizeObserver(tellHeight).observe(find("main"));
})();
