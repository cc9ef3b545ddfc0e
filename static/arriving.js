// A stranger's first page: keep a text that came in the fragment (no server sees it), then sign in.

import { keepFragment } from "./fragment.js";

keepFragment();
location.replace(document.querySelector("[data-arriving]").href);
