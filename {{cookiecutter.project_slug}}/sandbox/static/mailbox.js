// Every text from a mail reaches the page through textContent, so none of it can become markup.

const POLL_EVERY = 1000;
const SHOWN = 200;

const find = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];

let messages = [];
let known = null;
let etag = null;
let asked = "";
let open = null;
let tab = "html";

// The address names the open message, so that it can be linked to and the back button works.
function wanted() {
  return location.hash.startsWith("#em_") ? location.hash.slice(1) : "";
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function terms(pairs) {
  return pairs.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]);
}

function showTime(iso) {
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  const text = today
    ? time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : time.toLocaleDateString([], { day: "numeric", month: "short" });
  return make("time", { datetime: iso, title: time.toLocaleString() }, text);
}

function showStatus(element, message) {
  const waiting = message.status === "queued" && message.scheduled_at;
  element.className = "status";
  element.dataset.status = message.status;
  element.textContent = waiting ? "scheduled" : message.status;
  if (message.repeats) element.append(` · repeated ${message.repeats}×`);
}

function showSize(bytes) {
  return bytes < 1024 ? `${bytes} B` : `${Math.round(bytes / 1024).toLocaleString()} KB`;
}

// The list

function row(message) {
  const status = make("span");
  showStatus(status, message);
  const link = make("a", { href: `#${message.id}` },
    make("span", { class: "to" }, message.to.join(", ")), showTime(message.time),
    make("span", { class: "subject" }, message.subject || "(no subject)"),
    make("span", { class: "from" }, message.from), status);
  if (known && !known.has(message.id)) link.classList.add("new");
  return make("li", {}, link);
}

function showList(total) {
  const focused = document.activeElement?.closest("#messages a")?.hash;
  find("messages").replaceChildren(...messages.map(row));
  if (focused) document.querySelector(`#messages a[href="${focused}"]`)?.focus();
  known = new Set([...(known ?? []), ...messages.map((message) => message.id)]);

  const newest = total > messages.length ? `, the newest ${messages.length} shown` : "";
  find("count").textContent = `${total} ${total === 1 ? "message" : "messages"}${newest}`;
  find("no-match").hidden = !asked || total > 0;
  find("empty").disabled = !asked && total === 0;
  if (!asked) document.title = `${total ? `(${total}) ` : ""}Mailbox · PostStack sandbox`;
  showPlaces();
}

function showPlaces() {
  const empty = known !== null && !asked && messages.length === 0;
  const gone = wanted() && !open && known !== null && !empty;
  document.querySelector("main").classList.toggle("first-time", empty);
  document.querySelector("main").classList.toggle("open", Boolean(wanted()));
  find("welcome").hidden = !empty;
  find("message").hidden = !open || empty;
  find("gone").hidden = !gone;
  find("nothing-open").hidden = empty || known === null || Boolean(wanted());
  for (const link of document.querySelectorAll("#messages a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
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
    ...(message.cc.length ? [["Cc", message.cc.join(", ")]] : []),
    ...(message.bcc.length ? [["Bcc", message.bcc.join(", ")]] : []),
    ...(body.reply_to ? [["Reply to", body.reply_to]] : []),
    ["Accepted", new Date(message.time).toLocaleString()],
    ...(message.scheduled_at ? [["Scheduled", new Date(message.scheduled_at).toLocaleString()]] : []),
    ...(message.tags.length ? [["Tags", message.tags.join(", ")]] : []),
  ]));
  showDetails(message);
  if (!another) return;

  find("attachments").replaceChildren(...message.attachments.map((attachment, index) =>
    make("li", {}, make("a", { href: `messages/${message.id}/attachments/${index}`, download: attachment.filename },
      attachment.filename, " ", make("small", {}, showSize(attachment.size))))));
  find("panel-html").replaceChildren(body.html
    ? make("iframe", {
      title: "The message as HTML",
      sandbox: "allow-popups allow-popups-to-escape-sandbox",
      src: `messages/${message.id}/html`,
    })
    : make("p", { class: "hint" }, "This message has no HTML form."));
  find("panel-text").replaceChildren(body.text
    ? make("pre", {}, body.text)
    : make("p", { class: "hint" }, "This message has no text form."));
  find("panel-source").replaceChildren(make("pre", {}, JSON.stringify(body, null, 2)));
  showTab(tab === "html" && !body.html ? "text" : tab);
  find("message").scrollTop = 0;
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
    ...section("Headers", Object.entries(message.headers)),
  );
}

