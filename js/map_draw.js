/** Draws an outline over a map: a rectangle pulled open, or a polygon corner by corner. The map itself holds still meanwhile. */

/** @import { Chart } from "./map.js" */
/** @typedef {"rectangle" | "polygon"} Kind */
/** @typedef {{ x: number, y: number }} Spot in pixels of the map */

const SVG = "http://www.w3.org/2000/svg";
/** A finger's reach: so close to the first corner the polygon is closed. */
const CLOSE_PX = 14;
/** A pull shorter than this was a click. */
const MIN_PULL_PX = 8;

/** @type {{ finish: () => boolean, end: () => void } | null} */
let drawing = null;

/**
 * @param {Chart} chart
 * @param {Kind} kind
 * @param {(ringText: string | null) => void} done gets JSON of [lon, lat] corners, null when it was given up
 * @param {(corners: number) => void} onCorner how many corners there are
 */
export function begin(chart, kind, done, onCorner) {
  drawing?.end();
  const { map, element } = chart;
  const layer = document.createElementNS(SVG, "svg");
  layer.classList.add("chart-draw");
  const outline = document.createElementNS(SVG, kind === "rectangle" ? "polygon" : "polyline");
  layer.append(outline);
  element.append(layer);
  /** @type {Spot[]} */
  let corners = [];

  const end = () => {
    layer.remove();
    removeEventListener("keydown", onKey, true);
    map.off("move", cancel);
    drawing = null;
  };
  const cancel = () => {
    end();
    done(null);
  };
  const finish = () => {
    if (corners.length < 3) return false;
    const ring = corners.map(({ x, y }) => map.unproject([x, y])).map(({ lng, lat }) => [lng, lat]);
    end();
    done(JSON.stringify(ring));
    return true;
  };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if (event.key === "Escape") cancel();
    else if (event.key === "Backspace" && kind === "polygon") corners.pop();
    else if (event.key !== "Enter" || !finish()) return;
    event.stopPropagation();
    event.preventDefault(); // or Escape closes the dialog that just opened again
    show(corners);
  };
  /** @param {Spot[]} shown */
  const show = (shown) => {
    outline.setAttribute("points", shown.map(({ x, y }) => `${x},${y}`).join(" "));
    for (const dot of layer.querySelectorAll("circle")) dot.remove();
    for (const { x, y } of kind === "polygon" ? corners : []) {
      const dot = document.createElementNS(SVG, "circle");
      for (const [name, value] of Object.entries({ cx: x, cy: y, r: 5 })) dot.setAttribute(name, String(value));
      layer.append(dot);
    }
    onCorner(corners.length);
  };
  /** @param {PointerEvent} event @returns {Spot} */
  const spotOf = (event) => {
    const box = layer.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  if (kind === "rectangle") {
    pullOpen(layer, spotOf, (spots, ended) => {
      corners = spots;
      show(corners);
      if (ended && !finish()) show((corners = []));
    });
  } else {
    layer.addEventListener("pointerup", (event) => {
      const spot = spotOf(event);
      const [first] = corners;
      if (first !== undefined && corners.length > 2 && Math.hypot(spot.x - first.x, spot.y - first.y) < CLOSE_PX) {
        finish();
        return;
      }
      corners.push(spot);
      show(corners);
    });
    layer.addEventListener("pointermove", (event) => {
      if (corners.length > 0) show([...corners, spotOf(event)]);
    });
  }
  addEventListener("keydown", onKey, true);
  map.once("move", cancel); // by the keyboard or a resize: the corners would no longer be where they were set
  drawing = { finish, end: cancel };
}

/**
 * @param {SVGSVGElement} layer
 * @param {(event: PointerEvent) => Spot} spotOf
 * @param {(corners: Spot[], ended: boolean) => void} onPull
 */
function pullOpen(layer, spotOf, onPull) {
  /** @type {Spot | null} */
  let start = null;
  /** @param {Spot} to */
  const box = (to) => {
    const from = /** @type {Spot} */ (start);
    if (Math.min(Math.abs(to.x - from.x), Math.abs(to.y - from.y)) < MIN_PULL_PX) return [];
    return [from, { x: to.x, y: from.y }, to, { x: from.x, y: to.y }];
  };
  layer.addEventListener("pointerdown", (event) => {
    start = spotOf(event);
    layer.setPointerCapture(event.pointerId);
  });
  layer.addEventListener("pointermove", (event) => {
    if (start !== null) onPull(box(spotOf(event)), false);
  });
  layer.addEventListener("pointerup", (event) => {
    if (start !== null) onPull(box(spotOf(event)), true);
    start = null;
  });
}

/** @returns {boolean} whether there were corners enough */
export function finish() {
  return drawing?.finish() ?? false;
}

/** Give up; nothing happens when nothing is being drawn. */
export function cancel() {
  drawing?.end();
}
