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
// Brings what matters of a tree into view: its root while it grows, its answer at the end.
new MutationObserver(() => {
  for (const box of document.querySelectorAll(".ltf-tree:not([data-seen])")) {
    box.dataset.seen = "yes";
    const node = box.querySelector("g.answer") || box.querySelector("svg g");
    if (!node) continue;
    const own = box.getBoundingClientRect(), at = node.getBoundingClientRect();
    box.scrollTop += at.top + at.height / 2 - own.top - own.height / 2;
    if (node.classList.contains("answer")) box.scrollLeft += Math.max(0, at.right - own.right + 8);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
