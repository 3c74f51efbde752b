// Draws one dashboard on Grafana's grid of 24 columns with uPlot, which Grafana draws its time series with.
// `draw` is given what pictures.py makes: {title, about, panels: [{type, title, unit, min, grid, times, series, empty}]}.

const COLUMNS = 24
const WIDTH = 1200
const ROW = 30
const GAP = 8
const HEAD = 56
const TITLE = 26
const NAMES = 8
const COLORS = [
  '#56a64b', '#f2cc0c', '#3274d9', '#ff780a', '#e02f44', '#8f3bb8',
  '#37872d', '#e0b400', '#1f60c4', '#fa6400', '#c4162a', '#a352cc',
]

const round = (value) => String(Number(value.toPrecision(3)))

// A figure and a step's name: the greatest step that the figure reaches.
function scaled(value, steps) {
  const [size, name] = steps.find(([size]) => Math.abs(value) >= size) ?? steps[steps.length - 1]
  return `${round(value / size)} ${name}`
}

const UNITS = {
  none: (value) => (Math.abs(value) >= 1000 ? scaled(value, [[1e6, 'Mil'], [1e3, 'K']]) : round(value)),
  percentunit: (value) => `${round(100 * value)}%`,
  s: (value) => scaled(value, [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's'], [1e-3, 'ms'], [1e-6, 'µs']]),
  d: (value) => `${round(value)} d`,
  bytes: (value) => scaled(value, [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']]),
  Bps: (value) => scaled(value, [[1e6, 'MB/s'], [1e3, 'kB/s'], [1, 'B/s']]),
  ops: (value) => `${round(value)} ops/s`,
  reqps: (value) => `${round(value)} req/s`,
}

// Zero has no step of its own.
// As a clock shows it.
const clock = (stamp) => new Date(stamp * 1e3).toISOString().slice(11, 19)
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power)

const written = (unit) => (value) => (value === 0 && unit !== 'percentunit' ? '0' : UNITS[unit](value))

function element(name, className, text, parent) {
  const made = Object.assign(document.createElement(name), { className, textContent: text })
  parent.append(made)
  return made
}

function legend(panel, parent) {
  const box = element('div', 'legend', '', parent)
  for (const [index, { name }] of panel.series.slice(0, NAMES).entries()) {
    const entry = element('span', 'entry', '', box)
    element('i', '', '', entry).style.background = COLORS[index % COLORS.length]
    element('span', '', name, entry)
  }
  if (panel.series.length > NAMES) element('span', 'entry', `and ${panel.series.length - NAMES} more`, box)
}

function graph(panel, parent, width, height) {
  const plot = element('div', 'plot', '', parent)
  legend(panel, parent)
  const write = written(panel.unit)
  const highest = (top) => (top > 0 ? top * 1.05 : 1)
  const axis = { stroke: '#6e7077', grid: { stroke: '#e9e9ec', width: 1 }, ticks: { show: false }, font: '11px sans-serif' }
  const range = (_, low, high) => [panel.min ?? low, highest(high ?? 0)]
  const options = {
    width: width - 16,
    height: height - TITLE - parent.querySelector('.legend').offsetHeight - 10,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range } },
    tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1e3), 'UTC'),
    axes: [
      { ...axis, values: (_, splits) => splits.map(clock), space: 80, size: 28 },
      { ...axis, values: (_, splits) => splits.map(write), size: 72, ...(panel.unit === 'bytes' ? { incrs: POWERS } : {}) },
    ],
    series: [
      {},
      ...panel.series.map((_, index) => ({
        stroke: COLORS[index % COLORS.length],
        width: 1.5,
        points: { show: false },
      })),
    ],
  }
  new uPlot(options, [panel.times, ...panel.series.map(({ values }) => values)], plot)
}

function number(panel, parent) {
  const box = element('div', 'numbers', '', parent)
  for (const { name, values } of panel.series) {
    const last = values.findLast((value) => value !== null)
    const one = element('div', '', '', box)
    if (name) element('div', 'name', name, one)
    element('div', 'value', written(panel.unit)(last), one)
  }
}

const DRAWN = { timeseries: graph, stat: number }

function draw(board) {
  document.body.style.width = `${WIDTH}px`
  element('h1', '', board.title, document.body)
  element('p', 'about', board.about, document.body)
  const cell = WIDTH / COLUMNS
  let bottom = 0
  for (const panel of board.panels) {
    const { x, y, w, h } = panel.grid
    const place = { left: x * cell + GAP / 2, top: HEAD + y * (ROW + GAP), width: w * cell - GAP, height: h * (ROW + GAP) - GAP }
    const box = element('div', panel.type, '', document.body)
    for (const [side, size] of Object.entries(place)) box.style[side] = `${size}px`
    element('div', 'title', panel.title, box)
    if (panel.type !== 'row') {
      if (panel.series.length) DRAWN[panel.type](panel, box, place.width, place.height)
      else element('div', 'empty', panel.empty, box)
    }
    bottom = Math.max(bottom, place.top + place.height + GAP)
  }
  document.body.style.height = `${bottom}px`
}
