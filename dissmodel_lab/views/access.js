// Gives the parts of a view what ipywidgets and Leaflet leave out: names for screen readers, and keys of their own.

const HANDLE = ".noUi-handle";
// With one of these a key is the notebook's: it runs a cell, or leaves the view.
const FREE = new Set(["Escape", "Tab"]);

function set(node, attribute, value) {
  if (value && node.getAttribute(attribute) !== value) node.setAttribute(attribute, value);
}

function labelOf(slider) {
  const own = slider.querySelector(".widget-label, label");
  const row = slider.closest(".dl-numbers");
  return own?.textContent.trim() || row?.querySelector("label")?.textContent.trim() || "";
}

function mendSliders(root) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const readout = slider.querySelector(".widget-readout");
    const shown = readout && readout.checkVisibility() ? readout.textContent.trim() : "";
    const label = labelOf(slider);
    for (const handle of slider.querySelectorAll(HANDLE)) {
      set(handle, "aria-label", label);
      set(handle, "aria-valuetext", shown);
    }
    if (readout?.isContentEditable) {
      set(readout, "role", "textbox");
      set(readout, "aria-label", label);
    }
  }
}

function mendPlayers(root, words) {
  for (const player of root.querySelectorAll(".widget-play")) {
    for (const button of player.querySelectorAll("button")) {
      const icon = [...(button.firstElementChild?.classList ?? [])].find(name => name.startsWith("fa-"));
      const name = words[icon?.slice(3)];
      set(button, "aria-label", name);
      set(button, "title", name);
      if (icon === "fa-retweet") set(button, "aria-pressed", String(button.classList.contains("mod-active")));
      set(button.firstElementChild, "aria-hidden", "true");
    }
  }
}

function mendPictures(root, words) {
  const readout = root.querySelector(".dl-step-slider .widget-readout");
  for (const picture of root.querySelectorAll("img.widget-image")) {
    const moment = picture.classList.contains("dl-step-picture") && readout ? readout.textContent.trim() : "";
    set(picture, "alt", [words.picture, moment].filter(Boolean).join(", "));
  }
  for (const map of root.querySelectorAll(".leaflet-container")) {
    set(map, "role", "application");
    set(map, "aria-label", words.map);
  }
}

// Where the keys go is seen, on any ground; Leaflet and some themes hide it.
const FOCUS = `.dl-accessible :is(button, select, input, textarea, .noUi-handle, .leaflet-container):focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 1px !important; }
.dl-accessible .leaflet-container:focus-visible { outline-width: 3px !important; outline-offset: -3px !important; }`;

function render({ model, el }) {
  el.append(Object.assign(document.createElement("style"), { textContent: FOCUS }));
  const words = model.get("words");
  let root = null;
  let last = null;
  const remember = event => { last = event.target; };
  const leave = event => { if (!last?.disabled && event.target === last) last = null; };
  const mend = () => {
    mendSliders(root);
    mendPlayers(root, words);
    mendPictures(root, words);
    // A button that was disabled for a while has lost the focus; it gets it back, unless somebody went elsewhere.
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (isLost && last?.isConnected && !last.disabled && last.matches("button")) last.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(mend);
  const keep = event => {
    const node = event.target;
    if (!(node instanceof Element) || !root.contains(node)) return;
    const isTheirs = event.ctrlKey || event.metaKey || event.altKey || FREE.has(event.key);
    const isRun = event.shiftKey && event.key === "Enter";
    // JupyterLab looks for no command of its own where this attribute is: on the node itself, or it is too late.
    node.toggleAttribute("data-lm-suppress-shortcuts", !isTheirs && !isRun);
  };
  let waits = 0;
  const begin = () => {
    root = el.closest(".dl-accessible");
    if (!root) {
      if (waits++ < 600) waiting = requestAnimationFrame(begin);
      return;
    }
    mend();
    const attributeFilter = ["aria-valuetext", "class", "disabled"];
    observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter });
    root.addEventListener("focusin", remember);
    root.addEventListener("focusout", leave);
    window.addEventListener("keydown", keep, true);
  };
  let waiting = requestAnimationFrame(begin);
  return () => {
    cancelAnimationFrame(waiting);
    observer.disconnect();
    root?.removeEventListener("focusin", remember);
    root?.removeEventListener("focusout", leave);
    window.removeEventListener("keydown", keep, true);
  };
}

export default { render };
