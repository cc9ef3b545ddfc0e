// The board keeps itself up to date: the page is asked again, and the board's part of it taken over.

"use strict";

const EVERY = 5_000;

async function renew(board) {
  if (document.hidden) return;
  const answer = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(EVERY) });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-board]");
  if (!fresh || fresh.innerHTML === board.dataset.last) return;
  board.dataset.last = fresh.innerHTML;
  board.replaceChildren(...fresh.childNodes);
  showTimes(); // portal.js
}

for (const board of document.querySelectorAll("[data-board]")) {
  // An answer that fails is no news: the numbers stay, and the next one may come.
  const again = () => renew(board).catch(() => {});
  setInterval(again, EVERY);
  document.addEventListener("visibilitychange", again);
}
