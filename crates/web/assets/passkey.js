// Passkeys: asks the browser for a signature and sends it with the form. Without this script the page says why it cannot.
(() => {
  "use strict";
  const form = document.querySelector("form[data-passkey]");
  if (!form || !window.PublicKeyCredential) return;
  const RENEW_AFTER = 240_000;
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const failed = form.querySelector("[data-failed]");
  let options = JSON.parse(form.dataset.options);
  let since = Date.now();
  let waiting;
  let timer;

  // A challenge is good for five minutes; a sign-in page may be open for longer.
  const publicKey = async () => {
    if (form.dataset.renew && Date.now() - since > RENEW_AFTER) {
      const answer = await fetch(form.dataset.renew, { method: "POST" });
      if (answer.ok) [options, since] = [(await answer.json()).publicKey, Date.now()];
    }
    const ready = { ...options, challenge: bytes(options.challenge) };
    if (ready.user) ready.user = { ...ready.user, id: bytes(ready.user.id) };
    for (const list of ["allowCredentials", "excludeCredentials"]) {
      if (ready[list]) ready[list] = ready[list].map((credential) => ({ ...credential, id: bytes(credential.id) }));
    }
    return ready;
  };

  const send = ({ id, type, response }) => {
    const said = { clientDataJSON: text(response.clientDataJSON) };
    if (response.attestationObject) {
      said.attestationObject = text(response.attestationObject);
      said.transports = response.getTransports?.() ?? [];
    } else {
      said.authenticatorData = text(response.authenticatorData);
      said.signature = text(response.signature);
      if (response.userHandle?.byteLength) said.userHandle = text(response.userHandle);
    }
    form.elements.credential.value = JSON.stringify({ id, rawId: id, type, response: said });
    form.submit();
  };

  const ask = async (mediation) => {
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    const request = { publicKey: await publicKey(), signal };
    if (mediation) request.mediation = mediation;
    if (!signal.aborted) send(await navigator.credentials[form.dataset.passkey](request));
  };

  // Offers passkeys where the address is typed, for as long as the page is open.
  const offer = () => ask("conditional").catch(() => {});
  const conditional = async () => {
    if (form.dataset.conditional === undefined || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    offer();
    timer ??= setInterval(() => { if (!form.dataset.sent) offer(); }, RENEW_AFTER);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    ask().catch((reason) => {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
      if (reason.name !== "AbortError") failed.hidden = false;
      if (form.dataset.conditional !== undefined) conditional();
    });
  });
  form.hidden = false;
  document.querySelector("[data-passkey-off]")?.remove();
  conditional();
})();
