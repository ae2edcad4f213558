"use strict";
const MOST = 16, KEY_STEP = 2;

function slider(root) {
  const find = selector => root.querySelector(selector);
  const data = JSON.parse(find("script").textContent);
  const stage = find(".stage"), handle = find(".handle"), errors = find(".errors");
  const choose = { picture: find(".choose-picture"), left: find(".choose-left"),
    right: find(".choose-right") };
  const state = { zoom: 1, x: 0, y: 0, split: 50 };

  const image = layer => Object.assign(new Image(), { src: layer.source, alt: "" });
  const error = (layer, original) => {
    const both = document.createElement("div");
    both.className = "error";
    both.append(image(original), image(layer));
    return both;
  };
  const picture = () => data.pictures[choose.picture.value];

  function fill(select, names, wanted) {
    const kept = names.includes(select.value) ? select.value : wanted;
    select.replaceChildren(...names.map(name => new Option(name, name)));
    select.value = names.includes(kept) ? kept : names[0];
  }

  function show() {
    const layers = picture().layers, original = layers.at(-1);
    const versions = new Map(layers.map(layer => [layer.label, () => image(layer)]));
    for (const layer of layers.slice(0, -1))
      versions.set(`${layer.label}, error x8`, () => error(layer, original));
    const names = [...versions.keys()];
    fill(choose.left, names, data.left ?? layers[0].label);
    fill(choose.right, names, data.right ?? layers.at(-2).label);
    for (const side of ["left", "right"])
      find(`.pane.${side}`).replaceChildren(versions.get(choose[side].value)());
  }

  function load() {
    const { width, height, layers } = picture();
    stage.style.aspectRatio = `${width} / ${height}`;
    errors.replaceChildren(...layers.slice(0, -1).map(layer => {
      const figure = document.createElement("figure"), tile = document.createElement("div");
      const pane = document.createElement("div"), caption = document.createElement("figcaption");
      tile.className = "tile";
      tile.style.aspectRatio = stage.style.aspectRatio;
      pane.className = "pane";
      pane.append(error(layer, layers.at(-1)));
      tile.append(pane);
      caption.textContent = `${layer.label} ${layer.note}`;
      figure.append(tile, caption);
      return figure;
    }));
    show();
  }

  function draw() {
    const least = 1 - state.zoom;
    state.x = Math.min(0, Math.max(least, state.x));
    state.y = Math.min(0, Math.max(least, state.y));
    state.split = Math.min(100, Math.max(0, state.split));
    for (const [name, value] of Object.entries(state)) root.style.setProperty(`--${name}`, value);
    handle.setAttribute("aria-valuenow", Math.round(state.split));
    find("output").textContent = `${Number(state.zoom.toFixed(1))}x`;
    stage.style.touchAction = state.zoom > 1 ? "none" : "pan-y";
  }

  /* Zoom so that the point (x, y), in parts of the stage, stays where it is. */
  function zoom(factor, x = 0.5, y = 0.5) {
    const before = state.zoom;
    state.zoom = Math.min(MOST, Math.max(1, before * factor));
    const by = state.zoom / before;
    state.x = x - (x - state.x) * by;
    state.y = y - (y - state.y) * by;
    draw();
  }

  const place = event => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  data.pictures.forEach((item, index) => choose.picture.append(new Option(item.name, index)));
  choose.picture.addEventListener("change", load);
  choose.left.addEventListener("change", show);
  choose.right.addEventListener("change", show);
  find(".zoom-in").addEventListener("click", () => zoom(2));
  find(".zoom-out").addEventListener("click", () => zoom(0.5));
  find(".reset").addEventListener("click", () => {
    Object.assign(state, { zoom: 1, x: 0, y: 0, split: 50 });
    draw();
  });
  stage.addEventListener("dblclick", event => zoom(2, ...place(event)));
  stage.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), ...place(event));
  }, { passive: false });

  handle.addEventListener("pointerdown", event => {
    event.stopPropagation();
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", event => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    state.split = 100 * place(event)[0];
    draw();
  });
  handle.addEventListener("keydown", event => {
    const step = { ArrowLeft: -KEY_STEP, ArrowRight: KEY_STEP }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    state.split += step;
    draw();
  });

  const down = new Map();  // pointer -> its last place
  const spread = () => {
    const [a, b] = [...down.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  stage.addEventListener("pointerdown", event => {
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
  });
  stage.addEventListener("pointermove", event => {
    if (!down.has(event.pointerId)) return;
    const [x, y] = place(event), last = down.get(event.pointerId);
    const apart = down.size === 2 ? spread() : 0;
    down.set(event.pointerId, [x, y]);
    state.x += (x - last[0]) / down.size;
    state.y += (y - last[1]) / down.size;
    if (apart > 0) {
      const [a, b] = [...down.values()];
      zoom(spread() / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    }
    draw();
  });
  for (const end of ["pointerup", "pointercancel"])
    stage.addEventListener(end, event => down.delete(event.pointerId));

  load();
  draw();
}

document.querySelectorAll(".slider").forEach(slider);
