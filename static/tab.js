// The tab that a frame opened, before anything else runs in it: a tab that inherited a sandbox goes no further
// by itself, for the sign-in or the studio may become a browser's error page there.

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

  if (isSandboxed()) document.documentElement.dataset.restricted = "";
  document.addEventListener("DOMContentLoaded", () => {
    const notice = document.querySelector("[data-restricted-notice]");
    if (isSandboxed()) {
      notice.hidden = false;
      notice.querySelector("[data-address]").textContent = location.href;
    } else {
      const link = document.querySelector("[data-go-on]");
      if (link) location.replace(link.href);
    }
  });
})();
