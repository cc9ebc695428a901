/* Counts a visit of the company's own web site: <script defer src="https://…/portal/static/visit.js"></script>.
   It sets no cookie, and stays silent where somebody asks not to be tracked. */
(function () {
  var script = document.currentScript;
  if (!script || navigator.doNotTrack === "1" || navigator.globalPrivacyControl) return;
  var asked = new URLSearchParams(location.search);
  var dot = new URL("../visit.gif", script.src);
  dot.searchParams.set("p", location.pathname);
  dot.searchParams.set("r", document.referrer);
  dot.searchParams.set("c", asked.get("campaign") || asked.get("utm_campaign") || "");
  new Image().src = dot.href;
})();
