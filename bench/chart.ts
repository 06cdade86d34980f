// Small line charts side by side as one SVG: axes from zero, a dot for each measured point. It follows the reader's
// light or dark page.
import { format } from './report.ts'

export interface Line {
  /** Shown at its end; empty where a panel has one line only. */
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Panel {
  readonly title: string
  readonly lines: readonly Line[]
}

const width = 290
const height = 190
const columns = 3
const margin = { left: 52, right: 16, top: 30, bottom: 30 }
const colours = ['#0969da', '#bc4c00']
const style = `text{font:11px sans-serif;fill:#57606a}.title{font-weight:600}.axis{stroke:#8c959f;stroke-width:1}
.grid{stroke:#d0d7de;stroke-width:.5}@media(prefers-color-scheme:dark){text{fill:#9198a1}.grid{stroke:#3d444d}}`

export function svgOf(panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / columns)
  const [totalWidth, totalHeight] = [width * columns, height * rows]
  const drawn = panels.map((panel, index) => {
    const [x, y] = [(index % columns) * width, Math.floor(index / columns) * height]
    return `<g transform="translate(${x} ${y})">\n${panelOf(panel)}\n</g>`
  })
  const size = `viewBox="0 0 ${totalWidth} ${totalHeight}" width="${totalWidth}" height="${totalHeight}"`
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`
  const name = `<title>${escaped(panels.map(({ title }) => title).join('; '))}</title>`
  return [open, name, `<style>${style}</style>`, ...drawn, '</svg>', ''].join('\n')
}

function panelOf({ title, lines }: Panel): string {
  const all = lines.flatMap(({ points }) => points)
  const right = roundUp(Math.max(0, ...all.map(([x]) => x)) || 1)
  const top = roundUp(Math.max(0, ...all.map(([, y]) => y)) || 1)
  const innerWidth = width - margin.left - margin.right
  const innerHeight = height - margin.top - margin.bottom
  const atX = (x: number): number => one(margin.left + (x / right) * innerWidth)
  const atY = (y: number): number => one(margin.top + innerHeight - (y / top) * innerHeight)
  const parts = [`<text class="title" x="${margin.left}" y="16">${escaped(title)}</text>`]
  for (const share of [0, 0.5, 1]) {
    const y = atY(top * share)
    const kind = share === 0 ? 'axis' : 'grid'
    parts.push(
      `<line class="${kind}" x1="${atX(0)}" x2="${atX(right)}" y1="${y}" y2="${y}"/>`,
      `<text x="${margin.left - 6}" y="${y + 4}" text-anchor="end">${label(top * share)}</text>`,
      `<text x="${atX(right * share)}" y="${height - 14}" text-anchor="middle">${label(right * share)}</text>`,
    )
  }
  for (const [index, line] of lines.entries()) parts.push(lineOf(line, index, atX, atY))
  return parts.join('\n')
}

type Scale = (value: number) => number

function lineOf({ name, points }: Line, index: number, atX: Scale, atY: Scale): string {
  const colour = colours[index % colours.length]
  const path = points.map(([x, y]) => `${atX(x)},${atY(y)}`).join(' ')
  const dots = points.map(
    ([x, y]) => `<circle cx="${atX(x)}" cy="${atY(y)}" r="2.5" fill="${colour}"/>`,
  )
  const [lastX, lastY] = points.at(-1) ?? [0, 0]
  const named = name
    ? `<text x="${atX(lastX)}" y="${atY(lastY) - 7}" text-anchor="end" style="fill:${colour}">${escaped(name)}</text>`
    : ''
  const drawn = `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path}"/>`
  return [drawn, ...dots, named].filter(Boolean).join('\n')
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= value * (1 - 1e-9)) ?? 10
  return factor * power
}

const one = (value: number): number => Math.round(value * 10) / 10

const label = (value: number): string =>
  value >= 1_000 ? value.toLocaleString('en-US') : format(value).replace(/\.0+$/, '')

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
