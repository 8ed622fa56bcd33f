// A button beside each <pre data-copy="what it is"> that copies its text. Without this script the text can be selected.
"use strict";

const SAID_MS = 2000;

async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    // no clipboard outside of TLS and loopback: by the selection, then
    getSelection().selectAllChildren(pre);
    return document.execCommand("copy");
  }
}

for (const pre of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${pre.dataset.copy}`);
  const said = document.createElement("span");
  said.className = "quiet";
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    said.textContent = (await copy(pre)) ? " copied" : " selected";
    setTimeout(() => (said.textContent = ""), SAID_MS);
  });
  const line = document.createElement("p");
  line.append(button, said);
  pre.after(line);
}
