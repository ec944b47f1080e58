// Comforts for browsers with JavaScript; every page works without.
(() => {
  "use strict";
  for (const box of document.querySelectorAll(".secret")) {
    const input = box.querySelector("input");
    const button = document.createElement("button");
    button.type = "button";
    const paint = () => {
      const shown = input.type === "text";
      button.textContent = shown ? box.dataset.hide : box.dataset.show;
      button.setAttribute("aria-label", button.textContent + " (" + box.dataset.label + ")");
    };
    button.addEventListener("click", () => {
      input.type = input.type === "text" ? "password" : "text";
      paint();
      input.focus();
    });
    paint();
    box.append(button);
    input.form?.addEventListener("submit", () => { input.type = "password"; });
  }
  // How good a new password seems, while it is typed. The server has the last word, and the list of those that attackers try first.
  const judge = (text, known) => {
    const missing = 8 - [...text].length;
    if (missing > 0) return ["short", missing];
    let rest = text.toLowerCase();
    for (const word of known) rest = rest.replaceAll(word, "");
    const letters = [...rest];
    // aaaa, abcd and 4321 are worth one character each.
    const steps = letters.filter((letter, at) => at === 0 || Math.abs(letter.codePointAt(0) - letters[at - 1].codePointAt(0)) > 1);
    const worth = Math.min(steps.length, 1.5 * new Set(letters).size);
    return [worth < 8 ? "weak" : worth < 14 ? "fair" : "good", 0];
  };
  for (const box of document.querySelectorAll(".secret[data-weak]")) {
    const input = box.querySelector("input");
    const note = document.createElement("p");
    note.className = "hint strength";
    note.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const fields = document.querySelectorAll('input[name="email"], input[name="name"], input[name="username"]');
      const known = [...fields].flatMap((field) => field.value.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter((word) => word.length > 3);
      const [verdict, missing] = input.value ? judge(input.value, known) : ["", 0];
      const words = (box.dataset[verdict] ?? "").replace("{n}", missing);
      if (note.textContent !== words) note.textContent = words;
      note.dataset.strength = verdict;
    });
    box.after(note);
  }
  for (const form of document.querySelectorAll('form[method="post"]')) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "yes";
      event.submitter?.setAttribute("aria-busy", "true");
    });
  }
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
    }
  });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
    }
  }
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    const from = document.getElementById(button.dataset.copy);
    if (!from || !navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(from.textContent);
      button.textContent = button.dataset.done;
    });
  }
  for (const note of document.querySelectorAll("[data-countdown]")) {
    let left = Number(note.dataset.countdown);
    const words = note.textContent.split(String(left));
    const tick = setInterval(() => {
      left -= 1;
      note.textContent = left > 0 ? words.join(String(left)) : note.dataset.then;
      if (left <= 0) clearInterval(tick);
    }, 1000);
  }
  document.querySelector("[data-focus]")?.focus();
})();
