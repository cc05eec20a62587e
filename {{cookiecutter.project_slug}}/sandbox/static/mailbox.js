// Every text from a mail reaches the page through textContent, so none of it can become markup.

const POLL_INTERVAL = 1000;
const LIST_LIMIT = 200;

const find = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];
const seen = new Set();

let messages = null; // until the first response
let searched = "";
let etag = null;
let open = null;
let tab = "html";

// The address names the open message, so that it can be linked to and the back button works.
function wanted() {
  return location.hash.startsWith("#em_") ? location.hash.slice(1) : "";
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function terms(pairs) {
  return pairs.filter(([, value]) => value)
    .flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]);
}

function showTime(iso) {
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  const text = time.toLocaleString([], today ? { timeStyle: "short" } : { day: "numeric", month: "short" });
  return make("time", { dateTime: iso, title: time.toLocaleString() }, text);
}

function showStatus(element, message) {
  const waiting = message.status === "queued" && message.scheduled_at;
  element.className = "status";
  element.dataset.status = message.status;
  element.textContent = waiting ? "scheduled" : message.status;
  if (message.repeats) element.append(` · repeated ${message.repeats}×`);
  return element;
}

// The list

function row(message, isNew) {
  return make("li", {}, make("a", { href: `#${message.id}`, className: isNew ? "new" : "" },
    make("span", { className: "to" }, message.to.join(", ")), showTime(message.created_at),
    make("span", { className: "subject" }, message.subject || "(no subject)"),
    make("span", { className: "from" }, message.from), showStatus(make("span"), message)));
}

function showList(newest, total) {
  const focused = document.activeElement?.closest("#messages a")?.hash;
  find("messages").replaceChildren(
    ...newest.map((message) => row(message, messages && !seen.has(message.id))));
  if (focused) linkTo(focused)?.focus();
  messages = newest;
  for (const message of messages) seen.add(message.id);

  const shown = total > messages.length ? `, the newest ${messages.length} shown` : "";
  find("count").textContent = `${total} ${total === 1 ? "message" : "messages"}${shown}`;
  find("no-match").hidden = !searched || total > 0;
  find("empty").disabled = !searched && total === 0;
  if (!searched) document.title = `${total ? `(${total}) ` : ""}Mailbox · PostStack sandbox`;
  showPanes();
}

function showPanes() {
  if (!messages) return;
  const empty = !searched && messages.length === 0;
  document.querySelector("main").classList.toggle("first-time", empty);
  document.querySelector("main").classList.toggle("open", open !== null);
  find("welcome").hidden = !empty;
  find("message").hidden = empty || !open;
  find("nothing-open").hidden = empty || open !== null;
  for (const link of document.querySelectorAll("#messages a")) {
    link.ariaCurrent = link.hash === location.hash;
  }
}

function linkTo(hash) {
  return document.querySelector(`#messages a[href="${hash}"]`);
}

// One message

function showMessage(message) {
  const body = message.body;
  const another = open?.id !== message.id;
  open = message;
  find("subject").textContent = message.subject || "(no subject)";
  showStatus(find("status"), message);
  find("summary").replaceChildren(...terms([
    ["From", message.from],
    ["To", message.to.join(", ")],
    ["Cc", body.cc?.join(", ")],
    ["Bcc", body.bcc?.join(", ")],
    ["Reply to", body.reply_to],
    ["Accepted", new Date(message.created_at).toLocaleString()],
    ["Scheduled", message.scheduled_at && new Date(message.scheduled_at).toLocaleString()],
    ["Tags", body.tags?.join(", ")],
  ]));
  showDetails(message);
  if (!another) return;

  find("attachments").replaceChildren(...(body.attachments ?? []).map((attachment, index) =>
    make("li", {}, make("a", { href: `messages/${message.id}/attachments/${index}`, download: attachment.filename },
      attachment.filename, make("small", {}, ` ${showSize(attachment.content)}`)))));
  find("panel-html").replaceChildren(body.html
    ? make("iframe", {
      title: "The message as HTML",
      sandbox: "allow-popups allow-popups-to-escape-sandbox",
      src: `messages/${message.id}/html`,
    })
    : make("p", { className: "hint" }, "This message has no HTML form."));
  find("panel-text").replaceChildren(body.text
    ? make("pre", {}, body.text)
    : make("p", { className: "hint" }, "This message has no text form."));
  find("panel-source").replaceChildren(make("pre", {}, JSON.stringify(body, null, 2)));
  showTab(tab === "html" && !body.html ? "text" : tab);
  find("message").scrollTop = 0;
}

