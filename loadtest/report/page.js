// Reads values under a pointer, or with the arrow keys. The page says everything
// without it.
(function () {
  "use strict";
  document.querySelectorAll("svg[data-readings]").forEach(function (svg) {
    var readings = JSON.parse(svg.dataset.readings);
    var output = svg.parentNode.querySelector(".reading");
    var cross = svg.querySelector(".cross");
    var frame = cross.getAttribute("d").replace(/^M\S+/, "");
    var at = -1;
    function show(i) {
      at = Math.max(0, Math.min(i, readings.length - 1));
      cross.setAttribute("d", "M" + readings[at][0] + frame);
      output.textContent = readings[at][1];
    }
    function nearest(x) {
      var best = 0;
      readings.forEach(function (r, i) {
        if (Math.abs(r[0] - x) < Math.abs(readings[best][0] - x)) best = i;
      });
      return best;
    }
    svg.addEventListener("pointermove", function (e) {
      var box = svg.getBoundingClientRect();
      show(nearest((e.clientX - box.left) / box.width * svg.viewBox.baseVal.width));
    });
    svg.addEventListener("keydown", function (e) {
      var step = {ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10}[e.key];
      if (!step) return;
      e.preventDefault();
      show(at + step);
    });
  });
})();
