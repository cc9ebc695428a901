// Charts: draws what the macro `chart` of ui.html says, as SVG, in the colours, digits and direction of the page.
// app.js loads this file on pages that have a chart, and on no other. Nothing here sets a style attribute or writes HTML.
import { init, use } from "echarts/core";
import { BarChart, FunnelChart, GaugeChart, HeatmapChart, LineChart, PieChart, ScatterChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([
  BarChart, FunnelChart, GaugeChart, HeatmapChart, LineChart, PieChart, ScatterChart, AriaComponent, GridComponent, LegendComponent,
  MarkLineComponent, TitleComponent, TooltipComponent, VisualMapComponent, SVGRenderer,
]);

const lang = () => document.documentElement.lang || "en";
const rtl = () => document.documentElement.dir === "rtl";
const calm = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");

// Numbers: in the language of the page, so with its digits --------------------------------------------------------------

function write(value, { unit, currency } = {}, short = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const form = { maximumFractionDigits: unit === "integer" ? 0 : 2 };
  if (short && Math.abs(value) >= 10000) Object.assign(form, { notation: "compact", maximumFractionDigits: 1 });
  if (unit === "percent") Object.assign(form, { style: "percent", maximumFractionDigits: 1 });
  if (unit === "money" && currency) Object.assign(form, { style: "currency", currency, currencyDisplay: short ? "narrowSymbol" : "symbol", minimumFractionDigits: 0 });
  if (unit === "hours" || unit === "days") Object.assign(form, { style: "unit", unit: unit.slice(0, -1), maximumFractionDigits: 1, unitDisplay: short ? "narrow" : "short" });
  if (!rtl()) return new Intl.NumberFormat(lang(), form).format(value);
  // From right to left, and as the pages write it: the number, its thousands or millions, and then the sign of the currency.
  const parts = new Intl.NumberFormat(lang(), form).formatToParts(value), coin = parts.find(({ type }) => type === "currency")?.value;
  const text = parts.filter(({ type }) => type !== "currency").map((part) => part.value).join("").replace(/[\u200e\u200f\u061c]/g, "").trim();
  return `\u200f${text.replace(/^-/, "\u200e-")}${coin ? `\u00a0${coin}` : ""}\u200f`;
}

// Colours: the page's own, told by CSS; on paper and in saved pictures always the light ones -------------------------------

const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function plain(color) { // oklch(...) and the like as rgb, which every program reads
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = color;
  brush.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
  return alpha === 255 ? `rgb(${red},${green},${blue})` : `rgba(${red},${green},${blue},${(alpha / 255).toFixed(3)})`;
}
const TOKENS = ["ink", "ink-soft", "line", "edge", "surface", "chart-low", "chart-high", ...[1, 2, 3, 4, 5, 6, 7, 8].map((at) => `chart-${at}`)];
const palettes = new Map();
function colors(light) {
  const { bsTheme } = document.documentElement.dataset, night = !light && (bsTheme === "dark" || (bsTheme !== "light" && dark.matches));
  if (!palettes.has(night)) { // tokens are pairs, light-dark(a, b): taken apart here, no element has to be put on the page to ask for each
    const told = getComputedStyle(document.documentElement);
    const pick = (pair) => plain(pair.trim().replace(/^light-dark\(([^,]+),(.+)\)$/, night ? "$2" : "$1").trim());
    const [ink, soft, line, edge, surface, low, high, ...series] = TOKENS.map((token) => pick(told.getPropertyValue(`--${token}`)));
    palettes.set(night, { ink, soft, line, edge, surface, low, high, series, font: getComputedStyle(document.body).fontFamily.replaceAll('"', "'") });
  }
  return palettes.get(night);
}

// From our words to those of the library -----------------------------------------------------------------------------------

const SIGNS = ["circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle", "emptyDiamond"];
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3], [12, 4], [2, 6], [6, 2], [1, 3]];
// Stripes and dots above the colour: the first series stays plain. Angles differ, so that two beside each other are told apart.
const PATTERNS = [
  { symbol: "none" }, { dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: Math.PI / 4 }, { symbol: "circle", dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [6, 0], symbolSize: 0.75 },
  { dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4 }, { dashArrayX: [1, 0], dashArrayY: [4, 3] }, { dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: Math.PI / 2 },
  { symbol: "triangle", dashArrayX: [[9, 9], [0, 9, 9, 0]], dashArrayY: [7, 2], symbolSize: 0.75 }, { symbol: "rect", dashArrayX: [[4, 4], [0, 4, 4, 0]], dashArrayY: [4, 0], symbolSize: 1 },
];
const WHOLE = ["pie", "funnel"];
const LETTER = 7; // the width of one, about

