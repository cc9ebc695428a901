// Full screen: the dashboard alone, until the button or Escape.
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-fullscreen]");
  if (!button) return;
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
});
document.addEventListener("fullscreenchange", () => {
  document.documentElement.toggleAttribute("data-full", Boolean(document.fullscreenElement));
});
// What is chosen above the cards counts at once.
document.addEventListener("change", ({ target }) => {
  if (target.matches(".dash-bar select")) target.form.requestSubmit();
});
