// What the page does: the theme, tabs, toggles of what is shown, a search in long tables.
"use strict";

const root = document.documentElement;
const themes = ["auto", "light", "dark"];

function showTheme(name) {
  root.dataset.theme = name;
  document.getElementById("theme").textContent = `Theme: ${name}`;
  try { localStorage.setItem("headwater-theme", name); } catch { /* a file may have no storage */ }
}

document.getElementById("theme").addEventListener("click", () => {
  showTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
});
showTheme(themes.includes(root.dataset.theme) ? root.dataset.theme : "auto");

// Tabs as the ARIA Authoring Practices have them: arrows move, Home and End jump.
for (const tabs of document.querySelectorAll(".tabs")) {
  const buttons = [...tabs.querySelectorAll(":scope > [role=tablist] > [role=tab]")];
  const choose = (chosen, focus) => {
    for (const button of buttons) {
      const isChosen = button === chosen;
      button.setAttribute("aria-selected", String(isChosen));
      button.tabIndex = isChosen ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !isChosen;
    }
    if (focus) chosen.focus();
  };
  buttons.forEach((button, place) => {
    button.addEventListener("click", () => choose(button, false));
    button.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: buttons.length - 1 };
      if (!(event.key in to)) return;
      event.preventDefault();
      choose(buttons[(to[event.key] + buttons.length) % buttons.length], true);
    });
  });
}

// A toggle shows or hides all that carries its name, anywhere on the page: a source's columns.
for (const button of document.querySelectorAll("button[data-toggles]")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    for (const other of document.querySelectorAll("button[data-toggles]")) {
      if (other.dataset.toggles === button.dataset.toggles) other.setAttribute("aria-pressed", String(shown));
    }
    for (const element of document.querySelectorAll("[data-belongs]")) {
      if (element.dataset.belongs === button.dataset.toggles) element.hidden = !shown;
    }
  });
}

for (const input of document.querySelectorAll("input[data-searches]")) {
  const rows = document.querySelectorAll(`#${input.dataset.searches} tbody tr`);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}

// Which section is being read.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const section of document.querySelectorAll("main > section")) seen.observe(section);