function showTab(name) {
  for (const button of tabs) {
    const selected = button.id === `tab-${name}`;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
    find(button.getAttribute("aria-controls")).hidden = !selected;
  }
}

async function openFromAddress() {
  const id = wanted();
  if (!id) {
    open = null;
    return showPlaces();
  }
  const response = await fetch(`messages/${encodeURIComponent(id)}`, { cache: "no-store" });
  if (id !== wanted()) return;
  if (response.ok) showMessage(await response.json());
  else open = null;
  showPlaces();
}

// Staying up to date. Polling, not a stream: an open stream would hold up every code reload.

async function refresh() {
  const query = find("search").value.trim();
  if (query !== asked) etag = null;
  const address = `messages?body=false&limit=${SHOWN}&q=${encodeURIComponent(query)}`;
  const headers = etag ? { "If-None-Match": etag } : {};
  const response = await fetch(address, { headers, cache: "no-store" });
  if (response.status === 304 || query !== find("search").value.trim()) return;
  if (!response.ok) throw new Error(response.statusText);
  const answer = await response.json();
  etag = response.headers.get("ETag");
  asked = query;
  messages = answer.messages;
  showList(answer.total);
  if (wanted()) await openFromAddress();
}

async function update() {
  if (document.hidden) return;
  try {
    await refresh();
    find("connection").hidden = true;
  } catch {
    find("connection").hidden = false;
  }
}

async function poll() {
  await update();
  setTimeout(poll, POLL_EVERY);
}

async function showGuide() {
  const guide = await (await fetch("guide")).json();
  const email = { from: "me@example.com", to: ["you@example.com"], subject: "Hello", text: "My first mail." };
  find("command").textContent = [
    `curl ${new URL("emails", location.href)} \\`,
    `  -H "Authorization: Bearer ${guide.api_key}" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '${JSON.stringify(email)}'`,
  ].join("\n");
  // Alone it is served at the root; under a prefix there is a service around it.
  find("from-service").hidden = location.pathname === "/";
  find("recipient-list").replaceChildren(...terms(guide.recipients.map((recipient) =>
    [make("code", {}, recipient.address), recipient.effect])));
}

// What people do

function step(by) {
  const at = messages.findIndex((message) => message.id === wanted());
  const next = messages[at < 0 ? 0 : Math.min(Math.max(at + by, 0), messages.length - 1)];
  if (!next) return;
  location.hash = next.id;
  const link = document.querySelector(`#messages a[href="#${next.id}"]`);
  link.focus();
  link.scrollIntoView({ block: "nearest" });
}

function leave() {
  const link = document.querySelector(`#messages a[href="${location.hash}"]`);
  location.hash = "";
  open = null;
  showPlaces();
  link?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target === find("search");
  const reading = event.target.closest?.("[role=tabpanel], pre");
  const does = {
    j: !typing && (() => step(1)),
    k: !typing && (() => step(-1)),
    ArrowDown: !reading && (() => step(1)),
    ArrowUp: !reading && (() => step(-1)),
    "/": !typing && (() => find("search").focus()),
    Escape: () => {
      if (typing || find("search").value) {
        find("search").value = "";
        find("search").blur();
        update();
      } else if (wanted()) leave();
    },
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const next = tabs[(tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length];
  next.focus();
  next.click();
});

for (const button of tabs) {
  button.addEventListener("click", () => {
    tab = button.id.replace("tab-", "");
    showTab(tab);
  });
}

find("back").addEventListener("click", (event) => {
  event.preventDefault();
  leave();
});
find("search").addEventListener("input", update);
find("show-recipients").addEventListener("click", () => find("recipients").showModal());
find("empty").addEventListener("click", () => {
  find("confirm-empty").returnValue = "";
  find("confirm-empty").showModal();
});
find("confirm-empty").addEventListener("close", async () => {
  if (find("confirm-empty").returnValue !== "empty") return;
  await fetch("messages", { method: "DELETE" });
  find("search").value = "";
  location.hash = "";
  update();
});
window.addEventListener("hashchange", openFromAddress);
document.addEventListener("visibilitychange", update);

showGuide();
poll();
