// The fleet page. It asks the operator for what the viewer may see, every few seconds while it is
// visible, and shows it. It writes nothing anywhere but the token and the colours into this tab.
"use strict";

const REFRESH_MS = 5000;
const CLOSE_LOOK_MS = 700;
const TOKEN_KEY = "holdfast.token";
const THEME_KEY = "holdfast.theme";
const DAY_MS = 86400000;

// Worst first: the order of the list, and of the chips.
const HEALTH = [
  ["down", "Down"],
  ["attention", "Attention"],
  ["forming", "Forming"],
  ["working", "Working"],
  ["asleep", "Asleep"],
  ["healthy", "Healthy"],
];
const HEALTH_NAME = Object.fromEntries(HEALTH);
const HEALTH_RANK = Object.fromEntries(HEALTH.map(([key], rank) => [key, rank]));

const $ = (id) => document.getElementById(id);

// --- making nodes -------------------------------------------------------------------------------

// make("p", {class: "x"}, child, ...): text is always text, never markup.
function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// --- words and figures --------------------------------------------------------------------------

let clockSkewMs = 0; // the operator's clock less ours
const now = () => Date.now() + clockSkewMs;

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function milliseconds(value) {
  if (value === null || value === undefined) return null;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? Math.round(value) : value.toFixed(1)} ms`;
}

function span(ms) {
  const minutes = Math.round(Math.abs(ms) / 60000);
  if (minutes < 1) return "under a minute";
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1440)} days`;
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
const ago = (time) => (time ? `${span(now() - Date.parse(time))} ago` : null);

function certificateDays(cluster) {
  if (!cluster.certificateNotAfter) return null;
  return Math.floor((Date.parse(cluster.certificateNotAfter) - now()) / DAY_MS);
}

function certificateText(days) {
  if (days === null) return "none";
  if (days < 0) return "expired";
  return days === 1 ? "1 day" : `${days} days`;
}

function marginText(quorum) {
  if (quorum.voters === 0) return "none";
  const margin = quorum.healthy - quorum.needed;
  if (margin < 0) return `${-margin} short`;
  return margin === 0 ? "none to lose" : `${margin} to lose`;
}

function byZone(members) {
  const zones = new Map();
  for (const member of members) {
    const zone = member.zone || "";
    if (!zones.has(zone)) zones.set(zone, []);
    zones.get(zone).push(member);
  }
  return [...zones.entries()].sort(([a], [b]) => a.localeCompare(b));
}

const roleText = (member) => (member.ready ? member.role.toLowerCase() : `${member.role.toLowerCase()}, not ready`);

function topologyText(cluster) {
  if (!cluster.members.length) return "no members";
  return byZone(cluster.members)
    .map(([zone, members]) => `${zone || "no zone known"}: ${members.map((m) => `${m.name} ${roleText(m)}`).join(", ")}`)
    .join("; ");
}

// --- what is known ------------------------------------------------------------------------------

const state = {
  clusters: [],
  kubernetes: [], // where there are several, this one first: {name, reached, seenAt, failingSince, why}
  groups: new Map(), // their rows, by name
  shown: new Set(), // healths; empty: all
  filter: "",
  sort: { key: "health", down: false },
  open: null, // "namespace/name" of the cluster in the panel
  rows: new Map(), // by key: {row, json, text, cluster}
  timer: 0,
  opener: null,
};

const keyOf = (cluster) => [cluster.kubernetes, cluster.namespace, cluster.name].filter(Boolean).join("/");

// --- asking -------------------------------------------------------------------------------------

class SignedOut extends Error {}

async function ask(path) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (!token) throw new SignedOut("");
  // A header of our own: proxies on the way keep Authorization for themselves.
  const response = await fetch(path, { headers: { "Holdfast-Authorization": `Bearer ${token}` }, cache: "no-store", credentials: "omit" });
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) throw new SignedOut(body.error || "Kubernetes does not know this token.");
  if (!response.ok) throw new Error(body.error || `the operator answered ${response.status}`);
  return body;
}

