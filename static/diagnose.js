// The page that says why a frame does not work. A classic script: see portal.js.

"use strict";

// Throws in every sandboxed document, in all engines, and does nothing elsewhere.
function isSandboxed() {
  try {
    document.domain = document.domain;
    return false;
  } catch {
    return true;
  }
}

// What was found, by the names that the page's sentences have; what is to be changed first stands first.
async function findings() {
  const policy = document.featurePolicy ?? document.permissionsPolicy;
  return [
    ...sandboxFindings(),
    "listed",
    ...(origins().length ? ["around"] : []),
    await cookieFinding(),
    ...(self.crossOriginIsolated ? ["isolated"] : []),
    ...(policy ? policyFindings(policy) : []),
  ];
}

function origins() {
  const around = [...(location.ancestorOrigins ?? [])];
  return around.length || !document.referrer ? around : [new URL(document.referrer).origin];
}

function sandboxFindings() {
  if (!isSandboxed()) return ["free"];
  return [
    ...(mayPost() ? [] : ["no-forms"]),
    self.origin === "null" ? "no-same-origin" : "same-origin",
    "scripts",
  ];
}

async function cookieFinding() {
  return await document.hasStorageAccess?.().catch(() => false) ? "cookies" : "no-cookies";
}

function policyFindings(policy) {
  const names = ["local-network-access", "local-network"].filter((name) => policy.features().includes(name));
  return [
    ...(policy.allowsFeature("clipboard-write") ? [] : ["no-clipboard"]),
    ...(names.length && !names.some((name) => policy.allowsFeature(name)) ? ["no-local-network"] : []),
  ];
}

async function diagnose(section) {
  const sentences = find("[data-sentences]", section).content;
  const items = (await findings()).map((name) => find(`[data-found="${name}"]`, sentences).cloneNode(true));
  find("[data-findings]", section).replaceChildren(...items);
  for (const slot of findAll("[data-origins]", section)) slot.textContent = origins().join(", ");
  showChange(find(".bad", section)?.dataset.add);
}

// The one word to change first.
function showChange(word) {
  const first = find("[data-first]");
  first.hidden = !word;
  if (word) find("code", first).textContent = word;
  find("[data-change]").hidden = !word;
  find("[data-no-change]").hidden = Boolean(word);
}

// A tab that opens takes the focus away from here.
async function hasLeft() {
  let isAway = false;
  const leave = () => { isAway = true; };
  addEventListener("blur", leave, { once: true });
  document.addEventListener("visibilitychange", leave, { once: true });
  for (let tries = 0; tries < 15 && !isAway; tries += 1) await wait(100);
  return isAway;
}

function watchPress(form) {
  form.addEventListener("submit", async () => {
    const status = find("[data-status]", form);
    const isAway = await hasLeft();
    status.textContent = isAway ? status.dataset.opened : status.dataset.nothing;
    if (!isAway && find("[data-first]").hidden) showChange("allow-popups");
  });
}

for (const section of findAll("[data-diagnose]")) diagnose(section);
findAll("[data-press]").forEach(watchPress);
for (const page of findAll("[data-tab]")) find(isSandboxed() ? "[data-tab-bound]" : "[data-tab-free]", page).hidden = false;
