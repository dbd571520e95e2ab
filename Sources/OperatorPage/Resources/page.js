// Conveniences of the operator's page. The page can be read, and every form works, without this script.
"use strict";

// Shows the buttons that copy the text beside them.
function offerCopying(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}

// Disables the button of a form that must be confirmed, until the right name is typed.
function holdBackUntilTyped(root) {
  for (const field of root.querySelectorAll("[data-must-be]")) {
    const button = field.form.querySelector("button");
    const look = () => { button.disabled = field.value.trim() !== field.dataset.mustBe.trim(); };
    field.addEventListener("input", look);
    look();
  }
}

// Fetches a live page again at intervals, unless the operator is working in it.
function follow() {
  const main = document.querySelector("main[data-live]");
  if (!main) { return; }
  const seconds = Number(main.dataset.live);
  const isBusy = () => document.hidden || main.contains(document.activeElement) || main.querySelector("details[open] form")
    || !getSelection().isCollapsed;
  let last = null;
  setInterval(async () => {
    if (isBusy()) { return; }
    try {
      const response = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!response.ok) { return; }
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
      // Only the text is compared, because with each replacement a frame would load again and jump.
      const text = fresh.textContent;
      if (isBusy() || text === (last ?? main.textContent)) { return; }
      last = text;
      const open = [...main.querySelectorAll("details")].map((element) => element.open);
      fresh.querySelectorAll("details").forEach((element, place) => { if (open[place]) { element.open = true; } });
      fresh.querySelector(".done")?.remove();
      main.replaceChildren(...fresh.childNodes);
      offerCopying(main);
    } catch { /* The relay restarts, or the tunnel is down. The next fetch tries again. */ }
  }, seconds * 1000);
}

// Asks before an action that can't be undone.
document.addEventListener("submit", (event) => {
  const question = event.target.querySelector("[data-confirm]")?.dataset.confirm;
  if (question && !confirm(question)) { event.preventDefault(); event.stopImmediatePropagation(); }
});

// Sends a form only once, even if its button is pressed several times.
document.addEventListener("submit", (event) => {
  if (event.target.method === "post" && !event.submitter?.formTarget) {
    setTimeout(() => { for (const button of event.target.querySelectorAll("button")) { button.disabled = true; } }, 0);
  }
});
addEventListener("pageshow", (event) => { if (event.persisted) { location.reload(); } });

// Shows the preview of a template while it is written.
function previewWhileWriting() {
  const button = document.querySelector("[data-preview]");
  if (!button) { return; }
  const form = button.form;
  let waiting = null;
  const show = () => {
    // The frame is replaced, because each document in the same frame would become a step in the browser's history.
    const frame = form.querySelector("iframe");
    frame.replaceWith(frame.cloneNode(false));
    form.requestSubmit(button);
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 500);
  });
  form.addEventListener("submit", (event) => { if (event.submitter !== button) { clearTimeout(waiting); } });
  show();
}

offerCopying(document);
previewWhileWriting();
holdBackUntilTyped(document);
follow();