function tip(rows, heading) { // an element, not HTML as text: nothing in it can be anything but text
  const box = document.createElement("div");
  box.dir = rtl() ? "rtl" : "ltr";
  if (heading) box.append(Object.assign(document.createElement("strong"), { textContent: heading }));
  for (const { color, name, text } of rows) {
    const line = document.createElement("p"), mark = document.createElement("i"), said = document.createElement("bdi");
    mark.style.background = color;
    said.textContent = name;
    line.append(mark, said, Object.assign(document.createElement("b"), { textContent: text }));
    box.append(line);
  }
  return box;
}

function pareto(spec) {
  const [first] = spec.series, order = first.data.map((_, at) => at).sort((a, b) => first.data[b] - first.data[a]);
  const pick = (list) => list && order.map((at) => list[at]), all = first.data.reduce((sum, each) => sum + Number(each || 0), 0) || 1;
  let sum = 0;
  const shares = order.map((at) => (sum += Number(first.data[at] || 0)) / all);
  return {
    ...spec, type: "bar", x: pick(spec.x),
    series: [{ ...first, data: pick(first.data), links: pick(first.links) }, { name: spec.share || "%", type: "line", data: shares, unit: "percent", axis: "right", most: 1 }],
  };
}

function options(spec, paint, { still = false, titled = false, narrow = false, width = 800, target: word = "" } = {}) {
  if (spec.type === "pareto") spec = pareto(spec);
  const back = rtl(), series = spec.series || [], text = { color: paint.ink, fontFamily: paint.font, fontSize: 12 };
  const measure = (each) => ({ unit: each?.unit || spec.unit, currency: each?.currency || spec.currency });
  const common = {
    color: paint.series, textStyle: text, animation: !still && !calm.matches, animationDuration: 350, animationDurationUpdate: 250,
    title: titled && spec.title ? { text: spec.title, left: back ? "right" : "left", textStyle: { ...text, fontSize: 15, fontWeight: 600 } } : undefined,
    aria: { enabled: true, label: { enabled: false }, decal: { show: WHOLE.includes(spec.type) || series.length > 1, decals: PATTERNS.map((each) => ({ color: paint.surface, ...each })) } },
    tooltip: { confine: true, className: "r-chart-tip", transitionDuration: 0, backgroundColor: "", borderWidth: 0, padding: 0, extraCssText: "box-shadow:none", textStyle: { ...text } },
  };
  const top = titled && spec.title ? 34 : 0, many = series.length > 1;
  const legend = { type: "plain", icon: undefined, top, [back ? "right" : "left"]: 0, align: back ? "right" : "left", itemGap: 14, itemWidth: 22, itemHeight: 12, textStyle: text, inactiveColor: paint.edge,
    data: back ? series.map(({ name }) => name).reverse() : undefined };
  const link = (each, at) => ({ link: each?.links?.[at], cursor: each?.links?.[at] ? "pointer" : "default" });

  if (WHOLE.includes(spec.type)) {
    const [only] = series, shown = spec.x.map((name, at) => ({ name, value: only.data[at], ...link(only, at) }));
    const all = shown.reduce((sum, each) => sum + Number(each.value || 0), 0);
    const label = ({ name, value, percent }) => `${name}\n${write(value, measure(only), true)}${spec.type === "pie" ? ` · ${write((percent ?? (100 * value) / (all || 1)) / 100, { unit: "percent" })}` : ""}`;
    const border = { borderColor: paint.surface, borderWidth: 2 };
    return {
      ...common, tooltip: { ...common.tooltip, trigger: "item", formatter: (at) => tip([{ color: at.color, name: at.name, text: write(at.value, measure(only)) }], only.name) },
      legend: narrow && spec.type === "pie" ? { ...legend, data: undefined, top: "auto", bottom: 0, formatter: (name) => `${name} ${write(only.data[spec.x.indexOf(name)], measure(only), true)}` } : undefined,
      series: [spec.type === "pie"
        ? { type: "pie", clockwise: !back, radius: narrow ? ["32%", "58%"] : ["40%", "70%"], center: ["50%", narrow ? "42%" : "52%"], data: shown, itemStyle: border, minShowLabelAngle: 6,
            label: { ...text, show: !narrow, formatter: label, lineHeight: 16 }, labelLine: { lineStyle: { color: paint.edge } } }
        : { type: "funnel", sort: "none", top: top + 8, bottom: 8, left: narrow ? "4%" : "12%", right: narrow ? "4%" : "12%", gap: 3, minSize: "8%", data: shown, itemStyle: border,
            label: { ...text, position: "inside", align: "center", formatter: label, lineHeight: 16, color: paint.ink, backgroundColor: paint.surface, padding: [3, 6], borderRadius: 4 } }],
    };
  }

  if (spec.type === "gauge") {
    const [only] = series, value = Number(only.data[0] ?? 0), most = Math.max(spec.most || 0, spec.target || 0, value, spec.unit === "percent" ? 1 : 0) || 1;
    const hit = { ...text, fontSize: 26, fontWeight: 650, formatter: (at) => write(at, measure(only), true), offsetCenter: [0, "-4%"] };
    return {
      ...common, tooltip: { show: false }, aria: { enabled: false },
      series: [{
        type: "gauge", startAngle: back ? 0 : 180, endAngle: back ? 180 : 0, clockwise: !back, min: 0, max: most, radius: narrow ? "92%" : "120%", center: ["50%", "74%"], pointer: { show: false }, axisTick: { show: false },
        progress: { show: true, width: 18, itemStyle: { color: spec.target && value < spec.target ? paint.series[1] : paint.series[2] } },
        axisLine: { lineStyle: { width: 18, color: [[1, paint.line]] } }, splitLine: { show: false }, axisLabel: { show: false }, detail: hit,
        title: { ...text, color: paint.soft, offsetCenter: [0, "18%"] },
        data: [{ value, name: spec.target ? `${word} ${write(spec.target, measure(only), true)} · ${write(value / spec.target, { unit: "percent" })}` : only.name }],
      }],
    };
  }

  const scatter = spec.type === "scatter", heat = spec.type === "heatmap", lying = spec.type === "bar" && (spec.horizontal === "auto" ? spec.x.length <= 16 && Math.max(...spec.x.map((each) => LETTER * each.length + 24), 0) * spec.x.length > width : Boolean(spec.horizontal));
  const legends = Math.ceil(series.reduce((sum, { name }) => sum + LETTER * name.length + 44, 0) / Math.max(width, 160)); // lines of the legend
  const coins = new Set(series.map((each) => measure(each).currency)); // amounts of two currencies are not of one scale: it names none
  const right = series.some((each) => each.axis === "right");
  const words = { ...text, color: paint.soft, hideOverlap: true };
  const value = (each, at = "start") => ({
    type: "value", position: (at === "start") === back ? "right" : "left", inverse: lying && back, splitLine: { show: at === "start", lineStyle: { color: paint.line } }, max: each?.most,
    axisLabel: { ...words, formatter: (number) => write(number, coins.size > 1 ? { unit: measure(each).unit } : measure(each), true) }, minInterval: measure(each).unit === "integer" ? 1 : undefined, axisLine: { show: false },
  });
  const names = (data, sideways) => ({
    type: "category", data, inverse: sideways ? lying || heat : back, position: sideways ? (back ? "right" : "left") : undefined, axisTick: { show: false }, axisLine: { lineStyle: { color: paint.edge } },
    boundaryGap: sideways || !["line", "area"].includes(spec.type), axisLabel: { ...words, width: sideways ? (narrow ? 96 : 190) : undefined, overflow: sideways ? "truncate" : undefined, ellipsis: "…", rotate: !sideways && narrow && data.length > 6 ? (back ? -40 : 40) : 0, interval: spec.horizontal === "auto" ? 0 : undefined },
  });
  const grid = { left: 4, right: 14, [back ? "left" : "right"]: 14, [back ? "right" : "left"]: 4, top: top + (many ? 18 + 22 * legends : 16), bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" };

  if (heat) {
    const cells = series.flatMap((each, y) => each.data.map((amount, x) => ({ value: [x, y, amount ?? "-"], ...link(each, x) })));
    const amounts = cells.map(({ value: [, , amount] }) => amount).filter((amount) => typeof amount === "number");
    return {
      ...common, aria: { enabled: false }, grid: { ...grid, top: top + 8, bottom: 40 }, xAxis: { ...names(spec.x), splitArea: { show: false } }, yAxis: names(series.map(({ name }) => name), true),
      visualMap: { min: Math.min(0, ...amounts), max: Math.max(...amounts, 0) || 1, orient: "horizontal", left: "center", bottom: 0, itemWidth: 12, itemHeight: 120, calculable: false, textStyle: words, inRange: { color: [paint.low, paint.high] },
        text: back ? [write(Math.min(0, ...amounts), measure(series[0]), true), write(Math.max(...amounts, 0), measure(series[0]), true)].reverse() : [write(Math.max(...amounts, 0), measure(series[0]), true), write(Math.min(0, ...amounts), measure(series[0]), true)], formatter: (at) => write(at, measure(series[0]), true) },
      tooltip: { ...common.tooltip, trigger: "item", formatter: ({ value: [x, y, amount], color }) => tip([{ color, name: series[y].name, text: write(amount === "-" ? null : amount, measure(series[y])) }], spec.x[x]) },
      series: [{ type: "heatmap", data: cells, itemStyle: { borderColor: paint.surface, borderWidth: 2 },
        label: { show: !narrow && cells.length <= 160, ...text, color: paint.ink, backgroundColor: paint.surface, borderRadius: 3, padding: [1, 3], formatter: ({ value: [, , amount] }) => (amount === "-" ? "" : write(amount, measure(series[0]), true)) } }],
    };
  }

  const drawn = series.map((each, at) => {
    const type = each.type || (spec.type === "area" ? "line" : spec.type), hue = paint.series[at % 8], line = type === "line";
    const data = scatter
      ? each.data.map((point, index) => ({ value: point.slice(0, 2), name: point[2] || each.name, ...link(each, index) }))
      : each.data.map((amount, index) => ({ value: amount ?? "-", ...link(each, index) }));
    const longest = LETTER * Math.max(...each.data.map((amount) => (typeof amount === "number" ? write(amount, measure(each), true).length : 0)), 1);
    const target = at === 0 && spec.target !== undefined && spec.target !== null && !scatter
      ? { silent: true, symbol: "none", z: 6, lineStyle: { color: paint.ink, type: "dashed", width: 1.5 }, data: [{ [lying ? "xAxis" : "yAxis"]: spec.target }],
          label: { ...text, backgroundColor: paint.surface, padding: [1, 4], borderRadius: 3, position: lying ? "end" : back ? "insideStartTop" : "insideEndTop", formatter: `${word} ${write(spec.target, measure(each), true)}` } }
      : undefined;
    return {
      type, name: each.name, data, stack: each.stack, itemStyle: { color: hue, decal: line ? "none" : undefined, opacity: each.compared ? 0.55 : 1, borderRadius: type === "bar" && !each.stack ? (lying ? (back ? [3, 0, 0, 3] : [0, 3, 3, 0]) : [3, 3, 0, 0]) : 0 },
      [lying ? "xAxisIndex" : "yAxisIndex"]: each.axis === "right" && !scatter ? 1 : 0, markLine: target, connectNulls: false, barMaxWidth: 46, barGap: "12%", emphasis: { focus: many ? "series" : "none" },
      symbol: scatter || line ? SIGNS[at % 8] : undefined, symbolSize: scatter ? 10 : 7, showAllSymbol: each.data.filter((amount) => amount !== null).length < 16 ? true : "auto", showSymbol: line && each.data.filter((amount) => amount !== null).length <= 60,
      lineStyle: { width: 2.5, color: hue, type: each.compared ? "dashed" : many ? DASHES[at % 8] : "solid" }, areaStyle: spec.type === "area" && line && !each.compared ? { opacity: each.stack ? 0.55 : 0.18 } : undefined,
      label: { ...text, show: type === "bar" && !many && each.data.length <= 14 && (lying || each.data.length * longest < width), position: lying ? (back ? "left" : "right") : "top", formatter: ({ value: amount }) => (amount === "-" ? "" : write(amount, measure(each), true)) },
    };
  });
  const amounts = right ? [value(series.find(({ axis }) => axis !== "right")), value(series.find(({ axis }) => axis === "right"), "end")] : [value(series[0])];
  const axes = scatter
    ? { xAxis: { ...value({ unit: spec.x_unit || "decimal", currency: spec.x_currency }), position: "bottom", inverse: back, name: spec.x_title, nameLocation: "middle", nameGap: 28, nameTextStyle: words, scale: true }, yAxis: { ...amounts[0], scale: true } }
    : lying ? { xAxis: amounts.map((each) => ({ ...each, position: "bottom" })), yAxis: names(spec.x, true) } : { xAxis: names(spec.x), yAxis: amounts };
  const said = (each) => (Array.isArray(each.value) ? each.value : [each.value]);
  return {
    ...common, grid: lying && !many ? { ...grid, [back ? "left" : "right"]: 64 } : scatter && spec.x_title ? { ...grid, bottom: 26 } : grid, ...axes, legend: many ? legend : undefined, series: drawn,
    tooltip: scatter
      ? { ...common.tooltip, trigger: "item", formatter: (at) => tip([{ color: at.color, name: spec.x_title || "x", text: write(said(at)[0], { unit: spec.x_unit || "decimal", currency: spec.x_currency }) }, { color: at.color, name: series[at.seriesIndex].name, text: write(said(at)[1], measure(series[at.seriesIndex])) }], at.name) }
      : { ...common.tooltip, trigger: "axis", axisPointer: { type: ["line", "area"].includes(spec.type) ? "line" : "shadow", lineStyle: { color: paint.edge }, shadowStyle: { color: paint.line, opacity: 0.4 } },
          formatter: (all) => tip(all.map((at) => ({ color: paint.series[at.seriesIndex % 8], name: at.seriesName, text: write(at.value === "-" ? null : Number(at.value), measure(series[at.seriesIndex])) })), all[0]?.axisValueLabel) },
  };
}

// Charts of a page ------------------------------------------------------------------------------------------------------

const charts = new Map(); // figure -> what is drawn in it
const room = (figure) => figure.querySelector("[data-drawing]");
const spec = (figure) => JSON.parse(figure.dataset.chart);

function draw(figure, { light = false, still = false } = {}) {
  const chart = charts.get(figure)?.chart;
  if (!chart) return;
  const box = room(figure);
  chart.setOption(options(spec(figure), colors(light), { still, narrow: box.clientWidth < 480, width: box.clientWidth - 48, target: figure.dataset.target }), { notMerge: true });
}

function start(figure) {
  const box = room(figure);
  if (charts.has(figure) || !box) return;
  figure.dataset.drawn = ""; // gives the box its height
  const chart = init(box, null, { renderer: "svg", width: box.clientWidth || 320, height: box.clientHeight || 320 });
  chart.on("click", ({ data }) => { if (data?.link?.startsWith("/")) location.assign(data.link); });
  const watch = new ResizeObserver(() => {
    if (!box.clientWidth || printing || (box.clientWidth === chart.getWidth() && box.clientHeight === chart.getHeight())) return;
    chart.resize({ width: box.clientWidth, height: box.clientHeight, silent: true });
    draw(figure, { still: true });
  });
  watch.observe(box);
  charts.set(figure, { chart, watch });
  draw(figure);
  numbers(figure);
}

function stop(figure) {
  charts.get(figure)?.watch.disconnect();
  charts.get(figure)?.chart.dispose();
  charts.delete(figure);
}

// The figures below a chart, where the page did not write them itself, get the digits of the language too.
function numbers(figure) {
  for (const cell of figure.querySelectorAll("[data-number]")) if (cell.dataset.number !== "") cell.textContent = write(Number(cell.dataset.number), cell.dataset);
}

const within = (root) => [...(root.matches?.("[data-chart]") ? [root] : []), ...root.querySelectorAll("[data-chart]")];
const sweep = () => charts.forEach((_, figure) => figure.isConnected || stop(figure));
const again = () => charts.forEach((_, figure) => draw(figure, { still: true }));

document.addEventListener("htmx:load", ({ detail }) => { sweep(); within(detail.elt).forEach(start); });
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-bs-theme", "lang", "dir"] });
dark.addEventListener("change", again);

// On paper: as wide as a page, light, and with the figures unfolded.
let printing = false;
function print(yes) {
  printing = yes;
  charts.forEach(({ chart }, figure) => {
    const box = room(figure), details = figure.querySelector("details");
    if (details) { if (yes) details.dataset.was = details.open; details.open = yes || details.dataset.was === "true"; }
    chart.resize({ width: yes ? Math.min(660, box.clientWidth) : box.clientWidth, height: box.clientHeight, silent: true });
    draw(figure, { light: yes, still: true });
  });
}
window.addEventListener("beforeprint", () => print(true));
window.addEventListener("afterprint", () => print(false));

// Saving: drawn anew in light colours with its title, as SVG, or from that as PNG with two dots for every one -------------

function picture(figure) {
  const [width, height] = [900, 480];
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({ backgroundColor: "#ffffff", ...options(spec(figure), colors(true), { still: true, titled: true, target: figure.dataset.target }) });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return { svg, width, height };
}
function hand(blob, figure, ending) {
  const name = (spec(figure).title || "chart").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").toLowerCase() || "chart";
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${name}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
document.addEventListener("click", ({ target }) => {
  const kind = target.closest("[data-save-chart]")?.dataset.saveChart, figure = kind && target.closest("[data-chart]");
  if (!figure) return;
  const { svg, width, height } = picture(figure);
  if (kind === "svg") return hand(new Blob([svg], { type: "image/svg+xml" }), figure, "svg");
  const image = new Image();
  image.onload = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => hand(blob, figure, "png"), "image/png");
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
});

within(document).forEach(start);
