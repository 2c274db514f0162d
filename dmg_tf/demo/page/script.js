// Sends a picture to /predict and shows the answer. All text from the server
// or from a file's name is set as text, never as HTML.
"use strict";

const at = (id) => document.getElementById(id);
// Bars at first; a data set can have hundreds of classes.
const FEW = 10;

let model = null;
let latest = null; // aborts the requests that newer ones replace
let entries = []; // {file, answer or error} of the pictures of one choice
let shown = null; // the entry that is shown
let current = null; // its answer
let all = false; // whether bars of all classes are shown
let looking = false; // whether maps are shown, of each picture from now on

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text ?? "";
  return made;
}

function percent(p) {
  if (p > 0 && p < 0.005) return "< 1 %";
  if (p < 1 && p >= 0.995) return "> 99 %";
  return `${Math.round(100 * p)} %`;
}

function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function bars(list, order, answer) {
  list.replaceChildren(
    ...order.map((name) => {
      const p = answer.probabilities[name];
      const row = element("li", name === answer.class_name ? "top" : "");
      const track = element("div", "track");
      const fill = element("div", "fill");
      fill.style.width = `${100 * p}%`;
      track.setAttribute("aria-hidden", "true");
      track.append(fill);
      row.append(
        element("span", "label", name),
        track,
        element("span", "value", percent(p)),
      );
      return row;
    }),
  );
}

function rule(answer) {
  const how = ruleWords();
  if (!answer.abstain) return how;
  return (
    `${how}. Below ${percent(model.abstains_below)} this model is too unsure to ` +
    "decide: leave it to someone."
  );
}

function ruleWords() {
  const { part, rule_is_mean, rule_name, source_domains } = model;
  if (!part) return "This model has nothing of each domain's own to compare";
  if (!rule_is_mean) return rule_name;
  return `${rule_name}: the mean over ${source_domains.length} ${part}s`;
}

function card(part, order, answer) {
  const made = element("article", "card");
  const differs = part.class_name !== answer.class_name;
  const says = `says ${part.class_name}, ${percent(part.probability)}`;
  const list = element("ol", "bars");
  bars(list, order, part);
  made.append(
    element("h3", "", part.domain),
    element("p", differs ? "says other" : "says", says),
    list,
  );
  return made;
}

function show(answer) {
  current = answer;
  const order = Object.keys(answer.probabilities).sort(
    (a, b) => answer.probabilities[b] - answer.probabilities[a],
  );
  const few = all ? order : order.slice(0, FEW);
  at("class").textContent = answer.class_name;
  at("probability").textContent = percent(answer.probability);
  at("more").hidden = order.length <= FEW;
  at("more").textContent = all ? "Show fewer" : `Show all ${order.length} classes`;
  bars(at("classes"), few, answer);

  const part = model.part;
  at("domains").hidden = at("agreement").hidden = !part;
  at("rule").textContent = rule(answer);
  if (part) {
    const { level, title, text } = answer.agreement;
    at("agreement").className = `agreement ${level}`;
    at("level").textContent = title;
    at("sentence").textContent = text;
    at("domains-title").textContent = `What each domain's ${part} says`;
    at("cards").replaceChildren(
      ...answer.per_domain.map((each) => card(each, few, answer)),
    );
  }
  showMaps(answer);
  at("result").hidden = false;
  document.querySelector("main").classList.add("with-result");
}

function figure(map, answer) {
  const made = element("figure", "");
  const picture = element("div", "seen");
  picture.style.aspectRatio = `${answer.width} / ${answer.height}`;
  const image = element("img", "");
  image.src = at("preview").src;
  image.alt = "";
  const heat = element("canvas", "");
  heat.width = map.values[0].length;
  heat.height = map.values.length;
  const pixels = new ImageData(heat.width, heat.height);
  map.values.flat().forEach((value, i) =>
    pixels.data.set([255, 110, 0, 190 * value], 4 * i),
  );
  heat.getContext("2d").putImageData(pixels, 0, 0);
  heat.setAttribute("role", "img");
  heat.setAttribute("aria-label", `${map.title}: ${place(map.values)}`);
  picture.append(image, heat);
  made.append(picture, element("figcaption", "", map.domain ?? map.title));
  return made;
}

