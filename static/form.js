// The form with a script: counts, sends once, and fills itself from the fragment.

import { takeFragment } from "./fragment.js";

const form = document.querySelector("[data-prompt-form]");
const box = form.elements.prompt;
const button = form.querySelector("button");
const label = button.textContent;
const status = form.querySelector("[data-status]");
const count = form.querySelector("[data-count]");
const longest = Number(box.dataset.longest);

function showCount() {
  const used = [...box.value].length; // code points, as the server counts
  const left = longest - used;
  count.classList.toggle("over", left < 0);
  count.textContent = left < 0
    ? `${(-left).toLocaleString("en")} characters too long`
    : `${used.toLocaleString("en")} of ${longest.toLocaleString("en")} characters`;
}

function setBusy(busy) {
  form.dataset.busy = busy ? "yes" : "";
  button.setAttribute("aria-disabled", String(busy));
  button.textContent = busy ? button.dataset.busyLabel : label;
  status.textContent = busy ? "Creating your scenario. This can take a few seconds." : "";
}

form.addEventListener("submit", (event) => {
  if (form.dataset.busy) return event.preventDefault();
  setBusy(true);
});

box.addEventListener("input", showCount);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

for (const link of document.querySelectorAll("[data-starter]")) {
  link.addEventListener("click", (event) => {
    if (box.value.trim()) return void (link.target = "_blank"); // what is typed here stays
    event.preventDefault();
    box.value = link.dataset.starter;
    showCount();
    box.focus();
  });
}

// Back from the studio shows this page as it was left.
addEventListener("pageshow", () => setBusy(false));

const text = takeFragment();
if (text !== null && !box.value) box.value = text;
showCount();
