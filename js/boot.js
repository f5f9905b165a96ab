/**
 * Start Python and show how far that is; say what went wrong, and what to do, when it does not come up.
 *
 * PyScript is imported here and nowhere else. Its hooks for scripts in workers turn text into functions, which the
 * page's policy forbids; this page has no such script, so they are cleared before PyScript looks at them.
 */

import "./one_stack.js";
import "./own_scripts.js";
import "./install_prompt.js";
import "./outside.js";

const PATIENCE_MS = 60_000;
const THEME_KEY = "theme";

/** What PyScript reports, as far as a step ends with it. */
const STEP_ENDED_BY = new Map([
  ["Loaded Pyodide", "python"],
  ["Loaded packages", "packages"],
  ["Loaded interpreter", "packages"],
]);
const STEPS = ["page", "python", "packages", "program"];

/** Before the first paint, so that the page does not flash. */
function restoreTheme() {
  const theme = localStorage.getItem(THEME_KEY);
  if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
}

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`expected an element #${id}`);
  return found;
}

/** @param {string} step @param {"waiting" | "working" | "done" | "failed"} state */
function mark(step, state) {
  const row = document.querySelector(`#boot-steps [data-step="${step}"]`);
  if (row instanceof HTMLElement) row.dataset["state"] = state;
}

/** @param {string} step */
function finish(step) {
  const index = STEPS.indexOf(step);
  for (const done of STEPS.slice(0, index + 1)) mark(done, "done");
  const next = STEPS[index + 1];
  if (next) mark(next, "working");
}

function isReady() {
  return "ready" in document.body.dataset;
}

/** @param {string} title @param {string} remedy @param {string} cause */
function fail(title, remedy, cause) {
  if (isReady()) return;
  clearTimeout(patience);
  const working = document.querySelector('#boot-steps [data-state="working"]');
  if (working instanceof HTMLElement) working.dataset["state"] = "failed";
  element("boot-title").textContent = "The page could not start";
  element("boot-failure-title").textContent = title;
  element("boot-failure-remedy").textContent = remedy;
  element("boot-failure-cause").textContent = cause;
  element("boot-failure").hidden = false;
  element("sheet-line").textContent = title;
  element("status").textContent = title;
}

function failForTime() {
  fail(
    "Starting takes unusually long",
    "On a slow connection it may still come up: waiting costs nothing. Otherwise reload, or try a current Chrome, Edge or Firefox.",
    "",
  );
}

/** @param {unknown} problem */
function failForProgram(problem) {
  const cause = problem instanceof Error ? problem.message : String(problem);
  const last = cause.trim().split("\n").at(-1) ?? "";
  fail("The program stopped while starting", "Reload the page. If that does not help, set the site up again: make start.", last);
}

function watchProgress() {
  addEventListener("py:progress", (event) => {
    const detail = event instanceof CustomEvent ? String(event.detail) : "";
    const step = STEP_ENDED_BY.get(detail);
    if (step) finish(step);
  });
  addEventListener("py:ready", () => finish("packages"));
  addEventListener("py:done", () => {
    if (isReady()) clearTimeout(patience);
  });
  addEventListener("error", (event) => failForProgram(event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => failForProgram(event.reason));
}

/**
 * PyScript hands exceptions of the program to its `stderr`, together with plain warnings.
 * @param {{ io: { stderr: (message: unknown, ...rest: unknown[]) => void } }} runtime
 */
function watchErrors({ io }) {
  const { stderr } = io;
  io.stderr = (message, ...rest) => {
    if (message instanceof Error || String(message).startsWith("PythonError")) failForProgram(message);
    stderr(message, ...rest);
  };
}

async function startPython() {
  try {
    const { hooks } = await import("../vendor/pyscript/core.js");
    hooks.worker.onBeforeRunAsync.clear();
    hooks.main.onReady.add(watchErrors);
  } catch (error) {
    fail(
      "Python could not be fetched",
      "Check the connection and reload. On your own machine, run “make start”, which assembles vendor/.",
      error instanceof Error ? error.message : String(error),
    );
  }
}

restoreTheme();
const patience = setTimeout(failForTime, PATIENCE_MS);
watchProgress();
element("boot-reload").addEventListener("click", () => location.reload());
await startPython();
