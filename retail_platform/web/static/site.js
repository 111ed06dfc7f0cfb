// Draws the charts of a page from their data attributes, and lists what a visit sent and got.
"use strict";
document.documentElement.classList.add("js");

const drawn = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function short(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

function draw(canvas) {
  const { kind, labels, series, links } = Object.fromEntries(
    Object.entries(canvas.dataset).map(([name, text]) => [name, name === "kind" ? text : JSON.parse(text)])
  );
  const bars = kind === "bar";
  if (bars) canvas.parentElement.style.height = `${60 + labels.length * 22 * series.length}px`;
  const colours = [colour("--first"), colour("--second")];
  const grid = { color: colour("--line") };
  const ticks = { color: colour("--soft") };
  const amounts = { grid, ticks: { ...ticks, callback: short }, beginAtZero: true };
  const places = { grid: { display: false }, ticks: { ...ticks, autoSkip: !bars } };
  if (bars) places.ticks.callback = (_, i) => (labels[i].length > 24 ? `${labels[i].slice(0, 23)}…` : labels[i]);
  const chart = new Chart(canvas, {
    type: kind,
    data: {
      labels,
      datasets: series.map((one, i) => ({
        label: one.name,
        data: one.values,
        borderColor: colours[i],
        backgroundColor: bars ? colours[i] : `${colours[i]}26`,
        fill: !bars,
        borderWidth: bars ? 0 : 2,
        borderRadius: 3,
        pointRadius: labels.length > 60 ? 0 : 3,
        tension: 0.25,
      })),
    },
    options: {
      indexAxis: bars ? "y" : "x",
      maintainAspectRatio: false,
      animation: false,
      interaction: { mode: "index", axis: bars ? "y" : "x", intersect: false },
      scales: bars ? { x: amounts, y: places } : { x: places, y: amounts },
      plugins: { legend: { display: series.length > 1, labels: { color: colour("--ink") } } },
      onClick: (_, hit) => hit.length && links[hit[0].index] && go(links[hit[0].index]),
      onHover: (event, hit) => {
        event.native.target.style.cursor = hit.length && links[hit[0].index] ? "pointer" : "";
      },
    },
  });
  drawn.add(chart);
}

function go(url) {
  htmx.ajax("GET", url, { target: "#middle" }).then(() => {
    history.pushState({}, "", url);
    here = location.pathname + location.search;
    document.getElementById("middle").focus();
  });
}

// What changed, for who does not see it.
function say(text) {
  document.getElementById("said").textContent = text;
}

function drawAll() {
  for (const chart of drawn) chart.destroy();
  drawn.clear();
  if (typeof Chart !== "undefined") document.querySelectorAll("canvas[data-kind]").forEach(draw);
}

// What this tab's visit sent and got; the newest first.
function listEvents() {
  const list = document.getElementById("event-list");
  if (!list) return;
  const key = "events";
  const kept = JSON.parse(sessionStorage.getItem(key) || "[]");
  const now = document.getElementById("event");
  if (now) {
    kept.unshift(JSON.parse(now.textContent));
    kept.length = Math.min(kept.length, 20);
    sessionStorage.setItem(key, JSON.stringify(kept));
  }
  for (const { sent, event } of kept) {
    const item = document.createElement("li");
    const seen = event.browse_history.map((one) => one.product_code + (one.in_shopping_cart ? " (cart)" : ""));
    const got = event.recommended_items.slice(0, 5).map((one) => one.id);
    item.textContent = `${event.occurred_at.slice(11, 19)} ${sent ? "sent" : "asked"}: ${seen.join(", ") || "nothing seen yet"} → ${event.strategy}, model ${event.model_version}: ${got.join(", ")}`;
    const whole = document.createElement("details");
    const title = document.createElement("summary");
    title.textContent = "All of it";
    const text = document.createElement("pre");
    text.textContent = JSON.stringify(event, null, 1);
    text.tabIndex = 0; // it scrolls
    whole.append(title, text);
    item.append(whole);
    list.append(item);
  }
}

// In the place of the figures; the filters stay as they are, to be mended.
function refuse(text) {
  const shown = document.getElementById("shown") || document.getElementById("middle");
  const message = document.createElement("p");
  message.className = "note";
  message.setAttribute("role", "alert");
  message.textContent = text;
  shown.replaceChildren(message);
}

let here = location.pathname + location.search;
drawAll();
listEvents();
document.addEventListener("htmx:afterSettle", () => {
  here = location.pathname + location.search;
  drawAll();
  say(document.getElementById("shown")?.dataset.said || document.title);
});
document.addEventListener("htmx:responseError", (event) => {
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  refuse(page.querySelector("[role=alert] p")?.textContent || "This did not work: try again.");
});
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, () => refuse("The site does not answer: reload the page in a moment."));
}
window.addEventListener("popstate", () => {
  if (location.pathname + location.search !== here) location.reload();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
