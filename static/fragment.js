// A text in the address's fragment, `#p=…`: it waits in this tab's storage until the form can take it.

const KEY = "fragment";

const textOf = (hash) => new URLSearchParams(hash.slice(1)).get("p");

export function keepFragment() {
  const text = textOf(location.hash);
  try {
    if (text !== null) sessionStorage.setItem(KEY, text);
  } catch {
    // Storage is switched off: the address itself still holds the text.
  }
}

// Return the text once, from the address or from storage, and leave no trace of it in the address.
export function takeFragment() {
  const text = textOf(location.hash);
  if (text !== null) history.replaceState(history.state, "", location.pathname + location.search);
  try {
    const kept = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
    return text ?? kept;
  } catch {
    return text;
  }
}