async function refresh() {
  clearTimeout(state.timer);
  try {
    const answer = await ask("api/v1/clusters");
    clockSkewMs = Date.parse(answer.now) - Date.now();
    state.clusters = answer.clusters;
    state.kubernetes = answer.kubernetes || [];
    $("release").textContent = answer.release ? `operator ${answer.release}` : "";
    $("user").textContent = answer.user;
    showFleet();
    notice("");
    render();
    if (!performance.getEntriesByName("fleet-shown").length) requestAnimationFrame(() => setTimeout(() => performance.mark("fleet-shown")));
    $("freshness").textContent = `Refreshed ${new Date().toLocaleTimeString()}. You see the clusters that ${answer.user} may list${answer.everything ? "" : ", namespace by namespace"}.`;
    if (state.open) await refreshPanel();
  } catch (error) {
    if (error instanceof SignedOut) return signIn(error.message);
    notice(`What you see may be old: ${error.message}.`);
  }
  if (!document.hidden) state.timer = setTimeout(refresh, REFRESH_MS);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// --- signing in ---------------------------------------------------------------------------------

function signIn(why) {
  clearTimeout(state.timer);
  sessionStorage.removeItem(TOKEN_KEY);
  closePanel();
  state.clusters = [];
  $("rows").replaceChildren();
  state.rows.clear();
  state.groups.clear();
  $("fleet").hidden = true;
  $("sign-out").hidden = true;
  $("user").textContent = "";
  $("freshness").textContent = "";
  $("sign-in").hidden = false;
  $("sign-in-why").textContent = why;
  document.title = "Sign in · Holdfast fleet";
  $("token").value = "";
  $("token").focus();
}

function showFleet() {
  $("sign-in").hidden = true;
  $("fleet").hidden = false;
  $("sign-out").hidden = false;
}

// --- the list -----------------------------------------------------------------------------------

function dot(member) {
  return make("span", { class: "dot", "data-role": member.role, "data-ready": String(member.ready), title: `${member.name}, ${roleText(member)}` });
}

function zonesNode(cluster) {
  const node = make("span", { class: "zones", role: "img", "aria-label": topologyText(cluster) });
  for (const [zone, members] of byZone(cluster.members)) {
    node.append(make("span", { class: "zone", title: zone || "no zone known" }, ...members.map(dot)));
  }
  return node;
}

const missing = (text) => make("span", { class: "none" }, text);

function levelled(text, bad, warn) {
  return make("span", { class: bad ? "bad" : warn ? "warn" : null }, text);
}

function databaseNode(cluster) {
  const database = cluster.database;
  if (!database) return missing("not known");
  const text = database.quotaBytes ? `${bytes(database.bytes)} of ${bytes(database.quotaBytes)}` : bytes(database.bytes);
  const node = make("span", {}, text);
  if (database.quotaBytes) {
    const fill = make("i");
    fill.style.setProperty("--part", `${Math.min(100, 100 * (1 - database.headroom))}%`);
    const level = database.headroom < 0.05 ? "bad" : database.headroom < 0.15 ? "warn" : "good";
    node.append(make("span", { class: "meter", "data-level": level, "aria-hidden": "true" }, fill));
  }
  return node;
}

function backupNode(backup) {
  if (!backup) return missing("none");
  if (backup.proved) return make("span", {}, ago(backup.time));
  return make("span", {}, make("span", { class: "warn" }, "not proved"), make("br"), make("span", { class: "sub" }, ago(backup.time)));
}

function certificateNode(cluster) {
  const days = certificateDays(cluster);
  if (days === null) return missing("none");
  return levelled(certificateText(days), days < 0, days < 7);
}

function cell(label, content, number) {
  return make("td", { role: "cell", "data-label": label, class: number ? "number" : null }, content);
}

function figure(value, text) {
  return value === null || value === undefined ? missing("–") : make("span", {}, text === undefined ? String(value) : text);
}

function nameCell(cluster) {
  const told = cluster.health === "healthy" ? null : make("span", { class: "why", title: cluster.summary }, operationText(cluster) || cluster.summary);
  const place = [cluster.kubernetes, cluster.namespace].filter(Boolean).join(" / ");
  return make("th", { role: "rowheader", scope: "row" },
    make("div", { class: "name" },
      make("span", { class: "sign", "aria-hidden": "true" }),
      make("div", {},
        make("a", { href: `#/${keyOf(cluster)}` }, cluster.name), " ",
        make("span", { class: "place" }, place),
        make("span", { class: "visually-hidden" }, `, ${HEALTH_NAME[cluster.health]}`),
        told)));
}

function operationText(cluster) {
  const operation = cluster.operation;
  if (!operation || cluster.health === "down") return null;
  const step = operation.steps.find((each) => each.state === "now");
  return `${operation.type} ${operation.member}${step && operation.steps.length > 1 ? `: ${step.text}` : ""}`;
}

function rowNode(cluster) {
  const quorum = cluster.quorum;
  const short = quorum.voters > 0 && quorum.margin < 0;
  const row = make("tr", { role: "row", "data-health": cluster.health, "data-key": keyOf(cluster), "data-place": cluster.kubernetes || null },
    nameCell(cluster),
    cell("Members by zone", make("span", {}, cluster.members.length ? zonesNode(cluster) : missing("no members"))),
    cell("Quorum margin", make("span", {},
      make("span", { class: `margin ${short ? "bad" : quorum.margin === 0 && quorum.voters > 2 ? "warn" : ""}` }, marginText(quorum)),
      make("br"), make("span", { class: "sub" }, `${quorum.healthy} of ${quorum.voters} voters`))),
    cell("Leader", make("span", {}, cluster.leader || missing("none"), make("br"),
      make("span", { class: "sub" }, cluster.leaderChanges === null ? "" : count(cluster.leaderChanges, "change", "changes")))),
    cell("Lag", figure(cluster.lagEntries), true),
    cell("Quorum read", figure(cluster.quorumReadMilliseconds, milliseconds(cluster.quorumReadMilliseconds)), true),
    cell("Fsync p99", figure(cluster.walFsyncP99Milliseconds, milliseconds(cluster.walFsyncP99Milliseconds)), true),
    cell("Database", databaseNode(cluster)),
    cell("Certificates", certificateNode(cluster), true),
    cell("Proved backup", backupNode(cluster.lastBackup)));
  return row;
}

const SORTS = {
  health: (c) => [HEALTH_RANK[c.health], c.name, c.namespace],
  margin: (c) => [c.quorum.voters === 0 ? 99 : c.quorum.margin, c.name],
  lag: (c) => [-(c.lagEntries ?? -1), c.name],
  read: (c) => [-(c.quorumReadMilliseconds ?? -1), c.name],
  fsync: (c) => [-(c.walFsyncP99Milliseconds ?? -1), c.name],
  database: (c) => [c.database ? c.database.headroom : 2, c.name],
  certificate: (c) => [certificateDays(c) ?? 1e9, c.name],
  backup: (c) => [c.lastBackup ? Date.parse(c.lastBackup.time) : 0, c.name],
};

// One Kubernetes of several: how many clusters, or since when and why it is not reached.
function groupRow(kubernetes, shown) {
  const lost = !kubernetes.reached;
  const told = !lost ? null
    : !kubernetes.failingSince ? "being asked for the first time"
      : `not reached for ${span(now() - Date.parse(kubernetes.failingSince))}: ${kubernetes.why}` +
        (kubernetes.seenAt ? `. Shown as it was ${ago(kubernetes.seenAt)}` : "");
  const bad = lost && kubernetes.failingSince;
  return make("tr", { role: "row", class: "group", "data-kubernetes": kubernetes.name, "data-bad": bad ? "" : null },
    make("th", { role: "rowheader", scope: "rowgroup", colspan: "10" },
      make("span", { class: "group-name" }, kubernetes.name),
      make("span", { class: "sub" }, count(shown, "cluster", "clusters")),
      told ? make("span", { class: bad ? "group-why bad" : "group-why" }, told) : null));
}

// The row of each Kubernetes, before the first of its clusters.
function arrangeGroups(shownOf) {
  for (const { name } of state.kubernetes) state.groups.get(name)?.remove();
  for (const [name, row] of state.groups) {
    if (!state.kubernetes.some((each) => each.name === name)) { row.remove(); state.groups.delete(name); }
  }
  const filtered = state.filter.trim() !== "" || state.shown.size > 0;
  for (const kubernetes of state.kubernetes) {
    const shown = shownOf.get(kubernetes.name) || 0;
    const row = groupRow(kubernetes, shown);
    row.hidden = filtered && shown === 0 && kubernetes.reached;
    state.groups.set(kubernetes.name, row);
    const first = [...$("rows").children].find((each) => each.dataset.place === kubernetes.name);
    $("rows").insertBefore(row, first || placeOfEmpty(kubernetes));
  }
}

// Before the first row of the groups that come later.
function placeOfEmpty(kubernetes) {
  const at = state.kubernetes.indexOf(kubernetes);
  const later = new Set(state.kubernetes.slice(at + 1).map(({ name }) => name));
  return [...$("rows").children].find((each) => later.has(each.dataset.place)) || null;
}

function compare(a, b) {
  for (let i = 0; i < a.length; i += 1) {
    if (a[i] < b[i]) return -1;
    if (a[i] > b[i]) return 1;
  }
  return 0;
}

function render() {
  const seen = new Set();
  for (const cluster of state.clusters) {
    const key = keyOf(cluster);
    seen.add(key);
    const json = JSON.stringify(cluster);
    const known = state.rows.get(key);
    if (known && known.json === json) continue;
    const row = rowNode(cluster);
    const held = known && known.row.contains(document.activeElement);
    if (known) known.row.replaceWith(row);
    if (held) row.querySelector("a").focus();
    const text = [key, cluster.health, cluster.leader, cluster.version, ...cluster.members.flatMap((m) => [m.name, m.zone, m.node])].join(" ").toLowerCase();
    state.rows.set(key, { row, json, text, cluster, order: SORTS.health(cluster) });
  }
  for (const [key, known] of state.rows) {
    if (!seen.has(key)) { known.row.remove(); state.rows.delete(key); }
  }
  renderChips();
  arrange();
}

// Puts the rows in order and hides those that the filter leaves out.
function arrange() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const order = SORTS[state.sort.key];
  const groups = new Map(state.kubernetes.map(({ name }, at) => [name, at]));
  const groupOf = (each) => groups.get(each.cluster.kubernetes) ?? 0;
  const sorted = [...state.rows.values()].map((each) => ({ each, order: order(each.cluster) }));
  sorted.sort((a, b) => groupOf(a.each) - groupOf(b.each) || (state.sort.down ? -1 : 1) * compare(a.order, b.order));
  for (const row of state.groups.values()) row.remove();
  const shownOf = new Map();
  const body = $("rows");
  let at = body.firstElementChild;
  let shown = 0;
  for (const { each } of sorted) {
    const visible = words.every((word) => each.text.includes(word)) && (state.shown.size === 0 || state.shown.has(each.cluster.health));
    each.row.hidden = !visible;
    shown += visible ? 1 : 0;
    if (visible) shownOf.set(each.cluster.kubernetes, (shownOf.get(each.cluster.kubernetes) || 0) + 1);
    if (at === each.row) at = at.nextElementSibling;
    else body.insertBefore(each.row, at);
  }
  arrangeGroups(shownOf);
  const all = state.clusters.length;
  $("count").textContent = shown === all ? count(all, "cluster", "clusters") : `${shown} of ${all} clusters`;
  const lost = state.kubernetes.some((each) => !each.reached);
  $("empty").hidden = shown > 0 || lost;
  $("list").hidden = shown === 0 && !lost;
  $("empty").textContent = all === 0 ? "There is no HoldfastCluster that you may list." : "No cluster matches. Clear the filter to see all.";
  const sick = [...state.rows.values()].filter(({ cluster }) => cluster.health === "down" || cluster.health === "attention").length;
  document.title = sick ? `(${sick}) Holdfast fleet` : "Holdfast fleet";
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const by = head.dataset.sort === state.sort.key;
    if (by) head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function renderChips() {
  const counts = {};
  for (const cluster of state.clusters) counts[cluster.health] = (counts[cluster.health] || 0) + 1;
  const chips = $("chips");
  for (const [health, name] of HEALTH) {
    let chip = chips.querySelector(`[data-health="${health}"]`);
    if (!chip) {
      chip = make("button", { type: "button", class: "chip", "data-health": health, "aria-pressed": "false" },
        make("span", { class: "sign", "aria-hidden": "true" }), make("b"), ` ${name}`);
      chips.append(chip);
    }
    chip.querySelector("b").textContent = String(counts[health] || 0);
    chip.hidden = !counts[health] && !state.shown.has(health);
    chip.setAttribute("aria-pressed", String(state.shown.has(health)));
  }
}

// --- one cluster --------------------------------------------------------------------------------

async function openPanel(key) {
  state.open = key;
  state.opener = document.activeElement;
  const known = state.rows.get(key);
  renderPanel(known ? known.cluster : null);
  $("panel").hidden = false;
  $("veil").hidden = false;
  for (const node of [document.querySelector("main"), document.querySelector("header")]) node.inert = true;
  $("panel").focus();
  $("panel").scrollTop = 0;
  await refreshPanel();
  // Being looked at closely has its members asked anew, which takes a moment.
  setTimeout(() => { if (state.open === key) refresh(); }, CLOSE_LOOK_MS);
}

async function refreshPanel() {
  const key = state.open;
  try {
    const cluster = await ask(`api/v1/clusters/${key.split("/").map(encodeURIComponent).join("/")}`);
    if (state.open === key) renderPanel(cluster);
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    if (state.open === key) renderPanel(null, error.message);
  }
}

function closePanel() {
  if (!state.open) return;
  state.open = null;
  $("panel").hidden = true;
  $("veil").hidden = true;
  for (const node of [document.querySelector("main"), document.querySelector("header")]) node.inert = false;
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  const row = state.opener && document.contains(state.opener) ? state.opener : null;
  if (row) row.focus();
}

function definition(term, value, note) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, value, note ? make("small", {}, note) : null));
}

