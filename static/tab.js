// The tab that a frame opened, before anything else runs in it: a tab that inherited a sandbox goes no further
// by itself, for the sign-in or the studio may become a browser's error page there. A classic script, as frame.js.

"use strict";

(() => {
  function isSandboxed() {
    try {
      document.domain = document.domain; // throws in every sandboxed document, and does nothing elsewhere
      return false;
    } catch {
      return true;
    }
  }

  function show(notice) {
    const address = notice.querySelector("[data-address]");
    address.textContent = location.href;
    notice.querySelector("[data-copy-address]").addEventListener("click", ({ target }) => {
      getSelection().selectAllChildren(address);
      target.textContent = document.execCommand("copy") ? target.dataset.copied : target.dataset.byHand;
    });
    document.querySelector("h1").textContent = notice.dataset.title;
    notice.hidden = false;
  }

  function goOn() {
    const link = document.querySelector("[data-go-on]");
    if (link) location.replace(link.href);
  }

  const isRestricted = isSandboxed();
  if (isRestricted) document.documentElement.dataset.restricted = "";
  document.addEventListener("DOMContentLoaded", () => {
    if (isRestricted) {
      show(document.querySelector("[data-restricted-notice]"));
    } else {
      goOn();
    }
  });
})();
