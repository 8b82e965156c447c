document.getElementById("here").textContent = new URL("./", location).href.slice(0, -1);
const table = document.getElementById("checks");
async function look() {
  let checks = {};
  try { checks = (await (await fetch("readyz")).json()).checks ?? {}; } catch { checks = { gateway: "away" }; }
  table.replaceChildren(...Object.entries(checks).map(([name, state]) => {
    const row = table.ownerDocument.createElement("tr");
    const good = state === "ok" || /^(\d+)\/\1$/.test(state);
    for (const text of [name, state]) row.append(Object.assign(document.createElement("td"), { textContent: text }));
    row.lastChild.className = good ? "ok" : "away";
    return row;
  }));
}
fetch("integrity.json", { method: "HEAD" }).then(({ ok }) => {
  if (!ok) document.getElementById("client").textContent = "The web client was not built: on the server, run make web.";
});
look();
setInterval(look, 5000);
