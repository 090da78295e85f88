// The picture over time that a report's page hangs on: a lane for each client and each node, operations as bars,
// faults as bands, messages as lines. Everything comes from the data elements of the page itself.
//
// Addresses: #op=17 selects an operation, and &sheet=2 the second hundred of its messages; #msg=42 a message; #page=3 a
// page of the list; &from=1.2&to=3.4 the part that is seen, in seconds.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const section = $("timeline");
  if (!section) return;
  const data = JSON.parse($("timeline-data").textContent);
  const lines = (id) => {
    const text = $(id).textContent.trim();
    return text ? text.split("\n") : [];
  };
  const TYPES = ["ok", "fail", "info"];
  const LANE = 20, AXIS = 22, GAP = 10, LABEL = 64, BAR = 14;
  // More messages than this at a time say nothing: their number is drawn instead.
  const DRAWN = 1500;
  const PAGE = 50, LISTED = 100;
  // An operation that causes more messages than this is told by the first of them.
  const CAUSED_MAX = 20000;

  // One text is parsed faster than as many as there are lines.
  const operations = JSON.parse("[" + lines("timeline-operations").join(",") + "]").map((row, index) => {
    const [process, client, node, invoked, completed, type, f, asked, got, final] = row;
    return { index, process, client, node, invoked, completed, type: TYPES[type], f, asked, got, final };
  });
  // Messages are parsed when they are looked at: there may be hundreds of thousands of them.
  const texts = lines("timeline-messages");
  const sent = new Float64Array(texts.length);
  texts.forEach((line, place) => {
    const start = line.indexOf(",") + 1;
    sent[place] = +line.slice(start, line.indexOf(",", start));
  });
  const parsed = new Map();
  const message = (place) => {
    let found = parsed.get(place);
    if (!found) {
      const [id, at, received, fate, src, dest, body] = JSON.parse(texts[place]);
      found = { place, id, at, received, fate, src, dest, body };
      if (parsed.size > 20000) parsed.clear();
      parsed.set(place, found);
    }
    return found;
  };

  // Lanes: workers first, then nodes, then the services that were asked.
  const workers = data.workers;
  const lanes = [];
  for (let worker = 0; worker < workers; worker++) lanes.push({ kind: "client", name: "client " + worker, worker });
  data.nodes.forEach((name, node) => lanes.push({ kind: "node", name, node }));
  data.services.forEach((name) => lanes.push({ kind: "service", name }));
  const byWorker = Array.from({ length: workers }, () => []);
  const byClient = new Map();
  for (const operation of operations) {
    byWorker[operation.process % workers].push(operation);
    if (!byClient.has(operation.client)) byClient.set(operation.client, []);
    byClient.get(operation.client).push(operation);
  }
  const laneOf = new Map();
  lanes.forEach((lane, place) => lane.kind === "client" || laneOf.set(lane.name, place));
  byClient.forEach((list, client) => laneOf.set("c" + client, list[0].process % workers));
  const laneTop = (place) => AXIS + place * LANE + (lanes[place].kind === "client" ? 0 : GAP);
  const laneY = (name) => {
    const place = laneOf.get(name);
    return place === undefined ? undefined : laneTop(place) + LANE / 2;
  };
  const height = AXIS + lanes.length * LANE + GAP + 4;

  const first = data.from, last = Math.max(data.to * 1.01, data.from + 1000);
  let from = first, to = last, selected = null, page = 0, sheet = 0, filter = "all";
  let carried = { places: new Set(), list: [] };

  const seconds = (us, digits = 3) => (us / 1e6).toFixed(digits) + " s";
  const text = (value) => (value === null ? "null" : typeof value === "string" ? value : JSON.stringify(value));
  const asked = (operation) =>
    operation.asked === null ? operation.f : operation.f + " " + text(operation.asked);
  const got = (operation) => (operation.got === null ? operation.type : text(operation.got));
  const cut = (value, length) => (value.length > length ? value.slice(0, length - 1) + "…" : value);

  // The first place in a sorted list that is not below a value.
  const lowerBound = (list, value, of = (item) => item) => {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (of(list[middle]) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  // ---- What belongs to an operation ----

  const operationAt = (client, at) => {
    const list = byClient.get(client);
    if (!list) return null;
    const operation = list[lowerBound(list, at + 0.5, (operation) => operation.invoked) - 1];
    return operation && at <= operation.completed ? operation : null;
  };
  const clientOf = (message) =>
    [message.src, message.dest].find((name) => /^c\d+$/.test(name));
  const operationOf = (message) => {
    const client = clientOf(message);
    return client ? operationAt(+client.slice(1), message.at) : null;
  };

  // Values that only one operation writes: a message in whose body one is found carries it.
  const valuesOf = (operation) => {
    if (!data.once.includes(operation.f)) return [];
    const values = [];
    const visit = (value) => {
      if (Array.isArray(value)) visit(value[value.length - 1]);
      else if (value !== null) values.push(value);
    };
    visit(operation.asked);
    return values.filter((value) => ["number", "string"].includes(typeof value));
  };
  // Everything that an operation caused, as far as it can be told: what its client said and heard; what answers
  // what; and every message that carries the value that only this operation writes.
  const causedBy = (operation) => {
    const places = new Set();
    const start = lowerBound(sent, operation.invoked);
    const end = lowerBound(sent, operation.completed + 1);
    const name = "c" + operation.client;
    const open = new Map();
    const node = data.nodes[operation.node];
    // What the node asks others on behalf of this operation can be told if it works on nothing else meanwhile.
    const alone = !operations.some(
      (other) => other !== operation && other.node === operation.node
        && other.invoked <= operation.completed && other.completed >= operation.invoked);
    for (let place = start; place < end; place++) {
      const line = texts[place];
      const isOwn = line.includes('"' + name + '"');
      if (!isOwn && !alone && open.size === 0) continue;
      const found = message(place);
      if (found.src === name || found.dest === name) {
        places.add(place);
      } else if (alone && found.src === node && found.body && found.body.msg_id !== undefined
        && found.body.in_reply_to === undefined) {
        places.add(place);
        open.set(found.dest + " " + found.src + " " + found.body.msg_id, place);
      } else if (found.body && open.has(found.src + " " + found.dest + " " + found.body.in_reply_to)) {
        places.add(place);
      }
    }
    const values = valuesOf(operation);
    if (values.length) {
      const patterns = values.map((value) => {
        const plain = JSON.stringify(value).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
        return new RegExp("(^|[^\\d.\\w\"-])" + plain + "(?![\\d.\\w])");
      });
      const ids = /"(msg_id|in_reply_to|id)":-?\d+/g;
      for (let place = start; place < texts.length; place++) {
        if (places.has(place)) continue;
        const body = texts[place].slice(texts[place].indexOf("{")).replace(ids, "");
        if (patterns.every((pattern) => pattern.test(body)) && !clientOf(message(place))) places.add(place);
        if (places.size >= CAUSED_MAX) break;
      }
    }
    return [...places].sort((a, b) => a - b);
  };

  // ---- Drawing ----

  const canvas = $("timeline-canvas");
  const pen = canvas.getContext("2d");
  let width = 0, colours = {};
  const x = (at) => LABEL + ((at - from) / (to - from)) * (width - LABEL);
  const timeAt = (pixel) => from + ((pixel - LABEL) / (width - LABEL)) * (to - from);

  const readColours = () => {
    const style = getComputedStyle(section);
    for (const name of ["paper", "ink", "faint", "rule", "card", "ok", "fail", "info", "fault", "select"]) {
      colours[name] = style.getPropertyValue("--" + name).trim() || "#888";
    }
  };

  const draw = () => {
    const scale = window.devicePixelRatio || 1;
    width = canvas.parentElement.clientWidth;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = height + "px";
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawLanes();
    pen.save();
    pen.beginPath();
    pen.rect(LABEL, 0, width - LABEL, height);
    pen.clip();
    drawAxis();
    drawFaults();
    drawMessages();
    drawOperations();
    pen.restore();
  };

  const drawLanes = () => {
    lanes.forEach((lane, place) => {
      const top = laneTop(place);
      pen.fillStyle = colours.rule;
      pen.fillRect(LABEL, top + LANE - 0.5, width - LABEL, 0.5);
      pen.fillStyle = lane.kind === "node" ? colours.ink : colours.faint;
      pen.fillText(lane.name, 2, top + LANE / 2, LABEL - 6);
    });
  };

  const drawAxis = () => {
    const rough = (to - from) / Math.max(2, (width - LABEL) / 90);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
    const digits = Math.max(0, Math.min(6, Math.ceil(6 - Math.log10(step))));
    pen.fillStyle = colours.faint;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      pen.fillRect(x(at), AXIS - 4, 1, 4);
      pen.fillText(seconds(at, digits), x(at) + 3, AXIS / 2);
    }
  };

  const drawFaults = () => {
    const labelled = new Map();
    data.faults.forEach((fault) => {
      const left = Math.max(x(fault.from), LABEL);
      const right = Math.min(x(fault.to === null ? last : fault.to), width);
      if (right < LABEL || left > width) return;
      const bands = fault.nodes.length ? fault.nodes : data.nodes.keys();
      pen.fillStyle = colours.fault;
      for (const node of bands) {
        pen.globalAlpha = fault.kind === "kill" ? 0.45 : 0.2;
        pen.fillRect(left, laneTop(workers + node) + 1, Math.max(right - left, 1), LANE - 2);
        pen.globalAlpha = 1;
        if (right - left > 60 && (labelled.get(node) || 0) <= left) {
          labelled.set(node, right);
          pen.fillStyle = colours.ink;
          pen.fillText(cut(fault.kind + " " + fault.target, Math.floor((right - left) / 6)), left + 3,
            laneTop(workers + node) + LANE / 2);
          pen.fillStyle = colours.fault;
        }
      }
    });
  };

  // The bands in words.
  const faultsInView = () => {
    const seen = data.faults.filter((fault) => fault.from <= to && (fault.to === null || fault.to >= from));
    const names = seen.slice(0, 3).map((fault) =>
      fault.kind + " " + fault.target + " (" + seconds(fault.from) + (fault.to === null ? " on)" : " to " + seconds(fault.to) + ")"));
    if (seen.length > 3) names.push("and " + (seen.length - 3) + " more");
    return names.length ? "; faults: " + names.join(", ") : "";
  };

  const line = (one, strong) => {
    const y = laneY(one.src), end = laneY(one.dest);
    if (y === undefined || end === undefined) return;
    const arrived = one.received.length > 0;
    pen.strokeStyle = arrived ? (strong ? colours.select : colours.faint) : colours.fail;
    pen.globalAlpha = strong ? 1 : 0.4;
    pen.lineWidth = strong ? 1.6 : 0.8;
    pen.setLineDash(arrived ? [] : [3, 3]);
    for (const at of arrived ? one.received : [one.at + (to - from) / 60]) {
      pen.beginPath();
      pen.moveTo(x(one.at), y);
      const tip = arrived ? end : y + (end - y) * 0.6;
      pen.lineTo(x(at), tip);
      pen.stroke();
      if (!arrived) {
        pen.setLineDash([]);
        pen.beginPath();
        pen.moveTo(x(at) - 3, tip - 3); pen.lineTo(x(at) + 3, tip + 3);
        pen.moveTo(x(at) + 3, tip - 3); pen.lineTo(x(at) - 3, tip + 3);
        pen.stroke();
      }
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  };

  const drawMessages = () => {
    const start = lowerBound(sent, from - (to - from) / 10), end = lowerBound(sent, to);
    const count = (end - start).toLocaleString("en") + " messages in view";
    if (end - start <= DRAWN) {
      for (let place = start; place < end; place++) carried.places.has(place) || line(message(place), false);
    }
    $("timeline-note").textContent = (end - start <= DRAWN ? count : count + ": zoom in to see them") + faultsInView();
    const chosen = carried.list.slice(0, DRAWN);
    chosen.forEach((place) => line(message(place), true));
    if (selected && selected.kind === "msg") line(message(selected.place), true);
  };

  const drawOperations = () => {
    byWorker.forEach((list, worker) => {
      const top = laneTop(worker) + (LANE - BAR) / 2;
      let drawnTo = -1;
      for (let place = Math.max(0, lowerBound(list, from, (operation) => operation.completed)); place < list.length; place++) {
        const operation = list[place];
        if (operation.invoked > to) break;
        const left = x(operation.invoked);
        const right = Math.max(x(Math.min(operation.completed, last)), left + 3);
        const isSelected = selected && selected.kind === "op" && selected.index === operation.index;
        // What would be drawn over what is there already says nothing.
        if (right <= drawnTo && !isSelected && operation.type === "ok" && !data.offending.includes(operation.index)) continue;
        drawnTo = Math.max(drawnTo, right);
        pen.fillStyle = colours[operation.type];
        pen.globalAlpha = operation.type === "ok" ? 0.75 : 1;
        pen.fillRect(left, top, right - left, BAR);
        pen.globalAlpha = 1;
        if (isSelected || data.offending.includes(operation.index)) {
          pen.strokeStyle = isSelected ? colours.select : colours.fail;
          pen.lineWidth = 2;
          pen.strokeRect(left - 1.5, top - 1.5, right - left + 3, BAR + 3);
        }
        const next = list[place + 1];
        const room = Math.max(right - left, Math.min(next ? x(next.invoked) : width, width) - left) - 6;
        if (room > 28) {
          pen.fillStyle = right - left > room - 2 ? colours.paper : colours.ink;
          const label = asked(operation) + " → " + got(operation);
          pen.fillText(cut(label, Math.floor(room / 6)), right - left > room - 2 ? left + 3 : right + 3, top + BAR / 2);
        }
      }
    });
  };

  // ---- Details ----

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => {
      if (key === "onclick") made.addEventListener("click", value);
      else made.setAttribute(key, value);
    });
    made.append(...children);
    return made;
  };
  const link = (address, label) => element("a", { href: "#" + address }, label);

  const fate = (one) => {
    if (!one.received.length) return one.fate || "under way when the test ended";
    const times = one.received.map((at) => seconds(at, 6)).join(" and ");
    return "arrived at " + times;
  };

  const messageRow = (place) => {
    const one = message(place);
    return element("tr", { class: one.received.length ? "" : "lost" },
      element("td", {}, link("msg=" + one.id, seconds(one.at, 6))),
      element("td", {}, one.src + " → " + one.dest),
      element("td", {}, fate(one)),
      element("td", { class: "body" }, cut(JSON.stringify(one.body), 300)));
  };

  const showDetail = () => {
    const detail = $("timeline-detail");
    detail.replaceChildren();
    if (!selected) {
      detail.append(element("p", { class: "note" },
        "Click an operation or a message, or use the list below. Drag or arrow keys move, wheel or + and − zoom, 0 shows all."));
      return;
    }
    if (selected.kind === "op") {
      const operation = operations[selected.index];
      detail.append(
        element("h3", {}, "Operation " + operation.index + ": " + asked(operation)),
        element("p", {},
          "process " + operation.process + " asked " + data.nodes[operation.node] + " from "
          + seconds(operation.invoked, 6) + " to " + seconds(operation.completed, 6) + (operation.final ? ", at the end" : "")
          + ": ", element("strong", { class: operation.type }, operation.type), operation.got === null ? "" : " " + got(operation)));
      const list = carried.list;
      detail.append(element("p", { class: "note" },
        list.length ? list.length + (list.length === 1 ? " message" : " messages") + " that it caused, or in which its value occurs"
          : "None of its messages are among those that were kept"));
      if (list.length) {
        const body = element("tbody");
        const sheets = Math.ceil(list.length / LISTED);
        sheet = Math.min(Math.max(sheet, 0), sheets - 1);
        list.slice(sheet * LISTED, (sheet + 1) * LISTED).forEach((place) => body.append(messageRow(place)));
        detail.append(element("div", { class: "wide" }, element("table", { class: "messages" },
          element("thead", {}, element("tr", {}, ...["sent", "from and to", "what became of it", "body"].map((name) => element("th", {}, name)))), body)));
        if (sheets > 1) {
          const turn = (by, label) => element("button", { type: "button", onclick: () => { sheet += by; showDetail(); write(); } }, label);
          detail.append(element("p", { class: "tools" }, turn(-1, "previous messages"), turn(1, "next messages"),
            element("span", { class: "note" }, "sheet " + (sheet + 1) + " of " + sheets)));
        }
      }
    } else {
      const one = message(selected.place);
      const operation = operationOf(one);
      detail.append(
        element("h3", {}, "Message " + one.id + ": " + one.src + " → " + one.dest),
        element("p", {}, "sent at " + seconds(one.at, 6) + ", ",
          element("strong", { class: one.received.length ? "ok" : "fail" }, fate(one))),
        element("pre", {}, JSON.stringify(one.body, null, 1)));
      if (operation) detail.append(element("p", {}, "It belongs to ", link("op=" + operation.index, "operation " + operation.index + ": " + asked(operation)), "."));
    }
  };

  // ---- The list ----

  const listed = () => {
    if (filter === "offending") return data.offending.map((index) => operations[index]).filter(Boolean);
    if (filter === "not ok") return operations.filter((operation) => operation.type !== "ok");
    const word = $("timeline-find").value.trim();
    return word ? operations.filter((operation) => (asked(operation) + " " + got(operation)).includes(word)) : operations;
  };
  const showList = () => {
    const all = listed(), pages = Math.max(1, Math.ceil(all.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const body = $("timeline-list");
    body.replaceChildren(...all.slice(page * PAGE, (page + 1) * PAGE).map((operation) =>
      element("tr", { id: "op-" + operation.index,
        class: (selected && selected.kind === "op" && selected.index === operation.index ? "selected " : "")
          + (data.offending.includes(operation.index) ? "offending" : "") },
        element("td", {}, link("op=" + operation.index, String(operation.index))),
        element("td", {}, seconds(operation.invoked)),
        element("td", {}, data.nodes[operation.node]),
        element("td", { class: "body" }, cut(asked(operation), 120)),
        element("td", { class: operation.type }, operation.type),
        element("td", { class: "body" }, cut(got(operation), 200)))));
    $("timeline-page").textContent = "page " + (page + 1) + " of " + pages.toLocaleString("en") + ", " + all.length.toLocaleString("en") + " operations";
  };

  // ---- What is seen, and its address ----

  const placeOfMessage = (id) => {
    // They are numbered in the order in which they were sent.
    const place = lowerBound(texts, id, (line) => +line.slice(1, line.indexOf(",")));
    return place < texts.length && message(place).id === id ? place : -1;
  };
  const view = (start, end) => {
    const span = Math.min(Math.max(end - start, 20), last - first);
    from = Math.min(Math.max(start, first), last - span);
    to = from + span;
  };
  // Brings a span into view, with what is around it.
  const show = (start, end) => {
    const margin = Math.max((end - start) * 0.3, 50000);
    view(start - margin, end + margin);
  };
  const write = () => {
    const parts = [];
    if (selected) parts.push(selected.kind === "op" ? "op=" + selected.index : "msg=" + message(selected.place).id);
    else if (page) parts.push("page=" + (page + 1));
    if (selected && selected.kind === "op" && sheet) parts.push("sheet=" + (sheet + 1));
    if (from !== first || to !== last) parts.push("from=" + (from / 1e6).toFixed(6), "to=" + (to / 1e6).toFixed(6));
    history.replaceState(null, "", parts.length ? "#" + parts.join("&") : "#");
  };
  const read = () => {
    const parts = new URLSearchParams(location.hash.slice(1));
    selected = null;
    carried = { places: new Set(), list: [] };
    sheet = parts.has("sheet") ? parts.get("sheet") - 1 : 0;
    if (parts.has("page")) page = parts.get("page") - 1;
    if (parts.has("from") && parts.has("to")) view(parts.get("from") * 1e6, parts.get("to") * 1e6);
    if (parts.has("op") && operations[+parts.get("op")]) {
      const operation = operations[+parts.get("op")];
      selected = { kind: "op", index: operation.index };
      const list = causedBy(operation);
      carried = { places: new Set(list), list };
      if (filter === "all" && !$("timeline-find").value) page = Math.floor(operation.index / PAGE);
      if (!parts.has("from")) {
        const near = list.slice(0, LISTED).map(message);
        show(operation.invoked, Math.min(Math.max(operation.completed, ...near.flatMap((one) => [one.at, ...one.received])), last));
      }
    } else if (parts.has("msg")) {
      const place = placeOfMessage(+parts.get("msg"));
      if (place >= 0) {
        selected = { kind: "msg", place };
        const one = message(place);
        if (!parts.has("from")) show(one.at, Math.max(one.at, ...one.received));
      }
    }
    refresh();
  };
  const refresh = () => { draw(); showDetail(); showList(); };
  const go = (address) => { location.hash = address; };

  // ---- Mouse and keyboard ----

  const zoom = (times, centre = (from + to) / 2) => {
    view(centre - (centre - from) * times, centre + (to - centre) * times);
    draw();
    write();
  };
  const pan = (share) => { const by = (to - from) * share; view(from + by, to + by); draw(); write(); };
  const hit = (event) => {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    for (let worker = 0; worker < workers; worker++) {
      const top = laneTop(worker);
      if (py < top || py >= top + LANE) continue;
      const list = byWorker[worker];
      let best = null, distance = 8;
      for (let place = Math.max(0, lowerBound(list, timeAt(px - 8), (operation) => operation.completed) - 1); place < list.length; place++) {
        const operation = list[place];
        if (operation.invoked > timeAt(px + 8)) break;
        const away = Math.max(x(operation.invoked) - px, px - Math.max(x(operation.completed), x(operation.invoked) + 3), 0);
        if (away < distance) { best = operation; distance = away; }
      }
      if (best) return "op=" + best.index;
    }
    const start = lowerBound(sent, timeAt(px) - (to - from) / 4), end = lowerBound(sent, timeAt(px + 5));
    if (end - start > 20000) return null;
    let best = null, distance = 6;
    for (let place = start; place < end; place++) {
      const one = message(place);
      const y = laneY(one.src), yEnd = laneY(one.dest);
      if (y === undefined || yEnd === undefined) continue;
      for (const at of one.received.length ? one.received : [one.at + (to - from) / 60]) {
        const ax = x(one.at), bx = x(at);
        const length = (bx - ax) ** 2 + (yEnd - y) ** 2 || 1;
        const along = Math.min(1, Math.max(0, ((px - ax) * (bx - ax) + (py - y) * (yEnd - y)) / length));
        const away = Math.hypot(px - ax - along * (bx - ax), py - y - along * (yEnd - y));
        if (away < distance) { best = one; distance = away; }
      }
    }
    return best ? "msg=" + best.id : null;
  };

  let grabbed = null;
  canvas.addEventListener("pointerdown", (event) => {
    grabbed = { x: event.clientX, from, to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grabbed) { canvas.style.cursor = hit(event) ? "pointer" : "grab"; return; }
    const by = ((grabbed.x - event.clientX) / (width - LABEL)) * (grabbed.to - grabbed.from);
    grabbed.moved = grabbed.moved || Math.abs(event.clientX - grabbed.x) > 3;
    if (grabbed.moved) { view(grabbed.from + by, grabbed.to + by); draw(); }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (grabbed && !grabbed.moved) {
      const address = hit(event);
      go(address ? address + viewPart() : viewPart().slice(1));
    } else write();
    grabbed = null;
  });
  const viewPart = () => (from === first && to === last ? "" : "&from=" + (from / 1e6).toFixed(6) + "&to=" + (to / 1e6).toFixed(6));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && Math.abs(event.deltaY) > Math.abs(event.deltaX) && !canvas.matches(":focus")) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / width);
    else zoom(1.0015 ** event.deltaY, timeAt(event.clientX - canvas.getBoundingClientRect().left));
  }, { passive: false });
  const step = (by) => {
    const index = selected && selected.kind === "op" ? selected.index + by : by > 0 ? 0 : operations.length - 1;
    if (operations[index]) go("op=" + index);
  };
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.6), "=": () => zoom(0.6),
      "-": () => zoom(1 / 0.6), "0": () => { view(first, last); draw(); write(); },
      n: () => step(1), p: () => step(-1), Escape: () => go(""),
    };
    const act = keys[event.key];
    if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
  });
  const on = (id, act) => $(id).addEventListener("click", act);
  on("timeline-in", () => zoom(0.5));
  on("timeline-out", () => zoom(2));
  on("timeline-all", () => { view(first, last); draw(); write(); });
  on("timeline-previous", () => { page--; showList(); });
  on("timeline-next", () => { page++; showList(); });
  $("timeline-filter").addEventListener("change", (event) => { filter = event.target.value; page = 0; showList(); });
  $("timeline-find").addEventListener("input", () => { page = 0; showList(); });
  window.addEventListener("hashchange", read);
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });

  readColours();
  if (!location.hash && data.offending.length) {
    filter = "offending";
    $("timeline-filter").value = filter;
    const operation = operations[data.offending[0]];
    // What went wrong, in all of the test. If it was only seen after the rest at the end: the message that is the reason,
    // in what came before.
    const reason = document.querySelector("p.why a[href^='#msg=']");
    const place = reason ? placeOfMessage(+reason.getAttribute("href").slice(5)) : -1;
    const ends = (calm, one) => (one.final ? calm : Math.max(calm, Math.min(one.completed, last)));
    const calm = operations.reduce(ends, first + 1000);
    if (operation && operation.final && place >= 0 && message(place).at <= calm) {
      const end = Math.min(calm * 1.05, last);
      history.replaceState(null, "", reason.getAttribute("href") + "&from=" + first / 1e6 + "&to=" + end / 1e6);
    } else if (operation) {
      history.replaceState(null, "", "#op=" + operation.index + "&from=" + first / 1e6 + "&to=" + last / 1e6);
    }
  }
  read();
  section.dataset.ready = "true";
})();
