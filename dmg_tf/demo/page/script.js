// Sends a picture to /predict and shows the answer. All text from the server
// or from a file's name is set as text, never as HTML.
"use strict";

const at = (id) => document.getElementById(id);
// Bars at first; a data set can have hundreds of classes.
const FEW = 10;

let model = null;
let latest = null; // aborts the request that a newer one replaces
let shown = null; // the last answer
let all = false; // whether bars of all classes are shown

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

function rule() {
  const { part, rule_is_mean, rule_name, source_domains } = model;
  if (!part) return "This model has nothing of each domain's own to compare.";
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
  shown = answer;
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
  at("rule").textContent = rule();
  if (part) {
    const { level, score, text } = answer.agreement;
    at("agreement").className = `agreement ${level}`;
    at("level").textContent = `The ${part}s ${level}`;
    at("score").textContent = `(${percent(score)} alike)`;
    at("sentence").textContent = text;
    at("domains-title").textContent = `What each domain's ${part} says`;
    at("cards").replaceChildren(
      ...answer.per_domain.map((each) => card(each, few, answer)),
    );
  }
  at("result").hidden = false;
  document.querySelector("main").classList.add("with-result");
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

async function predict(file) {
  latest?.abort();
  latest = new AbortController();
  const { signal } = latest;
  at("error").textContent = "";
  const visible = preview(file);
  if (file.size > model.max_bytes) {
    fail(`the file is too large; at most ${model.max_bytes / 1e6} MB are taken`);
    return;
  }
  at("result").classList.add("waiting");
  try {
    const reply = await fetch("/predict", { method: "POST", body: file, signal });
    const answer = await reply.json();
    if (signal.aborted) return;
    if (!reply.ok) {
      fail(answer.error);
      return;
    }
    at("name").textContent = `${file.name}, ${answer.width} × ${answer.height} px`;
    show(answer);
    if (await visible) return;
    if (signal.aborted) return;
    at("hint").hidden = true;
    at("unseen").hidden = false;
  } catch (error) {
    if (error.name === "AbortError") return;
    fail("no answer: is the program that serves this page still running?");
  } finally {
    if (!signal.aborted) at("result").classList.remove("waiting");
  }
}

function take(files, nothing) {
  if (!model) return;
  if (files.length) predict(files[0]);
  else fail(nothing);
}

function introduce(facts) {
  model = facts;
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
  show(shown);
});
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