function showSize(base64) {
  const bytes = base64.replace(/=+$/, "").length * 3 / 4;
  return bytes < 1024 ? `${Math.floor(bytes)} B` : `${Math.round(bytes / 1024).toLocaleString()} KB`;
}

function showDetails(message) {
  const section = (title, pairs) => (pairs.length
    ? [make("h3", {}, title), make("dl", {}, ...terms(pairs))] : []);
  find("panel-details").replaceChildren(
    ...section("Message", [
      ["Id", message.id],
      ["Idempotency key", message.body.idempotency_key ?? "none"],
      ["Repeats absorbed", String(message.repeats)],
    ]),
    ...section("Events", message.events.map((event) =>
      [event.type, new Date(event.timestamp).toLocaleTimeString()])),
    ...section("Headers", Object.entries(message.body.headers ?? {})),
  );
}

function showTab(name) {
  for (const button of tabs) {
    const selected = button.id === `tab-${name}`;
    button.ariaSelected = selected;
    button.tabIndex = selected ? 0 : -1;
    find(button.getAttribute("aria-controls")).hidden = !selected;
  }
}

async function openFromAddress() {
  const id = wanted();
  const response = id && await fetch(`messages/${encodeURIComponent(id)}`);
  const message = response?.ok ? await response.json() : null;
  if (id !== wanted()) return;
  if (message) showMessage(message);
  else open = null;
  showPanes();
}

// Staying up to date. Polling, not a stream: an open stream would hold up every code reload.

async function update() {
  if (document.hidden) return;
  const query = find("search").value.trim();
  const response = await fetch(`messages?body=false&limit=${LIST_LIMIT}&q=${encodeURIComponent(query)}`, {
    headers: etag && query === searched ? { "If-None-Match": etag } : {},
  }).catch(() => null);
  find("connection").hidden = [200, 304].includes(response?.status);
  if (response?.status !== 200 || query !== find("search").value.trim()) return;
  const found = await response.json();
  etag = response.headers.get("ETag");
  searched = query;
  showList(found.messages, found.total);
  if (wanted()) await openFromAddress();
}

function poll() {
  update().finally(() => setTimeout(poll, POLL_INTERVAL));
}

async function showGuide() {
  const guide = await (await fetch("guide")).json();
  find("url").textContent = new URL("emails", location.href);
  find("api-key").textContent = guide.api_key;
  find("recipient-list").replaceChildren(...terms(guide.recipients.map((recipient) =>
    [make("code", {}, recipient.address), recipient.effect])));
}

// What people do

function step(by) {
  if (!messages?.length) return;
  const at = messages.findIndex((message) => message.id === wanted());
  const next = messages[at < 0 ? 0 : Math.min(Math.max(at + by, 0), messages.length - 1)];
  location.hash = next.id;
  linkTo(location.hash).focus();
}

function leave() {
  if (find("search").value || document.activeElement === find("search")) {
    find("search").value = "";
    find("search").blur();
    update();
  } else if (wanted()) {
    linkTo(location.hash)?.focus();
    location.hash = "";
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target === find("search");
  const reading = event.target.closest?.("[role=tabpanel], pre");
  const action = {
    j: !typing && (() => step(1)),
    k: !typing && (() => step(-1)),
    ArrowDown: !reading && (() => step(1)),
    ArrowUp: !reading && (() => step(-1)),
    "/": !typing && (() => find("search").focus()),
    Escape: leave,
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

for (const [index, button] of tabs.entries()) {
  button.addEventListener("click", () => {
    tab = button.id.replace("tab-", "");
    showTab(tab);
  });
  button.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = by && tabs.at((index + by) % tabs.length);
    next?.focus();
    next?.click();
  });
}

find("search").addEventListener("input", update);
find("show-recipients").addEventListener("click", () => find("recipients").showModal());
find("empty").addEventListener("click", () => find("confirm-empty").showModal());
find("delete-all").addEventListener("click", async () => {
  await fetch("messages", { method: "DELETE" });
  find("search").value = "";
  location.hash = "";
  update();
});
window.addEventListener("hashchange", openFromAddress);
document.addEventListener("visibilitychange", update);

showGuide();
poll();