function panelFigures(cluster) {
  const quorum = cluster.quorum;
  const database = cluster.database;
  const days = certificateDays(cluster);
  const backup = cluster.lastBackup;
  const list = make("dl", { class: "figures" },
    definition("Quorum margin", marginText(quorum), `${quorum.healthy} of ${quorum.voters} voters, ${quorum.needed} needed`),
    definition("Leader", cluster.leader || "none", cluster.leaderChanges === null ? null : count(cluster.leaderChanges, "change seen", "changes seen")),
    definition("Replication lag", cluster.lagEntries === null ? "–" : count(cluster.lagEntries, "entry", "entries")),
    definition("Quorum read", milliseconds(cluster.quorumReadMilliseconds) || "–", "as the operator saw it"),
    definition("Log fsync p99", milliseconds(cluster.walFsyncP99Milliseconds) || "–", "slowest member"),
    definition("Database", database ? bytes(database.bytes) : "–",
      database && database.quotaBytes ? `${Math.round(database.headroom * 100)} % of ${bytes(database.quotaBytes)} left` : null),
    definition("Certificates", certificateText(days), days === null ? "no TLS" : new Date(cluster.certificateNotAfter).toLocaleDateString()),
    definition("Proved backup", backup ? (backup.proved ? ago(backup.time) : "not proved") : "none", backup ? backup.name : null),
    definition("Version", cluster.version || "–", cluster.clusterID ? `cluster ${cluster.clusterID}` : null));
  return list;
}

