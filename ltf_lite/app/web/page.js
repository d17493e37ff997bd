// The language of the page is that of its address.
const ltfSaid = location.pathname.split("/").filter(Boolean).pop();
document.documentElement.lang = window.ltfLanguages.includes(ltfSaid) ? ltfSaid : window.ltfHome;
// What the address names: a tab, a run, a task, a problem.
const ltfQuery = () => new URLSearchParams(location.search);
let ltfBefore = location.search;
// Names something in the address; the step before is a step back.
window.ltfGo = (parts) => {
  const query = ltfQuery();
  for (const [name, value] of Object.entries(parts)) value ? query.set(name, value) : query.delete(name);
  if (query.toString() !== ltfQuery().toString()) history.pushState(null, "", "?" + query);
  ltfBefore = location.search;
};
window.ltfTab = () => {
  const button = document.getElementById(`tab-${ltfQuery().get("tab") || "compare"}-button`);
  if (button && button.getAttribute("aria-selected") !== "true") button.click();
};
// What the tabs show when the page is opened.
window.ltfPlace = () => ["run", "task", "problem"].map((name) => ltfQuery().get(name) || "");
// A comparison is named by its run, task and problem, and brought into view.
window.ltfAsked = (model, task, problem) => {
  const run = model && model.includes("/") ? model.split("/")[0] : "";
  window.ltfGo({ tab: "compare", run, task, problem });
  if (window.ltfStill) return;
  document.getElementById("ask").scrollIntoView({ block: "start", behavior: "smooth" });
};
addEventListener("popstate", () => {
  const [old, now] = [ltfBefore, location.search].map((all) => new URLSearchParams(all));
  ltfBefore = location.search;
  old.delete("tab"); now.delete("tab");
  if (old.toString() === now.toString()) ltfTab(); else location.reload();
});
addEventListener("click", (event) => {
  const link = event.target.closest(".ltf-languages a");
  if (link) link.search = location.search;
  const tab = event.target.closest("button[role=tab]");  // a person's click: the page opens one too
  const named = tab && event.isTrusted && tab.id.match(/^tab-(\w+)-button$/);
  if (named) window.ltfGo({ tab: named[1] });
}, true);
// Brings a file of questions to the app; gives its name there, or the sentence that says why not.
window.ltfUpload = async () => {
  const box = document.querySelector("#task-file input"), file = box && box.files[0];
  if (!file) return ["", ""];
  if (file.size > window.ltfLargest) return ["", "large"];
  const said = { name: "", error: "" };
  try {
    const answer = await fetch("tasks/upload?name=" + encodeURIComponent(file.name), {
      method: "POST", body: file, headers: { "X-Ltf-Token": window.ltfToken },
    });
    Object.assign(said, await answer.json());
    if (said.name) box.value = "";
  } catch (error) { said.error = String(error); }
  return [said.name, said.error];
};
// The name of a file of problems, its bytes in base64 and how many they are; no bytes where it is too large.
window.ltfProblems = async () => {
  const box = document.querySelector("#problems-file input"), file = box && box.files[0];
  if (!file) return ["", "", "0"];
  const read = new FileReader(), size = String(file.size);
  if (file.size > window.ltfProblemBytes) return [file.name, "", size];
  await new Promise((done) => { read.onloadend = done; read.readAsDataURL(file); });
  return [file.name, String(read.result || "").split(",")[1] || "", size];
};
// Draws a tree as large as its window lets it be read, with what matters of it in view: its root
// while it grows, its answer at the end.
const ltfScale = (box, scale) => {
  const svg = box.querySelector("svg");
  box.dataset.scale = scale;
  svg.style.width = svg.viewBox.baseVal.width * scale + "px";
  svg.style.height = svg.viewBox.baseVal.height * scale + "px";
};
const ltfFits = (box) => {
  const all = box.querySelector("svg").viewBox.baseVal;
  return Math.min(1, box.clientWidth / all.width, box.clientHeight / all.height);
};
const ltfShow = (box) => {
  const node = box.querySelector("g.answer") || box.querySelector("svg g");
  if (!node) return;
  const own = box.getBoundingClientRect(), at = node.getBoundingClientRect();
  box.scrollTop += at.top + at.height / 2 - own.top - own.height / 2;
  if (node.classList.contains("answer")) box.scrollLeft += Math.max(0, at.right - own.right + 8);
};
new MutationObserver(() => {
  for (const box of document.querySelectorAll(".ltf-tree:not([data-scale])")) {
    if (!box.clientWidth) continue;
    ltfScale(box, Math.max(0.85, ltfFits(box)));  // its letters are 11 pixels and more
    ltfShow(box);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  if (!button) return;
  const box = button.closest(".ltf-searched").querySelector(".ltf-tree"), by = Number(button.dataset.zoom);
  const scale = by ? Number(box.dataset.scale) * by : ltfFits(box);
  ltfScale(box, Math.min(3, Math.max(0.1, scale)));
  ltfShow(box);
});
