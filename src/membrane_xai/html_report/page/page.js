"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const table = JSON.parse(byId("table-data").textContent);
  const column = Object.fromEntries(table.columns.map((name, i) => [name, i]));
  const patches = new Map(table.patches.map((patch) => [patch.number, patch]));
  const patchOfRow = new Map();
  for (const patch of table.patches) for (const row of patch.rows) patchOfRow.set(row, patch.number);

  const number = (value, digits = 3) =>
    value === null || Number.isNaN(value)
      ? "–" : value.toFixed(digits).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212");
  const title = (name) => ({ map: "MAP", ec: "EC" })[name] ?? name.replaceAll("_", " ");
  const of = (row, name) => table.rows[row][column[name]];
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const idOf = (patch) => String(of(patches.get(patch).rows[0], "id"));
  const payload = (patch) => JSON.parse(byId(`data-${patch}`).textContent);

  // ---- Arrays ------------------------------------------------------------------------------

  async function bytes(text) {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function weights(encoded, size) {
    if (encoded === null) return null;
    const data = await bytes(encoded.data);
    if (encoded.kind === "float64") return new Float64Array(data.buffer);
    const found = new Uint8Array(size);
    for (let i = 0; i < size; i++) found[i] = (data[i >> 3] >> (7 - (i & 7))) & 1;
    return found;
  }

  // Positions and weights along one axis, half-pixel centres: as in the library's _resample.py.
  function axis(source, target) {
    const unit = 2 * target;
    return Array.from({ length: target }, (_, i) => {
      const place = Math.min(Math.max((2 * i + 1) * source - target, 0), (source - 1) * unit);
      const low = Math.floor(place / unit);
      const rest = place - low * unit;
      return { low, high: Math.min(low + 1, source - 1), a: (unit - rest) / unit, b: rest / unit };
    });
  }

  // Bilinear, every step rounded as the library rounds it: its sums in its order, then kept within
  // the range of the four neighbours.
  function upsample(values, h, w, height, width, round) {
    if (h === height && w === width) return values;
    const rows = axis(h, height), columns = axis(w, width);
    const up = new values.constructor(height * width);
    for (let y = 0, i = 0; y < height; y++) {
      const r = rows[y];
      for (let x = 0; x < width; x++, i++) {
        const c = columns[x];
        const a = values[r.low * w + c.low], b = values[r.low * w + c.high];
        const e = values[r.high * w + c.low], d = values[r.high * w + c.high];
        const one = round(round(a * round(r.a * c.a)) + round(d * round(r.b * c.b)));
        const two = round(round(b * round(r.a * c.b)) + round(e * round(r.b * c.a)));
        const sum = round(one + two);
        up[i] = Math.min(Math.max(sum, Math.min(a, b, d, e)), Math.max(a, b, d, e));
      }
    }
    return up;
  }

  // Returns values on the mask's grid, their maximum, and the test of a value against a threshold.
  async function activation(encoded, height, width) {
    if (encoded === null) return null;
    const data = await bytes(encoded.data);
    if (encoded.kind === "levels") {
      let top = 0;
      for (const level of data) if (level > top) top = level;
      return { values: data, top, cut: (t) => Math.round(t * table.levels) };
    }
    const single = encoded.kind === "float32";
    const round = single ? Math.fround : (x) => x;
    const given = single ? new Float32Array(data.buffer) : new Float64Array(data.buffer);
    const values = upsample(given, encoded.height, encoded.width, height, width, round);
    let top = 0;
    for (const value of values) if (value > top) top = value;
    return { values, top, cut: (t) => round(round(t) * top) };
  }

  // MAP of the set {U A+ >= t max(U A+)}: the share of its pixels, in the region, on the mask.
  function precision(view, shown, t) {
    if (shown === null) return NaN;
    const { mask, region } = view, cut = shown.cut(t);
    let inside = 0, whole = 0, maskArea = 0;
    for (let i = 0; i < mask.length; i++) {
      const weight = region === null ? 1 : region[i];
      maskArea += weight * mask[i];
      if (shown.top > 0 && shown.values[i] >= cut) {
        inside += weight * mask[i];
        whole += weight;
      }
    }
    return whole > 0 && maskArea > 0 ? Math.min(inside, whole) / whole : NaN;
  }

  async function open(patch) {
    const data = payload(patch), size = data.height * data.width;
    const [mask, region] = await Promise.all([
      weights(data.mask, size), weights(data.region, size),
    ]);
    return { ...data, patch, mask, region };
  }

  const activationOf = (view, i) => activation(view.maps[i].map, view.height, view.width);

  // ---- Colours -----------------------------------------------------------------------------

  // Viridis at 33 places: readable with any colour vision, and in grey.
  const VIRIDIS = "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725";
  const COLOURS = Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * 32, low = Math.min(Math.floor(place), 31);
    return [0, 2, 4].map((k) => {
      const part = (j) => parseInt(VIRIDIS.slice(6 * j + k, 6 * j + k + 2), 16);
      return part(low) + (place - low) * (part(low + 1) - part(low));
    });
  });

  function paintMap(canvas, view, shown, t) {
    canvas.width = view.width;
    canvas.height = view.height;
    if (shown === null || !(shown.top > 0)) return;
    const image = new ImageData(view.width, view.height), cut = shown.cut(t);
    for (let i = 0; i < shown.values.length; i++) {
      if (shown.values[i] < cut) continue;
      image.data.set(COLOURS[Math.round((255 * shown.values[i]) / shown.top)], 4 * i);
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function paintMask(canvas, view, how) {
    const { mask, width, height } = view;
    const scale = Math.max(1, Math.min(4, Math.round(1024 / width)));
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
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
    const on = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] >= 0.5;
    pen.beginPath();
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        const here = on(x, y);
        if (here !== on(x - 1, y)) {
          pen.moveTo(x * scale, y * scale);
          pen.lineTo(x * scale, (y + 1) * scale);
        }
        if (here !== on(x, y - 1)) {
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
    const text = byId("f-text").value.trim().toLowerCase();
    const method = byId("f-method").value, status = byId("f-status").value;
    state.rows = table.rows.map((_, i) => i).filter((i) =>
      (!text || searched[i].includes(text)) &&
      (!method || of(i, "method") === method) &&
      (!status || of(i, "status") === status));
    if (state.sort) {
      const k = column[state.sort], sign = state.down ? -1 : 1;
      state.rows.sort((i, j) => {
        const a = table.rows[i][k], b = table.rows[j][k];
        if (a === null || b === null) return (a === null) - (b === null); // undefined comes last
        return sign * (numeric[k] ? a - b : words.compare(String(a), String(b))) || i - j;
      });
    }
    state.page = 0;
    fillTable();
    fillGallery(false);
    const count = state.rows.length, total = table.rows.length;
    byId("f-count").textContent = count === total ? `${total} rows` : `${count} of ${total} rows`;
  }

  function cell(row, name) {
    const value = of(row, name), made = element("td");
    if (name === "id" && patchOfRow.has(row)) {
      made.append(element("a", { href: `#image-${patchOfRow.get(row)}` }, String(value)));
    } else if (fractions[column[name]] && value !== null) {
      made.textContent = number(value);
      made.title = String(value);
    } else {
      made.textContent = value === null ? (numeric[column[name]] ? "–" : "") : String(value);
      if (made.textContent.length > 24) made.title = made.textContent;
    }
    if (numeric[column[name]]) made.className = "number";
    return made;
  }

  function fillTable(all = false) {
    const from = all ? 0 : state.page * SIZE;
    const shown = state.rows.slice(from, all ? MOST_PRINTED : from + SIZE);
    document.querySelector("#rows tbody").replaceChildren(...shown.map((row) =>
      element("tr", {}, ...table.shown.map((name) => cell(row, name)))));
    const pages = Math.max(1, Math.ceil(state.rows.length / SIZE));
    byId("p-where").textContent = all
      ? `first ${shown.length} of ${state.rows.length} rows` : `page ${state.page + 1} of ${pages}`;
    byId("p-first").disabled = byId("p-prev").disabled = state.page === 0;
    byId("p-last").disabled = byId("p-next").disabled = state.page >= pages - 1;
    for (const head of document.querySelectorAll("#rows th")) {
      const sorted = head.dataset.column === state.sort;
      head.setAttribute("aria-sort",
        !sorted ? "none" : state.down ? "descending" : "ascending");
    }
  }

  function makeTable() {
    const heads = table.shown.map((name) => {
      const button = element("button", { type: "button" }, title(name));
      button.addEventListener("click", () => {
        state.down = state.sort === name && !state.down;
        state.sort = name;
        arrange();
      });
      const head = element("th", { scope: "col", "aria-sort": "none" }, button);
      head.dataset.column = name;
      if (numeric[column[name]]) head.className = "number";
      return head;
    });
    document.querySelector("#rows thead").append(element("tr", {}, ...heads));
    for (const name of ["method", "status"]) {
      const values = new Set(table.rows.map((row) => row[column[name]]));
      for (const value of values) byId(`f-${name}`).append(new Option(value, value));
      byId(`f-${name}`).addEventListener("change", arrange);
    }
    byId("f-text").addEventListener("input", arrange);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("f-clear").addEventListener("click", () => {
      byId("filters").reset();
      arrange();
    });
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
      document.querySelectorAll("#cases [data-thumb]:not(:has(img))").forEach(hang);
    });
    window.addEventListener("afterprint", () => fillTable());
  }

  // ---- Gallery -----------------------------------------------------------------------------

  const STEP = 60;
  let order = [], hung = 0;

  function hang(link) {
    watch.unobserve(link);
    const picture = element("img", { alt: "" });
    picture.src = payload(link.dataset.thumb).rgb;
    link.prepend(picture);
  }

  // Pictures are made when their card comes into view.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      hang(entry.target);
    }
  }, { rootMargin: "300px" });

  const labelText = (patch) => ["group", ...table.labels]
    .map((name) => [name, of(patch.rows[0], name)])
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value}`).join(" · ");

  function card(patch) {
    const link = element("a", { class: "card", href: `#image-${patch.number}` },
      element("span", { class: "id" }, idOf(patch.number)),
      element("span", { class: "what" }, labelText(patch)));
    link.dataset.thumb = patch.number;
    const methods = new Map();
    for (const row of patch.rows) {
      methods.set(of(row, "method"), (methods.get(of(row, "method")) ?? 0) + 1);
    }
    for (const row of patch.rows) {
      const label = of(row, "class"), several = methods.get(of(row, "method")) > 1;
      const value = of(row, "status") === "ok"
        ? number(of(row, "relative"), 2) : of(row, "status").replaceAll("_", " ");
      link.append(element("span", { class: "what pairs" },
        element("span", {}, several ? `${of(row, "method")}, ${label}` : of(row, "method")),
        element("span", {}, value)));
    }
    watch.observe(link);
    return element("li", {}, link);
  }

  function fillGallery(more) {
    const list = byId("thumbs");
    if (list === null) return;
    if (!more) {
      order = [...new Set(state.rows.map((row) => patchOfRow.get(row)))]
        .filter((patch) => patch !== undefined);
      list.replaceChildren();
      hung = 0;
    }
    list.append(...order.slice(hung, hung + STEP).map((patch) => card(patches.get(patch))));
    hung = Math.min(order.length, hung + STEP);
    byId("more").hidden = hung >= order.length;
    byId("more").textContent = `Show more (${order.length - hung} left)`;
  }

  // ---- Viewer ------------------------------------------------------------------------------

  const viewer = byId("viewer");
  let seen = null, shown = null, turnNumber = 0;
  const picked = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  const threshold = () => Number(byId("v-threshold").value) / table.levels;

  async function show(patchNumber) {
    const patch = patches.get(patchNumber), turn = ++turnNumber;
    if (patch === undefined) return;
    const view = await open(patchNumber);
    if (turn !== turnNumber) return;
    const before = seen === null ? null : byId("v-map").selectedOptions[0]?.textContent;
    seen = view;
    byId("v-title").textContent = idOf(patch.number);
    byId("v-about").textContent = [labelText(patch), `${view.width} × ${view.height} pixels`]
      .filter(Boolean).join(" · ");
    byId("v-stage").style.aspectRatio = `${view.width} / ${view.height}`;
    byId("v-rgb").src = view.rgb;
    byId("v-rgb").alt = `Image ${idOf(patch.number)}`;
    if (view.dab !== null) byId("v-dab").src = view.dab;
    byId("v-dab").alt = `DAB of ${idOf(patch.number)}, dark is dense`;
    const options = view.maps.map(({ row }, i) => {
      const label = of(row, "class");
      return new Option(label === null ? of(row, "method") : `${of(row, "method")}, class ${label}`, i);
    });
    byId("v-map").replaceChildren(...options, new Option("none", ""));
    const same = options.find((option) => option.textContent === before);
    byId("v-map").value = same ? same.value : options.length ? "0" : "";
    if (!viewer.open) viewer.showModal();
    const place = order.indexOf(patchNumber);
    byId("v-prev").disabled = place <= 0;
    byId("v-next").disabled = place < 0 || place >= order.length - 1;
    showBase();
    paintMask(byId("v-mask"), view, picked("mask"));
    await pickMap();
  }

  function showBase() {
    byId("v-rgb").hidden = picked("base") !== "rgb";
    byId("v-dab").hidden = picked("base") !== "dab" || seen.dab === null;
  }

  async function pickMap() {
    const choice = byId("v-map").value, view = seen, turn = turnNumber;
    const found = choice === "" ? null : await activationOf(view, Number(choice));
    if (turn !== turnNumber || choice !== byId("v-map").value) return;
    shown = found;
    const row = choice === "" ? null : view.maps[Number(choice)].row;
    const facts = row === null ? [] : ["status", "map", "chance", "ceiling", "relative", "ec", "coverage",
      "mask_share", "flags"].map((name) => [title(name), of(row, name)]);
    byId("v-numbers").replaceChildren(...facts.filter(([, value]) => value !== "").flatMap(
      ([name, value]) => [
        element("dt", {}, name),
        element("dd", {}, typeof value === "string" ? value.replaceAll("_", " ") : number(value)),
      ]));
    byId("v-cam").setAttribute("aria-label", choice === "" ? "No map"
      : `Map ${byId("v-map").selectedOptions[0].textContent}`);
    score();
  }

  function score() {
    const t = threshold(), choice = byId("v-map").value, live = byId("v-live");
    byId("v-opacity-now").textContent = `${byId("v-opacity").value} %`;
    byId("v-threshold-now").textContent = t === 0 ? "off" : t.toFixed(2);
    byId("v-cam").style.opacity = Number(byId("v-opacity").value) / 100;
    paintMap(byId("v-cam"), seen, shown, t);
    if (choice === "") {
      live.textContent = "No map is shown.";
      live.dataset.value = "";
      return;
    }
    const row = seen.maps[Number(choice)].row;
    const value = t === 0 ? of(row, "map") ?? NaN : precision(seen, shown, t);
    const frame = `chance ${number(of(row, "chance"))}, ceiling ${number(of(row, "ceiling"))}`;
    const where = t === 0 ? "MAP" : `MAP of the set from ${t.toFixed(2)} of the maximum`;
    live.textContent = Number.isNaN(value)
      ? `${where}: undefined (${String(of(row, "status")).replaceAll("_", " ")})`
      : `${where}: ${number(value)} (${frame})`;
    live.dataset.value = String(value);
  }

  const go = (patch) => { location.hash = `image-${patch}`; };
  function step(by) {
    const next = order[order.indexOf(seen.patch) + by];
    if (next !== undefined) go(next);
  }

  function follow() {
    const found = /^#image-(\d+)$/.exec(location.hash);
    if (found) show(Number(found[1]));
    else if (viewer.open) viewer.close();
  }

  function makeViewer() {
    const scale = byId("v-scale").getContext("2d");
    for (let x = 0; x < 200; x++) {
      scale.fillStyle = `rgb(${COLOURS[Math.round((x * 255) / 199)].join(" ")})`;
      scale.fillRect(x, 0, 1, 10);
    }
    for (const input of document.querySelectorAll("input[name=base]")) {
      input.addEventListener("change", showBase);
    }
    for (const input of document.querySelectorAll("input[name=mask]")) {
      input.addEventListener("change", () => paintMask(byId("v-mask"), seen, picked("mask")));
    }
    byId("v-map").addEventListener("change", pickMap);
    byId("v-opacity").addEventListener("input", score);
    byId("v-threshold").addEventListener("input", score);
    byId("v-prev").addEventListener("click", () => step(-1));
    byId("v-next").addEventListener("click", () => step(1));
    byId("v-close").addEventListener("click", () => viewer.close());
    viewer.addEventListener("close", () => {
      turnNumber++;
      if (location.hash.startsWith("#image-")) history.replaceState(null, "", "#gallery");
    });
    viewer.addEventListener("keydown", (event) => {
      if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    window.addEventListener("hashchange", follow);
  }

  // ---- Theme -------------------------------------------------------------------------------

  function makeTheme() {
    const button = byId("theme"), root = document.documentElement;
    const prefers = window.matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ?? (prefers.matches ? "dark" : "light")) === "dark";
    const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      name();
    });
    prefers.addEventListener("change", name);
    button.hidden = false;
    name();
  }

  makeTheme();
  makeTable();
  makeViewer();
  arrange();
  byId("more")?.addEventListener("click", () => fillGallery(true));
  for (const link of document.querySelectorAll("#cases [data-thumb]")) watch.observe(link);
  follow();

  // For other programs, such as tests: MAP of a map at a threshold, as the page shows it.
  window.membraneReport = Object.freeze({
    score: async (patch, map, t) => {
      const view = await open(patch);
      return precision(view, await activationOf(view, map), t);
    },
  });
})();
