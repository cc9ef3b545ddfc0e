// Help to write, never a gate: what the text seems to hold, what it had better not, and what can be left out of it.
// portal.js asks for this module when somebody is about to write; `find`, `findAll` and `counted` are its.

export function help(form, words) {
  new Ticks(form, find("[data-parts]", words)).start();
  new Offers(form, find('[data-sentence="details"]', words)).start();
  for (const input of findAll("input[type=file]", form.area)) new Bringing(form.area, input).start();
}


// A file that is dropped, pasted or chosen goes the way of the button beside the field, without a press.

class Bringing {
  constructor(area, input) {
    this.area = area;
    this.input = input;
    this.button = find("[data-bring]", area);
  }

  start() {
    this.input.addEventListener("change", () => this.input.files.length && this.send());
    this.area.addEventListener("paste", (event) => this.take(event, event.clipboardData));
    this.area.addEventListener("drop", (event) => this.take(event, event.dataTransfer));
    this.area.addEventListener("dragover", (event) => this.show(event, true));
    this.area.addEventListener("dragleave", (event) => this.show(event, false));
  }

  take(event, brought) {
    this.show(event, false);
    if (!brought?.files.length) return;
    event.preventDefault();
    this.input.files = brought.files;
    this.send();
  }

  show(event, isOver) {
    const isFile = event.dataTransfer?.types.includes("Files") ?? false;
    if (isFile) event.preventDefault();
    this.area.classList.toggle("dropping", isOver && isFile);
  }

  send() {
    this.input.form.requestSubmit(this.button);
  }
}


// The four parts: a tick where the text seems to hold one; pressed, the part's line is put in.

class Ticks {
  constructor(form, words) {
    this.form = form;
    this.words = words.dataset;
    this.items = findAll("[data-ticks] li", form.area);
    findAll("li", words).forEach(({ dataset }, at) => Object.assign(this.items[at].dataset, dataset));
    const names = this.items.map((item) => item.dataset.line.trim());
    this.empty = new RegExp(`^(${names.join("|")})[ \\t]*$`, "gmi"); // a line that was put in, and nothing more
  }

  start() {
    for (const item of this.items) this.makeButton(item);
    for (const event of ["input", "filled"]) this.form.box.addEventListener(event, () => this.look());
    this.look();
  }

  makeButton(item) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes, document.createElement("span"));
    button.lastChild.className = "unseen";
    button.addEventListener("click", () => this.goTo(item.dataset.line));
    item.append(button);
  }

  look() {
    const text = this.form.box.value.replace(this.empty, "");
    for (const item of this.items) {
      const isThere = this.holds(text, item.dataset);
      item.classList.toggle("there", isThere);
      find(".unseen", item).textContent = ` ${isThere ? this.words.there : this.words.missing}`;
    }
  }

  holds(text, { line, words }) {
    const any = words.replaceAll(" ", "|");
    return new RegExp(`^${line.trim()}|(?<!\\p{L})(?:${any})(?!\\p{L})`, "imu").test(text);
  }

  // To the end of the part's line, which is put below the text if it is not there yet: as if typed, so that the
  // browser's own Undo takes it back.
  goTo(line) {
    const { box } = this.form;
    box.focus();
    if (!new RegExp(`^${line.trim()}`, "im").test(box.value)) {
      const text = box.value.trimEnd();
      box.setSelectionRange(text.length, box.value.length);
      document.execCommand("insertText", false, text ? `\n${line}` : line);
    }
    const start = box.value.search(new RegExp(`^${line.trim()}`, "im"));
    const end = box.value.indexOf("\n", start);
    box.setSelectionRange(...Array(2).fill(end < 0 ? box.value.length : end));
  }
}


// Offers: to tidy what was pasted, to put roles in the place of addresses and numbers. Each can be undone.

class Offers {
  constructor(form, details) {
    this.form = form;
    this.details = details;
    this.declined = new Set();
  }

  start() {
    this.form.box.addEventListener("paste", () => setTimeout(() => this.pasted(), 0));
    this.form.box.addEventListener("input", () => this.lookLater());
    this.look();
  }

