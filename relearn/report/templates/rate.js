// Shows one item at a time, keeps the scores in this browser, and saves them as CSV. Texts go in as textContent only.
const source = document.getElementById("data");
const items = JSON.parse(source.textContent);
const place = "relearn-ratings-" + source.dataset.fingerprint;
const aspects = [["helpfulness", "Helpful"], ["correctness", "Correct"]];
const $ = (id) => document.getElementById(id);
let kept = { rater: "", at: 0, scores: {}, choices: {} };
try { kept = Object.assign(kept, JSON.parse(localStorage.getItem(place) || "{}")); } catch { /* storage is off: the page still works, unsaved */ }
kept.at = Math.min(Math.max(0, kept.at | 0), items.length - 1);

const pairOf = (item) => item.id + "/" + item.answers.map((answer) => answer.key).join("/");
const finished = (item) => item.pair ? Boolean(kept.choices[pairOf(item)]) : item.answers.every((answer) => aspects.every(([name]) => (kept.scores[item.id + "/" + answer.key] || {})[name]));

function keep() {
  let stored = true;
  try { localStorage.setItem(place, JSON.stringify(kept)); } catch { stored = false; }
  const done = items.filter(finished).length;
  $("progress").textContent = `Instruction ${kept.at + 1} of ${items.length}; ${done} finished`;
  $("state").textContent = stored ? `${done} of ${items.length} instructions are finished.` : "This browser stores nothing: save before you close the page.";
  $("previous").disabled = kept.at === 0;
  $("next").disabled = kept.at === items.length - 1;
}

function make(name, attributes, text) {
  const element = Object.assign(document.createElement(name), attributes);
  if (text !== undefined) element.textContent = text;
  return element;
}

// A fieldset of radio buttons; `pick` is called with the value that is chosen.
function ask(legend, name, values, chosen, pick) {
  const group = make("fieldset", {});
  group.append(make("legend", {}, legend));
  const scale = make("div", { className: "scale" });
  for (const [value, text] of values) {
    const choice = make("label", {});
    const radio = make("input", { type: "radio", name, value: String(value), checked: chosen === value });
    radio.addEventListener("change", () => { pick(value); keep(); });
    choice.append(radio, make("span", {}, text));
    scale.append(choice);
  }
  group.append(scale);
  return group;
}

function show(focus) {
  const item = items[kept.at];
  $("item-title").textContent = `Instruction ${kept.at + 1}`;
  $("prompt").textContent = item.prompt;
  $("answers").replaceChildren(...item.answers.map((answer, number) => {
    const letter = String.fromCharCode(65 + number);
    const section = make("section", {});
    section.append(make("h3", {}, `Answer ${letter}`));
    const text = make("pre", { dir: "auto", tabIndex: 0 }, answer.text || "(nothing)");
    text.setAttribute("aria-label", `Answer ${letter}`);
    section.append(text);
    for (const [name, label] of item.pair ? [] : aspects) {
      const id = item.id + "/" + answer.key;
      const scores = [1, 2, 3, 4, 5].map((score) => [score, String(score)]);
      section.append(ask(`${label}?`, `${letter}-${name}`, scores, (kept.scores[id] || {})[name], (score) => { (kept.scores[id] ||= {})[name] = score; }));
    }
    return section;
  }));
  const sides = [["first", "Answer A"], ["second", "Answer B"], ["tie", "Neither"]];
  $("choice").replaceChildren(...item.pair ? [ask("Which is better?", "better", sides, kept.choices[pairOf(item)], (side) => { kept.choices[pairOf(item)] = side; })] : []);
  keep();
  if (focus) $("item").focus();
}

function go(step) {
  kept.at = Math.min(Math.max(0, kept.at + step), items.length - 1);
  show(true);
}

// RFC 4180: a field with a comma, a quote or a line break is put in quotes, and quotes are doubled.
// A leading apostrophe keeps a spreadsheet from taking a text for a formula.
const literal = (value) => /^[=+\-@\t\r]/.test(value) ? "'" + value : value;
const field = (value) => /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;

function csv() {
  const lines = [COLUMNS];
  for (const item of items) {
    const side = item.pair && kept.choices[pairOf(item)];
    if (side) lines.push([kept.rater.trim(), item.id, item.answers[0].key, "", "", item.answers[1].key, side]);
    for (const answer of item.pair ? [] : item.answers) {
      const score = kept.scores[item.id + "/" + answer.key];
      if (score) lines.push([kept.rater.trim(), item.id, answer.key, ...aspects.map(([name]) => String(score[name] || "")), "", ""]);
    }
  }
  return lines.map((line) => line.map(literal).map(field).join(",")).join("\r\n") + "\r\n";
}

$("rater").value = kept.rater;
$("rater").addEventListener("input", () => { kept.rater = $("rater").value; keep(); });
$("previous").addEventListener("click", () => go(-1));
$("next").addEventListener("click", () => go(1));
$("save").addEventListener("click", () => {
  if (!kept.rater.trim()) {
    $("state").textContent = "Please give your name or initials first.";
    $("rater").focus();
    return;
  }
  const link = make("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: `ratings-${kept.rater.trim().replace(/[^A-Za-z0-9_-]+/g, "-")}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  $("state").textContent = `Saved ${Object.keys(kept.scores).length} rated answers and ${Object.keys(kept.choices).length} pairs.`;
});
$("clear").addEventListener("click", () => {
  if (!confirm("Delete every score given here?")) return;
  kept = { rater: kept.rater, at: 0, scores: {}, choices: {} };
  show(true);
});
$("form").addEventListener("submit", (event) => event.preventDefault());
$("form").hidden = false;
if (items.length) show(false);