function memberNode(member) {
  const facts = [];
  if (member.answers === false) facts.push("does not answer");
  if (member.lagEntries !== null && member.role !== "Leader") facts.push(`${count(member.lagEntries, "entry", "entries")} behind`);
  if (member.walFsyncP99Milliseconds !== null && member.walFsyncP99Milliseconds !== undefined) facts.push(`fsync ${milliseconds(member.walFsyncP99Milliseconds)}`);
  if (member.databaseBytes !== undefined) facts.push(bytes(member.databaseBytes));
  const gone = member.notReadySince ? `not ready for ${span(now() - Date.parse(member.notReadySince))}` : null;
  return make("li", { class: "member" },
    make("div", { class: "member-head" }, make("span", { class: "dot", "data-role": member.role, "data-ready": String(member.ready), "aria-hidden": "true" }), member.name),
    make("p", {}, [member.role, member.version, member.node].filter(Boolean).join(" · ")),
    gone ? make("p", { class: "bad" }, gone) : null,
    facts.length ? make("p", {}, facts.join(" · ")) : null,
    ...(member.errors || []).map((error) => make("p", { class: "warn" }, error)));
}

function panelMap(cluster) {
  const map = make("div", { class: "map" });
  for (const [zone, members] of byZone(cluster.members)) {
    map.append(make("section", { class: "map-zone", "aria-label": zone || "no zone known" },
      make("h4", {}, zone || "No zone known"), make("ul", {}, ...members.map(memberNode))));
  }
  return map;
}

