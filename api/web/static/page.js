document.getElementById("here").textContent = location.origin;
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
look();
setInterval(look, 5000);
