// Nothing of a person's stays in the browser after they have signed out.

try {
  sessionStorage.clear();
  localStorage.clear();
} catch {
  // Storage is switched off: there is nothing to forget.
}