function panelOperation(operation) {
  const words = { done: "done", now: "under way", next: "to come" };
  return [
    make("h3", {}, `${operation.type} of ${operation.member}, begun ${ago(operation.startedAt)}${operation.requestedBy ? `, asked for by ${operation.requestedBy}` : ""}`),
    make("ol", { class: "steps" }, ...operation.steps.map((step) =>
      make("li", { "data-state": step.state, "aria-current": step.state === "now" ? "step" : null },
        make("span", {}, step.text, make("span", { class: "visually-hidden" }, `, ${words[step.state]}`))))),
  ];
}

// Whether a condition of this type is good news when it is True.
const GOOD_WHEN_TRUE = new Set(["Ready", "QuorumHealthy", "TLSReady", "AuthReady", "EncryptionReady", "BackupHealthy", "StorageHealthy", "Headroom"]);
const NEUTRAL = new Set(["Progressing", "Upgrading", "Paused", "Hibernated"]);

function conditionNode(condition) {
  const good = NEUTRAL.has(condition.type) || (condition.status === "True") === GOOD_WHEN_TRUE.has(condition.type);
  return make("li", { "data-bad": good ? null : "" },
    make("b", {}, condition.type), make("p", {}, condition.message || condition.reason),
    make("span", { class: "when" }, condition.status === "True" ? "yes" : condition.status === "False" ? "no" : "not known"),
    make("span", { class: "when" }, condition.since ? `for ${span(now() - Date.parse(condition.since))}` : ""));
}