// Where most of a map lies, in words.
function place(values) {
  const flat = values.flat();
  const peak = Math.max(...flat);
  if (!peak) return "no place speaks for the class";
  const [width, i] = [values[0].length, flat.indexOf(peak)];
  const third = (at, size) => Math.floor((3 * (at + 0.5)) / size);
  const down = ["top", "middle", "bottom"][third(Math.floor(i / width), values.length)];
  const across = ["left", "centre", "right"][third(i % width, width)];
  return `most at the ${down} ${across}`;
}

function showMaps(answer) {
  const part = model.part;
  const { maps } = answer;
  at("looks-title").textContent = part ? `Where each ${part} looks` : "Where it looks";
  at("look").hidden = Boolean(model.no_maps || maps);
  at("maps").replaceChildren(...(maps ?? []).map((map) => figure(map, answer)));
  at("looks-note").textContent = model.no_maps
    ? `Not here: ${model.no_maps}.`
    : maps
      ? `Orange: places that speak for ${answer.class_name}, by Grad-CAM on ` +
        `${maps[0].values.length} × ${maps[0].values[0].length} places of the last ` +
        "feature map. All maps have one scale, so that they compare."
      : "";
}

function fail(message) {
  at("error").textContent = message;
  at("result").hidden = true;
  document.querySelector("main").classList.remove("with-result");
}

function preview(file) {
  const image = at("preview");
  URL.revokeObjectURL(image.src);
  image.hidden = at("unseen").hidden = true;
  at("hint").hidden = false;
  at("name").textContent = file.name;
  image.src = URL.createObjectURL(file);
  return image.decode().then(
    () => {
      image.classList.toggle("tiny", image.naturalWidth < 200);
      image.hidden = false;
      at("hint").hidden = true;
      return true;
    },
    () => false, // no picture, or one that browsers don't know, as TIFF
  );
}

// Asks the server for one picture; sets the entry's answer or error.
async function ask(entry, signal) {
  const { file } = entry;
  if (file.size > model.max_bytes) {
    entry.error = `the file is too large; at most ${model.max_bytes / 1e6} MB are taken`;
    return;
  }
  try {
    const route = looking ? "/predict?maps=1" : "/predict";
    const reply = await fetch(route, { method: "POST", body: file, signal });
    const answer = await reply.json();
    if (reply.ok) entry.answer = answer;
    else entry.error = answer.error;
  } catch (error) {
    if (error.name === "AbortError") return;
    entry.error = "no answer: is the program that serves this page still running?";
  }
}

// Shows one of the pictures; asks for it again if maps are missing.
async function select(entry, signal) {
  shown = entry;
  at("error").textContent = "";
  markRow();
  const visible = preview(entry.file);
  const lacksMaps = looking && entry.answer && !entry.answer.maps;
  if (!(entry.answer || entry.error) || lacksMaps) {
    at("result").classList.add("waiting");
    await ask(entry, signal);
    if (signal.aborted || shown !== entry) return;
  }
  at("result").classList.remove("waiting");
  if (entry.error) {
    fail(entry.error);
    return;
  }
  const { width, height } = entry.answer;
  at("name").textContent = `${entry.file.name}, ${width} × ${height} px`;
  show(entry.answer);
  if (await visible) return;
  if (signal.aborted || shown !== entry) return;
  at("hint").hidden = true;
  at("unseen").hidden = false;
}

async function take(files, nothing) {
  if (!model) return;
  if (!files.length) {
    fail(nothing);
    return;
  }
  latest?.abort();
  latest = new AbortController();
  const { signal } = latest;
  entries = [...files].map((file) => ({ file }));
  at("many").hidden = entries.length < 2;
  if (entries.length > 1) list();
  await select(entries[0], signal);
  for (const entry of entries.length > 1 ? entries : []) {
    if (signal.aborted) return;
    if (!(entry.answer || entry.error)) await ask(entry, signal);
    if (signal.aborted) return;
    list();
  }
}

// What a row of the table says of a picture, beside its name.
function cells({ answer, error }) {
  if (error) return [error];
  if (!answer) return ["…"];
  const said = [answer.class_name, percent(answer.probability)];
  if (model.part) said.push(answer.agreement.title);
  if (answer.abstain !== null) said.push(answer.abstain ? "leave it to someone" : "no");
  return said;
}

