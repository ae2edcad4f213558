"use strict";
document.querySelectorAll(".chart").forEach(chart => {
  const said = chart.querySelector("output");
  const say = event => {
    const point = event.target.closest(".point");
    if (point) said.textContent = point.querySelector("title").textContent;
  };
  chart.addEventListener("pointerover", say);
  chart.addEventListener("click", say);  // a finger does not hover
});