function eventNode(event) {
  return make("li", { "data-bad": event.warning ? "" : null },
    make("b", {}, event.reason), make("p", {}, event.note),
    make("span", { class: "when" }, event.warning ? "warning" : "normal"),
    make("span", { class: "when" }, `${ago(event.at)}${event.count > 1 ? `, ${event.count} times` : ""}`));
}

function renderPanel(cluster, problem) {
  const panel = $("panel");
  const held = panel.contains(document.activeElement) && document.activeElement !== panel;
  const scrolled = panel.scrollTop;
  const close = make("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  close.addEventListener("click", closePanel);
  const place = cluster ? [cluster.kubernetes, cluster.namespace].filter(Boolean).join(" / ") : "";
  const parts = [make("div", { class: "panel-head" },
    make("h2", { id: "panel-title" }, cluster ? `${cluster.name} ` : state.open, cluster ? make("span", { class: "place" }, place) : null), close)];
  if (!cluster) {
    parts.push(make("p", { class: "notice", role: "alert" }, problem || "Being looked up."));
  } else {
    const extra = [cluster.paused ? "paused" : null, cluster.deleting ? "being deleted" : null].filter(Boolean).join(", ");
    parts.push(
      make("div", { class: "verdict", "data-health": cluster.health },
        make("span", { class: "sign", "aria-hidden": "true" }),
        make("p", {}, make("b", {}, HEALTH_NAME[cluster.health]), ` ${cluster.summary}${extra ? ` (${extra})` : ""}`)));
    if (cluster.operation) parts.push(...panelOperation(cluster.operation));
    parts.push(make("h3", {}, "Figures"), panelFigures(cluster));
    if (cluster.members.length) parts.push(make("h3", {}, "Members by zone"), panelMap(cluster));
    if (cluster.events) {
      parts.push(make("h3", {}, "Recent events"),
        cluster.events.length ? make("ul", { class: "entries" }, ...cluster.events.map(eventNode)) : make("p", { class: "none" }, "None within the last hour."));
    }
    parts.push(make("h3", {}, "Conditions"), make("ul", { class: "entries" }, ...cluster.conditions.map(conditionNode)));
    parts.push(make("h3", {}, "More"), make("p", { class: "sub" }, make("code", {}, `kubectl describe hfc ${cluster.name} --namespace ${cluster.namespace}`),
      cluster.kubernetes && cluster.kubernetes !== state.kubernetes[0]?.name ? ` in ${cluster.kubernetes}; figures that only its own operator knows are not shown here` : null));
  }
  panel.replaceChildren(...parts);
  panel.scrollTop = scrolled;
  if (held) close.focus();
}

// --- hands on -----------------------------------------------------------------------------------

function route() {
  const key = decodeURIComponent(location.hash.replace(/^#\//, ""));
  if (!location.hash.startsWith("#/")) return state.open ? closePanel() : undefined;
  if (key !== state.open) openPanel(key).catch((error) => error instanceof SignedOut && signIn(error.message));
}

function moveBetweenRows(step) {
  const links = [...document.querySelectorAll("#rows tr:not([hidden]) a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + step))].focus();
}

function keepFocusInPanel(event) {
  const focusable = [...$("panel").querySelectorAll("button, a[href]")];
  if (event.key !== "Tab" || !focusable.length) return;
  const first = focusable[0];
  const last = focusable[focusable.length - 1];
  if (event.shiftKey && (document.activeElement === first || document.activeElement === $("panel"))) { last.focus(); event.preventDefault(); }
  else if (!event.shiftKey && document.activeElement === last) { first.focus(); event.preventDefault(); }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (state.open) {
    if (event.key === "Escape") closePanel();
    else keepFocusInPanel(event);
    return;
  }
  const typing = document.activeElement instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !$("fleet").hidden) { $("filter").focus(); event.preventDefault(); }
  else if (event.key === "Escape" && document.activeElement === $("filter")) { setFilter(""); $("filter").value = ""; }
  else if (event.key === "ArrowDown" && !$("fleet").hidden) { moveBetweenRows(1); event.preventDefault(); }
  else if (event.key === "ArrowUp" && !typing && !$("fleet").hidden) { moveBetweenRows(-1); event.preventDefault(); }
}

function setFilter(text) {
  state.filter = text;
  arrange();
}

const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const text = theme === "system" ? "as the system" : theme;
  $("theme").setAttribute("aria-label", `Colours: ${text}`);
  $("theme").title = `Colours: ${text}`;
  sessionStorage.setItem(THEME_KEY, theme);
}

function begin() {
  const stored = sessionStorage.getItem(THEME_KEY);
  setTheme(THEMES.includes(stored) ? stored : "system");
  $("theme").addEventListener("click", () => {
    const at = THEMES.indexOf(sessionStorage.getItem(THEME_KEY));
    setTheme(THEMES[(at + 1) % THEMES.length]);
  });
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const same = state.sort.key === head.dataset.sort;
      state.sort = { key: head.dataset.sort, down: same && !state.sort.down };
      arrange();
    });
  }
  $("filter").addEventListener("input", (event) => setFilter(event.target.value));
  $("chips").addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (!chip) return;
    const health = chip.dataset.health;
    if (!state.shown.delete(health)) state.shown.add(health);
    renderChips();
    arrange();
  });
  $("rows").addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row || row.classList.contains("group") || event.target.closest("a") || String(getSelection())) return;
    row.querySelector("a").focus();
    location.hash = `#/${row.dataset.key}`;
  });
  $("veil").addEventListener("click", closePanel);
  $("sign-out").addEventListener("click", () => signIn(""));
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = $("token").value.trim();
    if (!token) return;
    sessionStorage.setItem(TOKEN_KEY, token);
    refresh().then(route);
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && sessionStorage.getItem(TOKEN_KEY)) refresh(); });
  window.addEventListener("hashchange", route);
  if (sessionStorage.getItem(TOKEN_KEY)) refresh().then(route);
  else signIn("");
}

begin();