function list() {
  const done = entries.filter((entry) => entry.answer || entry.error).length;
  at("progress").textContent =
    done < entries.length ? `${done} of ${entries.length}` : `${done} pictures`;
  at("csv").disabled = done < entries.length;
  const heads = ["file", "class", "probability"];
  if (model.part) heads.push(`${model.part}s`);
  if (model.abstains_below !== null) heads.push("abstain");
  at("heads").replaceChildren(
    ...heads.map((name) => {
      const head = element("th", "", name);
      head.scope = "col";
      return head;
    }),
  );
  at("rows").replaceChildren(
    ...entries.map((entry) => {
      const row = element("tr", "");
      const choose = element("button", "plain", entry.file.name);
      choose.type = "button";
      choose.addEventListener("click", () => select(entry, latest.signal));
      const first = element("th", "");
      first.scope = "row";
      first.append(choose);
      const said = cells(entry).map((text) => element("td", "", text));
      if (said.length === 1) said[0].colSpan = heads.length - 1;
      row.append(first, ...said);
      return row;
    }),
  );
  markRow();
}

function markRow() {
  [...at("rows").children].forEach((row, i) => {
    row.classList.toggle("chosen", entries[i] === shown);
  });
}

// The columns of `dmg-tf predict`.
function table() {
  const { part, source_domains, abstains_below } = model;
  const domains = part ? source_domains : [];
  const abstains = abstains_below !== null;
  const head = ["path", "class", "probability"];
  for (const domain of domains)
    head.push(`${part}/${domain}/class`, `${part}/${domain}/probability`);
  if (part) head.push("votes", "agreement");
  if (abstains) head.push("abstain");
  head.push("error");
  const number = (p) => p.toFixed(6);
  const rows = entries.map(({ file, answer, error }) => {
    if (!answer) return [file.name, ...Array(head.length - 2).fill(""), error];
    const row = [file.name, answer.class_name, number(answer.probability)];
    for (const own of answer.per_domain ?? [])
      row.push(own.class_name, number(own.probability));
    if (part) {
      const same = answer.per_domain.filter(
        (own) => own.class_name === answer.class_name,
      );
      row.push(number(same.length / domains.length), number(answer.agreement.score));
    }
    if (abstains) row.push(answer.abstain ? "yes" : "no");
    return [...row, ""];
  });
  return [head, ...rows];
}

// No spreadsheet runs a name as a formula: as `dmg-tf predict` writes them.
function cell(text) {
  const inert = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

function save() {
  const text = table().map((row) => `${row.map(cell).join(",")}\n`).join("");
  const link = element("a", "");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function trySample({ href, title }) {
  try {
    const reply = await fetch(href);
    if (!reply.ok) throw new Error();
    take([new File([await reply.blob()], title)]);
  } catch {
    fail("the picture is not there any more");
  }
}

function offer(samples) {
  at("try").hidden = !samples.length;
  at("samples").replaceChildren(
    ...samples.map((sample) => {
      const item = element("li", "");
      const button = element("button", "sample");
      button.type = "button";
      button.title = sample.title;
      const image = element("img", "");
      image.src = sample.href;
      image.alt = sample.title;
      button.append(image);
      button.addEventListener("click", () => trySample(sample));
      item.append(button);
      return item;
    }),
  );
}

function introduce(facts) {
  model = facts;
  offer(facts.samples);
  const where = Object.entries(facts.out_of_domain).map(
    ([domain, value]) => `${percent(value)} of ${domain}, which it never saw`,
  );
  let text =
    `${facts.method} on ${facts.backbone} tells ${facts.class_names.length} ` +
    `classes apart, learned from ${listed(facts.source_domains)}.`;
  if (facts.in_domain !== null) {
    const known = `${percent(facts.in_domain)} of their held-out pictures`;
    text += ` It is right for ${listed([known, ...where])}.`;
  }
  at("model").textContent = text;
  at("limits").textContent =
    "JPEG, PNG, BMP, GIF, WebP or TIFF, " +
    `up to ${facts.max_bytes / 1e6} MB. It goes to the program that serves ` +
    "this page, and is not kept.";
}

at("choose").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // the same file can be chosen again
  if (files.length) take(files);
});
at("more").addEventListener("click", () => {
  all = !all;
  show(current);
});
at("look").addEventListener("click", () => {
  looking = true;
  select(shown, latest.signal);
});
at("csv").addEventListener("click", save);
for (const name of ["dragenter", "dragover"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("drop").classList.remove("over");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files, "that was no file; save the picture first");
});
window.addEventListener("paste", (event) => {
  take(event.clipboardData.files, "there is no picture to paste");
});

fetch("/model")
  .then((reply) => reply.json())
  .then(introduce)
  .catch(() => fail("no answer: is the program that serves this page running?"));
