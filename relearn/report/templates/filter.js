// Shows the probes that match the two choices; without JavaScript all of them are shown.
const form = document.getElementById("filter");
if (form) {
  const probes = [...document.querySelectorAll(".probe")];
  const count = document.getElementById("shown");
  const apply = () => {
    const kind = form.elements.kind.value, state = form.elements.state.value;
    let number = 0;
    for (const probe of probes) {
      const fits = (!kind || probe.dataset.kind === kind) && (!state || probe.dataset.states.split(" ").includes(state));
      probe.hidden = !fits;
      number += fits;
    }
    count.textContent = `${number} of ${probes.length} shown`;
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
