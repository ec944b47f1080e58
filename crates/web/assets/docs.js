// The reference's "try it" forms. Nothing is stored; the session cookie goes along, as same-origin requests do.
(() => {
  "use strict";
  const credential = document.querySelector("#credential");
  credential.hidden = false;
  const token = credential.querySelector("input");

  for (const attempt of document.querySelectorAll(".attempt")) {
    attempt.hidden = false;
    const form = attempt.querySelector("form");
    const answer = form.querySelector("[role=status]");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.setAttribute("aria-busy", "true");
      const { url, request } = build(form);
      try {
        show(answer, await fetch(url, request));
      } catch (error) {
        answer.replaceChildren(line("p", form.dataset.failed + ": " + error.message));
      } finally {
        button.removeAttribute("aria-busy");
      }
    });
  }

  function build(form) {
    let path = form.dataset.path;
    const query = new URLSearchParams();
    const headers = new Headers({ accept: "application/json" });
    for (const input of form.querySelectorAll("[data-in]")) {
      const { in: place, name } = input.dataset;
      if (place === "path") path = path.replace("{" + name + "}", encodeURIComponent(input.value));
      else if (place === "query" && input.value) query.append(name, input.value);
      else if (place === "header" && input.value) headers.set(name, input.value);
    }
    if (token.value) headers.set("authorization", "Bearer " + token.value.trim());
    const body = form.querySelector("textarea");
    if (body) headers.set("content-type", body.dataset.type);
    const text = query.toString();
    return { url: path + (text ? "?" + text : ""), request: { method: form.dataset.method, headers, body: body?.value, credentials: token.value ? "omit" : "same-origin" } };
  }

  async function show(answer, response) {
    const text = await response.text();
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it is */ }
    const head = line("p", response.status + " " + response.statusText);
    head.className = "label";
    const body = line("pre", pretty);
    body.tabIndex = 0;
    answer.replaceChildren(head, ...(pretty ? [body] : []));
  }

  function line(name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  }
})();
