"use strict";
(() => {
  /**
   * What Python writes into the page.
   * @typedef {string | number | boolean | null} Value
   * @typedef {{ number: number, rows: number[] }} Patch
   * @typedef {{ columns: string[], rows: Value[][], shown: string[], labels: string[],
   *             patches: Patch[], levels: number, cells: string[] }} Table
   * @typedef {{ kind: "bits" | "float64", data: string }} Encoded
   * @typedef {{ row: number, map: string | null }} Entry
   * @typedef {{ height: number, width: number, rgb: string, dab: string | null, mask: Encoded,
   *             region: Encoded | null, maps: Entry[] }} Payload
   *
   * What the page makes of it: an image whose mask and region are unpacked.
   * @typedef {Uint8Array | Float64Array} Weights
   * @typedef {Omit<Payload, "mask" | "region">
   *           & { patch: Patch, mask: Weights, region: Weights | null }} View
   */

  /** @template {Element} T @param {string} selector @param {new () => T} kind */
  const one = (selector, kind) => {
    const found = document.querySelector(selector);
    if (!(found instanceof kind)) throw new TypeError(`${selector} is no ${kind.name}`);
    return found;
  };
  /** @template {Element} T @param {string} selector @param {new () => T} kind */
  const all = (selector, kind) =>
    Array.from(document.querySelectorAll(selector))
      .flatMap((found) => (found instanceof kind ? [found] : []));
  /** @param {string} id */
  const byId = (id) => one(`#${id}`, HTMLElement);
  /** @param {string} id */
  const button = (id) => one(`#${id}`, HTMLButtonElement);
  /** @param {string} id */
  const canvas = (id) => one(`#${id}`, HTMLCanvasElement);
  /** @param {string} id */
  const image = (id) => one(`#${id}`, HTMLImageElement);
  /** @param {string} id */
  const input = (id) => one(`#${id}`, HTMLInputElement);
  /** @param {string} id */
  const select = (id) => one(`#${id}`, HTMLSelectElement);
  /** @param {string} id @returns {unknown} */
  const json = (id) => JSON.parse(one(`#${id}`, HTMLScriptElement).text);

  const table = /** @type {Table} */ (json("table-data"));
  const patches = new Map(table.patches.map((patch) => [patch.number, patch]));
  /** @type {Map<number, Patch>} */
  const patchOfRow = new Map();
  for (const patch of table.patches) for (const row of patch.rows) patchOfRow.set(row, patch);

  /** @param {Value} value */
  const number = (value, digits = 3) =>
    typeof value !== "number" || Number.isNaN(value)
      ? "–" : value.toFixed(digits).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212");
  /** @param {string} text */
  const spaced = (text) => text.replaceAll("_", " ");
  /** @param {string} name */
  const title = (name) =>
    ["map", "ec", "ec0"].includes(name) ? name.toUpperCase() : spaced(name).replace(/^ec /, "EC ");
  /** @param {string} name */
  const columnOf = (name) => table.columns.indexOf(name);
  /** @param {number} row @param {string} name */
  const of = (row, name) => table.rows[row][columnOf(name)];
  /** @param {number} row @param {string} name */
  const text = (row, name) => String(of(row, name));
  /**
   * @template {keyof HTMLElementTagNameMap} K
   * @param {K} tag
   * @param {Record<string, string>} attributes
   * @param {(Node | string)[]} children
   */
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  /** @param {Patch} patch */
  const idOf = (patch) => text(patch.rows[0], "id");
  /** @param {number} patch */
  const payload = (patch) => /** @type {Payload} */ (json(`data-${patch}`));

  // ---- Arrays ------------------------------------------------------------------------------

  /** @param {string} packed */
  async function bytes(packed) {
    const raw = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** @param {Encoded} encoded @param {number} size @returns {Promise<Weights>} */
  async function weights(encoded, size) {
    const data = await bytes(encoded.data);
    if (encoded.kind === "float64") return new Float64Array(data.buffer);
    const found = new Uint8Array(size);
    for (let i = 0; i < size; i++) found[i] = (data[i >> 3] >> (7 - (i & 7))) & 1;
    return found;
  }

  /**
   * The last step of the threshold that each pixel reaches, from differences modulo 256.
   * @param {Entry} entry
   */
  async function levelsOf({ map }) {
    if (map === null) return null;
    const levels = await bytes(map);
    for (let i = 1; i < levels.length; i++) levels[i] += levels[i - 1];
    return levels;
  }

  /**
   * The maximum reaches the last step, unless the map is zero throughout.
   * @param {Uint8Array | null} levels
   * @returns {levels is Uint8Array}
   */
  const isActive = (levels) => levels?.includes(table.levels) ?? false;

  /**
   * MAP of the set {U A+ >= t max(U A+)}: the share of its pixels, in the region, on the mask.
   * @param {View} view
   * @param {Uint8Array | null} levels
   * @param {number} step t in steps of the slider
   */
  function precision({ mask, region }, levels, step) {
    if (!isActive(levels)) return NaN;
    let inside = 0, whole = 0, maskArea = 0;
    for (let i = 0; i < mask.length; i++) {
      const weight = region === null ? 1 : region[i];
      maskArea += weight * mask[i];
      if (levels[i] >= step) {
        inside += weight * mask[i];
        whole += weight;
      }
    }
    return whole > 0 && maskArea > 0 ? Math.min(inside, whole) / whole : NaN;
  }

  /** @param {Patch} patch @returns {Promise<View>} */
  async function open(patch) {
    const data = payload(patch.number), size = data.height * data.width;
    const [mask, region] = await Promise.all([
      weights(data.mask, size), data.region === null ? null : weights(data.region, size),
    ]);
    return { ...data, patch, mask, region };
  }

  // ---- Colours -----------------------------------------------------------------------------

  // Viridis at 33 places: readable with any colour vision, and in grey.
  const VIRIDIS = "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725";
  const COLOURS = Array.from({ length: table.levels + 1 }, (_, i) => {
    const place = (i / table.levels) * 32, low = Math.min(Math.floor(place), 31);
    return [0, 2, 4].map((k) => {
      /** @param {number} j */
      const part = (j) => parseInt(VIRIDIS.slice(6 * j + k, 6 * j + k + 2), 16);
      return part(low) + (place - low) * (part(low + 1) - part(low));
    });
  });

  /** @param {HTMLCanvasElement} on */
  function penOf(on) {
    const pen = on.getContext("2d");
    if (pen === null) throw new TypeError(`${on.id} cannot be drawn on`);
    return pen;
  }

  /**
   * @param {HTMLCanvasElement} on
   * @param {View} view
   * @param {Uint8Array | null} levels
   * @param {number} step
   */
  function paintMap(on, { width, height }, levels, step) {
    on.width = width;
    on.height = height;
    if (!isActive(levels)) return;
    const drawn = new ImageData(width, height);
    for (let i = 0; i < levels.length; i++) {
      if (levels[i] < step) continue;
      drawn.data.set(COLOURS[levels[i]], 4 * i);
      drawn.data[4 * i + 3] = 255;
    }
    penOf(on).putImageData(drawn, 0, 0);
  }

  /** @param {HTMLCanvasElement} on @param {View} view @param {string} how */
  function paintMask(on, { mask, width, height }, how) {
    const scale = Math.max(1, Math.min(4, Math.round(1024 / width)));
    on.width = width * scale;
    on.height = height * scale;
    const pen = penOf(on);
    if (how === "none") return;
    if (how === "fill") {
      pen.fillStyle = "#0072b2";
      for (let i = 0; i < mask.length; i++) {
        if (!mask[i]) continue;
        pen.globalAlpha = 0.75 * mask[i];
        pen.fillRect((i % width) * scale, Math.floor(i / width) * scale, scale, scale);
      }
      return;
    }
    /** @param {number} x @param {number} y */
    const marked = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] >= 0.5;
    pen.beginPath();
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        const here = marked(x, y);
        if (here !== marked(x - 1, y)) {
          pen.moveTo(x * scale, y * scale);
          pen.lineTo(x * scale, (y + 1) * scale);
        }
        if (here !== marked(x, y - 1)) {
          pen.moveTo(x * scale, y * scale);
          pen.lineTo((x + 1) * scale, y * scale);
        }
      }
    }
    pen.lineCap = "square";
    pen.lineWidth = 3;
    pen.strokeStyle = "#000a";
    pen.stroke();
    pen.lineWidth = 1.4;
    pen.strokeStyle = "#fff";
    pen.stroke();
  }

  // ---- Table -------------------------------------------------------------------------------

  const SIZE = 50, MOST_PRINTED = 2000;
  const state = { sort: "", down: false, page: 0, rows: table.rows.map((_, i) => i) };
  const numeric = table.columns.map((_, i) => {
    const known = table.rows.map((row) => row[i]).filter((value) => value !== null);
    return known.length > 0 && known.every((value) => typeof value === "number");
  });
  const fractions = table.columns.map((_, i) =>
    numeric[i] && table.rows.some((row) => row[i] !== null && !Number.isInteger(row[i])));
  const searched = table.rows.map((row) => row
    .filter((value) => typeof value === "string" || Number.isInteger(value))
    .join("\n").toLowerCase());
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function arrange() {
    const sought = input("f-text").value.trim().toLowerCase();
    const method = select("f-method").value, status = select("f-status").value;
    state.rows = table.rows.map((_, i) => i).filter((i) =>
      (!sought || searched[i].includes(sought)) &&
      (!method || of(i, "method") === method) &&
      (!status || of(i, "status") === status));
    if (state.sort) {
      const k = columnOf(state.sort), sign = state.down ? -1 : 1;
      state.rows.sort((i, j) => {
        const a = table.rows[i][k], b = table.rows[j][k];
        if (a === null || b === null) return Number(a === null) - Number(b === null); // undefined comes last
        const by = numeric[k] ? Number(a) - Number(b) : words.compare(String(a), String(b));
        return sign * by || i - j;
      });
    }
    state.page = 0;
    fillTable();
    fillGallery(false);
    const count = state.rows.length, total = table.rows.length;
    byId("f-count").textContent = count === total ? `${total} rows` : `${count} of ${total} rows`;
  }

  /** @param {number} row @param {string} name */
  function cell(row, name) {
    const value = of(row, name), made = element("td"), patch = patchOfRow.get(row);
    if (name === "id" && patch !== undefined) {
      made.append(element("a", { href: `#image-${patch.number}` }, String(value)));
    } else if (fractions[columnOf(name)] && value !== null) {
      made.textContent = number(value);
      made.title = String(value);
    } else {
      made.textContent = value === null ? (numeric[columnOf(name)] ? "–" : "") : String(value);
      if (made.textContent.length > 24) made.title = made.textContent;
    }
    if (numeric[columnOf(name)]) made.className = "number";
    return made;
  }

  function fillTable(whole = false) {
    const from = whole ? 0 : state.page * SIZE;
    const shown = state.rows.slice(from, whole ? MOST_PRINTED : from + SIZE);
    one("#rows tbody", HTMLElement).replaceChildren(...shown.map((row) =>
      element("tr", {}, ...table.shown.map((name) => cell(row, name)))));
    const pages = Math.max(1, Math.ceil(state.rows.length / SIZE));
    byId("p-where").textContent = whole
      ? `first ${shown.length} of ${state.rows.length} rows` : `page ${state.page + 1} of ${pages}`;
    button("p-first").disabled = button("p-prev").disabled = state.page === 0;
    button("p-last").disabled = button("p-next").disabled = state.page >= pages - 1;
    for (const head of all("#rows th", HTMLElement)) {
      const sorted = head.dataset.column === state.sort;
      head.setAttribute("aria-sort",
        !sorted ? "none" : state.down ? "descending" : "ascending");
    }
  }

  function makeTable() {
    const heads = table.shown.map((name) => {
      const sorter = element("button", { type: "button" }, title(name));
      sorter.addEventListener("click", () => {
        state.down = state.sort === name && !state.down;
        state.sort = name;
        arrange();
      });
      const head = element("th", { scope: "col", "aria-sort": "none" }, sorter);
      head.dataset.column = name;
      if (numeric[columnOf(name)]) head.className = "number";
      return head;
    });
    one("#rows thead", HTMLElement).append(element("tr", {}, ...heads));
    for (const name of ["method", "status"]) {
      const values = new Set(table.rows.map((_, i) => text(i, name)));
      select(`f-${name}`).append(...Array.from(values, (value) => new Option(value, value)));
      select(`f-${name}`).addEventListener("change", arrange);
    }
    input("f-text").addEventListener("input", arrange);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("f-clear").addEventListener("click", () => {
      one("#filters", HTMLFormElement).reset();
      arrange();
    });
    /** @param {string} id @param {() => number} page */
    const turn = (id, page) => byId(id).addEventListener("click", () => {
      state.page = page();
      fillTable();
    });
    turn("p-first", () => 0);
    turn("p-prev", () => state.page - 1);
    turn("p-next", () => state.page + 1);
    turn("p-last", () => Math.ceil(state.rows.length / SIZE) - 1);
    window.addEventListener("beforeprint", () => {
      fillTable(true);
      all("#cases [data-thumb]:not(:has(img))", HTMLElement).forEach(hang);
    });
    window.addEventListener("afterprint", () => fillTable());
  }

  // ---- Gallery -----------------------------------------------------------------------------

  const STEP = 60;
  /** @type {Patch[]} */
  let order = [];
  let hung = 0;

  /** @param {HTMLElement} link */
  function hang(link) {
    watch.unobserve(link);
    const picture = element("img", { alt: "" });
    picture.src = payload(Number(link.dataset.thumb)).rgb;
    link.prepend(picture);
  }

  // Pictures are made when their card comes into view.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && entry.target instanceof HTMLElement) hang(entry.target);
    }
  }, { rootMargin: "300px" });

  /** @param {Patch} patch */
  const labelText = (patch) => ["group", ...table.labels]
    .filter((name) => of(patch.rows[0], name) !== null)
    .map((name) => `${name} ${text(patch.rows[0], name)}`).join(" · ");

  /** @param {Patch} patch */
  function card(patch) {
    const link = element("a", { class: "card", href: `#image-${patch.number}` },
      element("span", { class: "id" }, idOf(patch)),
      element("span", { class: "what" }, labelText(patch)));
    link.dataset.thumb = String(patch.number);
    const methods = patch.rows.map((row) => text(row, "method"));
    patch.rows.forEach((row, i) => {
      const method = methods[i], several = methods.indexOf(method) !== methods.lastIndexOf(method);
      const value = of(row, "status") === "ok"
        ? number(of(row, "toward_ideal"), 2) : spaced(text(row, "status"));
      link.append(element("span", { class: "what pairs" },
        element("span", {}, several ? `${method}, ${text(row, "class")}` : method),
        element("span", {}, value)));
    });
    watch.observe(link);
    return element("li", {}, link);
  }

  /** @param {boolean} more */
  function fillGallery(more) {
    const list = document.getElementById("thumbs");
    if (list === null) return;
    if (!more) {
      order = [...new Set(state.rows.map((row) => patchOfRow.get(row)))]
        .filter((patch) => patch !== undefined);
      list.replaceChildren();
      hung = 0;
    }
    list.append(...order.slice(hung, hung + STEP).map(card));
    hung = Math.min(order.length, hung + STEP);
    button("more").hidden = hung >= order.length;
    button("more").textContent = `Show more (${order.length - hung} left)`;
  }

  // ---- Viewer ------------------------------------------------------------------------------

  const viewer = one("#viewer", HTMLDialogElement);
  /** @type {View | null} */
  let seen = null;
  /** @type {Uint8Array | null} */
  let shown = null;
  let turnNumber = 0;
  /** @param {string} name */
  const picked = (name) => one(`input[name=${name}]:checked`, HTMLInputElement).value;
  /** @param {View} view */
  const chosen = (view) => {
    const choice = select("v-map").value;
    return choice === "" ? null : view.maps[Number(choice)];
  };
  const chosenName = () => select("v-map").selectedOptions.item(0)?.text ?? "";

  /** @param {Patch} patch */
  async function show(patch) {
    const turn = ++turnNumber, view = await open(patch);
    if (turn !== turnNumber) return;
    const before = seen === null ? null : chosenName();
    seen = view;
    byId("v-title").textContent = idOf(patch);
    byId("v-about").textContent = [labelText(patch), `${view.width} × ${view.height} pixels`]
      .filter(Boolean).join(" · ");
    byId("v-stage").style.aspectRatio = `${view.width} / ${view.height}`;
    image("v-rgb").src = view.rgb;
    image("v-rgb").alt = `Image ${idOf(patch)}`;
    if (view.dab !== null) image("v-dab").src = view.dab;
    image("v-dab").alt = `DAB of ${idOf(patch)}, dark is dense`;
    const options = view.maps.map(({ row }, i) => {
      const method = text(row, "method");
      const name = of(row, "class") === null ? method : `${method}, class ${text(row, "class")}`;
      return new Option(name, String(i));
    });
    select("v-map").replaceChildren(...options, new Option("none", ""));
    const same = options.find((option) => option.text === before);
    select("v-map").value = same ? same.value : options.length ? "0" : "";
    if (!viewer.open) viewer.showModal();
    const place = order.indexOf(patch);
    button("v-prev").disabled = place <= 0;
    button("v-next").disabled = place < 0 || place >= order.length - 1;
    showBase(view);
    paintMask(canvas("v-mask"), view, picked("mask"));
    await pickMap(view);
  }

  /** @param {View} view */
  function showBase({ dab }) {
    image("v-rgb").hidden = picked("base") !== "rgb";
    image("v-dab").hidden = picked("base") !== "dab" || dab === null;
  }

  const FACTS = ["status", "toward_ideal", "map", "chance", "ideal", "ec_skill_geometric",
    "ec_skill_photometric", "ec", "ec0", "coverage", "mask_share", "flags"].filter(
    (name) => table.columns.includes(name));

  /** @param {View} view */
  async function pickMap(view) {
    const entry = chosen(view), turn = turnNumber;
    const found = entry === null ? null : await levelsOf(entry);
    if (turn !== turnNumber || entry !== chosen(view)) return;
    shown = found;
    const facts = entry === null ? [] : FACTS.map((name) => ({ name, value: of(entry.row, name) }));
    byId("v-numbers").replaceChildren(...facts.filter(({ value }) => value !== "").flatMap(
      ({ name, value }) => [
        element("dt", {}, title(name)),
        element("dd", {}, typeof value === "string" ? spaced(value) : number(value)),
      ]));
    if (entry !== null) {
      byId("v-numbers").append(
        element("dt", {}, "cells"), element("dd", {}, table.cells[entry.row]));
    }
    canvas("v-cam").setAttribute("aria-label", entry === null ? "No map" : `Map ${chosenName()}`);
    score(view);
  }

  /** @param {View} view */
  function score(view) {
    const step = Number(input("v-threshold").value), t = (step / table.levels).toFixed(2);
    const opacity = input("v-opacity").value, live = byId("v-live"), entry = chosen(view);
    byId("v-opacity-now").textContent = `${opacity} %`;
    byId("v-threshold-now").textContent = step === 0 ? "off" : t;
    canvas("v-cam").style.opacity = String(Number(opacity) / 100);
    paintMap(canvas("v-cam"), view, shown, step);
    if (entry === null) {
      live.textContent = "No map is shown.";
      live.dataset.value = "";
      return;
    }
    const { row } = entry;
    const value = step === 0 ? Number(of(row, "map") ?? NaN) : precision(view, shown, step);
    const frame = `chance ${number(of(row, "chance"))}, ideal ${number(of(row, "ideal"))}`;
    const where = step === 0 ? "MAP" : `MAP of the set from ${t} of the maximum`;
    live.textContent = Number.isNaN(value)
      ? `${where}: undefined (${spaced(text(row, "status"))})`
      : `${where}: ${number(value)} (${frame})`;
    live.dataset.value = String(value);
  }

  /** @param {number} by */
  function turnBy(by) {
    if (seen === null) return;
    const place = order.indexOf(seen.patch) + by;
    if (place >= 0 && place < order.length) location.hash = `image-${order[place].number}`;
  }

  function follow() {
    const found = /^#image-(\d+)$/.exec(location.hash);
    const patch = found === null ? undefined : patches.get(Number(found[1]));
    if (patch !== undefined) void show(patch);
    else if (found === null && viewer.open) viewer.close();
  }

  function makeViewer() {
    const pen = penOf(canvas("v-scale"));
    for (let x = 0; x < 200; x++) {
      pen.fillStyle = `rgb(${COLOURS[Math.round((x * table.levels) / 199)].join(" ")})`;
      pen.fillRect(x, 0, 1, 10);
    }
    /** @param {(view: View) => void} act */
    const withSeen = (act) => () => {
      if (seen !== null) act(seen);
    };
    for (const base of all("input[name=base]", HTMLInputElement)) {
      base.addEventListener("change", withSeen(showBase));
    }
    for (const mask of all("input[name=mask]", HTMLInputElement)) {
      mask.addEventListener("change", withSeen((view) => {
        paintMask(canvas("v-mask"), view, picked("mask"));
      }));
    }
    select("v-map").addEventListener("change", withSeen((view) => void pickMap(view)));
    input("v-opacity").addEventListener("input", withSeen(score));
    input("v-threshold").addEventListener("input", withSeen(score));
    button("v-prev").addEventListener("click", () => turnBy(-1));
    button("v-next").addEventListener("click", () => turnBy(1));
    button("v-close").addEventListener("click", () => viewer.close());
    viewer.addEventListener("close", () => {
      turnNumber++;
      if (location.hash.startsWith("#image-")) history.replaceState(null, "", "#gallery");
    });
    viewer.addEventListener("keydown", (event) => {
      if (event.target instanceof HTMLInputElement) return;
      if (event.target instanceof HTMLSelectElement) return;
      if (event.key === "ArrowLeft") turnBy(-1);
      if (event.key === "ArrowRight") turnBy(1);
    });
    window.addEventListener("hashchange", follow);
  }

  // ---- Theme -------------------------------------------------------------------------------

  function makeTheme() {
    const toggle = button("theme"), root = document.documentElement;
    const prefers = window.matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ?? (prefers.matches ? "dark" : "light")) === "dark";
    const name = () => { toggle.textContent = dark() ? "Light theme" : "Dark theme"; };
    toggle.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      name();
    });
    prefers.addEventListener("change", name);
    toggle.hidden = false;
    name();
  }

  makeTheme();
  makeTable();
  makeViewer();
  arrange();
  document.getElementById("more")?.addEventListener("click", () => fillGallery(true));
  for (const link of all("#cases [data-thumb]", HTMLElement)) watch.observe(link);
  follow();

  // For other programs, such as tests: MAP of a map at a step of the threshold.
  const membraneReport = Object.freeze({
    /** @param {number} patchNumber @param {number} map @param {number} step */
    score: async (patchNumber, map, step) => {
      const patch = patches.get(patchNumber);
      if (patch === undefined) throw new RangeError(`no image ${patchNumber}`);
      const view = await open(patch);
      return precision(view, await levelsOf(view.maps[map]), step);
    },
  });
  Object.assign(window, { membraneReport });
})();