  pasted() {
    const text = this.form.box.value;
    if (looksBrought(text)) this.offer("tidy", "tidied", "tidy", tidy(text));
  }

  lookLater() {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.look(), 1000);
  }

  look() {
    const text = this.form.box.value;
    const isSaid = this.form.offered.childNodes.length;
    if (!detailsIn(text).length) return isSaid && this.form.said === "details" && this.form.offered.replaceChildren();
    if (isSaid) return;
    this.offer("details", "replaced", "replace", withRoles(text, this.details.dataset), { what: this.inWords() });
  }

  inWords() {
    const text = this.form.box.value;
    const parts = [["addresses", addressesIn(text).length], ["phones", phonesIn(text).length]]
      .filter(([, count]) => count)
      .map(([name, count]) => counted(this.details, name, count));
    const list = new Intl.ListFormat(locale).format(parts);
    return list[0].toLocaleUpperCase(locale) + list.slice(1);
  }

  // Declined once, the same offer does not come again for this page.
  offer(name, done, verb, changed, slots) {
    const before = this.form.box.value;
    if (this.declined.has(name) || changed === before) return;
    this.form.offer(name, {
      [verb]: () => {
        this.form.change(changed);
        this.form.offer(done, { undo: () => this.form.change(before) });
      },
      leave: () => this.declined.add(name),
    }, slots);
  }
}


// What is found by pattern. Every repetition has its limit, so that a long text is no long work.

const ADDRESS = /[\p{L}\d._%+-]{1,64}@[\p{L}\d-]{1,63}(?:\.[\p{L}\d-]{1,63}){1,6}/gu;
const PHONE = /(?<![\w.])(?:\+\d|\(\d|0\d)[\d ()./-]{5,18}\d(?![\w-])|(?<![\w-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])/g;

const addressesIn = (text) => [...new Set(text.match(ADDRESS) ?? [])];
const phonesIn = (text) => [...new Set(text.match(PHONE) ?? [])];
const detailsIn = (text) => [...addressesIn(text), ...phonesIn(text)];

function withRoles(text, { person, phone }) {
  const everybody = addressesIn(text);
  return text
    .replace(ADDRESS, (address) => person.replace("{count}", everybody.indexOf(address) + 1))
    .replace(PHONE, phone);
}


// Invites and transcripts, as calendars and meeting programs write them.

const TIME_CODE = /^\s*(?:\d{1,2}:)?\d{1,2}:\d{2}[.,]\d{3}\s*-->/;
const SPOKEN_AT = /^\s*[[(]?(?:\d{1,2}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?[\])]?\s+/;
const NOISE = [
  TIME_CODE,
  /^\s*(?:WEBVTT|\d{1,6})\s*$/,
  /^[\s_*=~.-]{5,}$/,
  /https?:\/\/\S{0,200}(?:zoom\.us|teams\.|meet\.google|webex|gotomeet|whereby|bluejeans)/i,
  /^\s*(?:join |meeting id|passcode|password:|dial|phone conference|find (?:a |your )?local|one tap|meeting (?:link|url)|need help|click here to join|microsoft teams|video call link|more phone numbers|system reference)/i,
  /^\s*[+(]?\d[\d\s().,#*-]{6,40}(?:\D{0,40})?$/,
  /^\s*>/,
  /^\s*(?:On .{5,100} wrote:|-{2,}\s*Original Message.*)$/i,
];

const isNoise = (line) => NOISE.some((pattern) => pattern.test(line));

function looksBrought(text) {
  const lines = text.split("\n");
  return lines.filter((line) => isNoise(line) || SPOKEN_AT.test(line)).length > 2;
}

function tidy(text) {
  const [body] = text.split(/^-- ?$/m); // a signature follows
  const kept = body.split("\n")
    .filter((line) => !isNoise(line))
    .map((line) => line.replace(/^<v ([^>]{1,80})>/, "$1: ").replace("</v>", "").replace(SPOKEN_AT, ""));
  return kept.join("\n").replace(/\n{3,}/g, "\n\n").trim();
}
