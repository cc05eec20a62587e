// Every text from a mail reaches the page through textContent, so none of it can become markup.

const POLL_INTERVAL = 1000;
const LIST_LIMIT = 200;

// The page has two addresses: what was sent, and what the service's emails look like.
const previews = location.pathname.endsWith("/previews");
const source = previews ? "previews/messages" : "messages";

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
  if (previews) return decodeURIComponent(location.hash.slice(1));
  return location.hash.startsWith("#em_") ? location.hash.slice(1) : "";
}

function url(id) {
  return `${source}/${encodeURIComponent(id)}`;
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
  if (!iso) return make("time");
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  const text = time.toLocaleString([], today ? { timeStyle: "short" } : { day: "numeric", month: "short" });
  return make("time", { dateTime: iso, title: time.toLocaleString() }, text);
}

function isWaiting(message) {
  return message.status === "queued" && message.scheduled_at;
}

function showStatus(element, message) {
  const status = previews ? message.error && "broken" : message.status;
  element.className = "status";
  element.dataset.status = status;
  element.textContent = isWaiting(message) ? "scheduled" : status;
  element.hidden = !status;
  if (message.repeats) element.append(` · repeated ${message.repeats}×`);
  return element;
}

// The list

function row(message, isNew) {
  return make("li", {}, make("a", { href: `#${message.id}`, className: isNew ? "new" : "" },
    make("span", { className: "to" }, previews ? message.id : message.to.join(", ")),
    showTime(message.created_at),
    make("span", { className: "subject" }, message.subject || message.error || "(no subject)"),
    make("span", { className: "from" }, message.from ?? ""), showStatus(make("span"), message)));
}

function showList(newest, total) {
  const focused = document.activeElement?.closest("#messages a")?.hash;
  find("messages").replaceChildren(
    ...newest.map((message) => row(message, messages && !seen.has(message.id))));
  if (focused) linkTo(focused)?.focus();
  messages = newest;
  for (const message of messages) seen.add(message.id);

  const shown = total > messages.length ? `, the newest ${messages.length} shown` : "";
  const noun = previews ? "email" : "message";
  find("count").textContent = `${total} ${total === 1 ? noun : `${noun}s`}${shown}`;
  find("no-match").hidden = !searched || total > 0;
  find("empty").disabled = !searched && total === 0;
  if (!searched && !previews) document.title = `${total ? `(${total}) ` : ""}Mailbox · PostStack sandbox`;
  showPanes();
}

function showPanes() {
  if (!messages) return;
  const empty = !previews && !searched && messages.length === 0;
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
  const changed = another || JSON.stringify(open.body) !== JSON.stringify(body);
  open = message;
  find("subject").textContent = message.subject || (previews ? message.id : "(no subject)");
  showStatus(find("status"), message);
  find("schedule").hidden = !isWaiting(message);
  find("summary").replaceChildren(...terms([
    ["From", message.from],
    ["To", message.to?.join(", ")],
    ["Cc", body.cc?.join(", ")],
    ["Bcc", body.bcc?.join(", ")],
    ["Reply to", body.reply_to],
    ["Accepted", message.created_at && new Date(message.created_at).toLocaleString()],
    ["Scheduled", message.scheduled_at && new Date(message.scheduled_at).toLocaleString()],
    ["Tags", body.tags?.join(", ")],
    ["Unsubscribe", body.unsubscribe && "yes"],
    ["Tracking", body.tracking && (["opens", "clicks"].filter((what) => body.tracking[what]).join(", ") || "off")],
  ]));
  showDetails(message);
  if (another && isWaiting(message)) find("scheduled-at").value = localTime(message.scheduled_at);
  if (another) find("message").scrollTop = 0;
  if (!changed) return;

  find("error").textContent = message.error ?? "";
  find("message").classList.toggle("broken", Boolean(body.error));
  find("attachments").replaceChildren(...(body.attachments ?? []).map((attachment, index) =>
    make("li", {}, make("a", { href: `${url(message.id)}/attachments/${index}`, download: attachment.filename },
      attachment.filename, make("small", {}, ` ${showSize(attachment.content)}`)))));
  find("view").hidden = !body.html;
  find("html").replaceChildren(body.html
    ? make("iframe", {
      title: "The message as HTML",
      sandbox: "allow-popups allow-popups-to-escape-sandbox",
      src: `${url(message.id)}/html`,
    })
    : make("p", { className: "hint" }, "This message has no HTML form."));
  find("panel-text").replaceChildren(body.text
    ? make("pre", {}, body.text)
    : make("p", { className: "hint" }, "This message has no text form."));
  find("panel-source").replaceChildren(make("pre", {}, JSON.stringify(body, null, 2)));
  showTab(tab === "html" && !body.html ? "text" : tab);
}

// A time as `datetime-local` inputs write it.
function localTime(iso) {
  const time = new Date(iso);
  return new Date(time - time.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
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
      ["Repeats absorbed", message.repeats?.toString()],
    ]),
    ...section("Events", (message.events ?? []).map((event) =>
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
  const response = id && await fetch(url(id));
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
  const response = await fetch(`${source}?body=false&limit=${LIST_LIMIT}&q=${encodeURIComponent(query)}`, {
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
  find("to-previews").hidden = !guide.previews;
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
  const typing = [find("search"), find("scheduled-at")].includes(event.target);
  const reading = event.target.closest?.("[role=tabpanel], pre, form");
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

async function reschedule(time) {
  await fetch(url(open.id), { method: "PATCH", body: JSON.stringify({ scheduled_at: time }) });
  update();
}

find("schedule").addEventListener("submit", (event) => {
  event.preventDefault();
  reschedule(new Date(find("scheduled-at").value));
});
find("send-now").addEventListener("click", () => reschedule(new Date()));
find("cancel").addEventListener("click", async () => {
  await fetch(`${url(open.id)}/cancel`, { method: "POST" });
  update();
});
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

document.body.classList.toggle("previews", previews);
if (previews) document.title = "Previews · PostStack sandbox";
showGuide();
poll();
