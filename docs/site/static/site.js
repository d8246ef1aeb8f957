// Opened as a file, a page may not read other pages: then search shows titles without extracts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// What scrolls on its own can be scrolled by keys.
const scrolling = () => {
  for (const part of document.querySelectorAll(".table-wrapper, .highlight pre, div.math, .lesson-figure")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
};
window.addEventListener("load", scrolling);
window.addEventListener("resize", scrolling);

// The two bars beside a page have names.
window.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
});
