/** Where tiles go: as large as can be, in a shape that fits faces and screens. Pure. */

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const GAP_PX = 8;
/** Width by height: phones held upright use their height, and no face becomes a strip. */
const WIDEST = 16 / 9;
const NARROWEST = 3 / 4;
/** Names are readable in nothing smaller. */
export const LEAST_WIDTH_PX = 96;
export const LEAST_HEIGHT_PX = 60;
/** Of the area, for what is large. */
const STAGE_SHARE = 0.78;
/** Upright, a screen is no higher than it is wide: what is left is for the others. */
const STAGE_SHAPE = 4 / 3;
const LEAST_STAGE_SHARE = 0.4;

interface Grid {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

function gridOf(count: number, columns: number, area: Box): Grid {
  const rows = Math.ceil(count / columns);
  const room = (area.width - GAP_PX * (columns - 1)) / columns;
  const tall = (area.height - GAP_PX * (rows - 1)) / rows;
  const width = Math.floor(Math.min(room, tall * WIDEST));
  return { columns, width, height: Math.floor(Math.min(tall, width / NARROWEST)) };
}

/** The most of `count` tiles that are large enough for their names, and their grid. */
function fitting(count: number, area: Box): { shown: number; grid: Grid | undefined } {
  for (let shown = count; shown > 0; shown -= 1) {
    const grids = Array.from({ length: shown }, (_, index) => gridOf(shown, index + 1, area));
    const large = grids.filter(
      ({ width, height }) => width >= LEAST_WIDTH_PX && height >= LEAST_HEIGHT_PX,
    );
    const [first, ...rest] = shown === 1 ? grids : large;
    if (!first) continue;
    const surface = (grid: Grid): number => grid.width * grid.height;
    const grid = rest.reduce((best, one) => (surface(one) > surface(best) ? one : best), first);
    return { shown, grid };
  }
  return { shown: 0, grid: undefined };
}

/** Boxes for the first of `count` tiles in the middle of an area; those without room get none. */
export function layOut(count: number, area: Box): Box[] {
  if (area.width <= 0 || area.height <= 0) return [];
  const { shown, grid } = fitting(Math.min(count, 100), area);
  if (!grid) return [];
  const { columns, width, height } = grid;
  const rows = Math.ceil(shown / columns);
  const top = area.y + (area.height - rows * (height + GAP_PX) + GAP_PX) / 2;
  return Array.from({ length: shown }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? shown - row * columns : columns;
    const left = area.x + (area.width - inRow * (width + GAP_PX) + GAP_PX) / 2;
    const x = Math.floor(left + (index % columns) * (width + GAP_PX));
    return { x, y: Math.floor(top + row * (height + GAP_PX)), width, height };
  });
}

/** One large tile, and the others beside it or below. */
export function layOutStage(others: number, area: Box): { stage: Box; others: Box[] } {
  if (others === 0) return { stage: area, others: [] };
  const isWide = area.width > area.height * 1.2;
  const whole = isWide ? area.width : area.height;
  const least = (isWide ? LEAST_WIDTH_PX : LEAST_HEIGHT_PX) + GAP_PX;
  const shaped = isWide ? whole : area.width / STAGE_SHAPE;
  const wanted = Math.max(LEAST_STAGE_SHARE * whole, Math.min(STAGE_SHARE * whole, shaped));
  const large = Math.floor(Math.min(wanted, whole - least));
  const rest = whole - large - GAP_PX;
  return isWide
    ? {
        stage: { ...area, width: large },
        others: layOut(others, { ...area, x: area.x + large + GAP_PX, width: rest }),
      }
    : {
        stage: { ...area, height: large },
        others: layOut(others, { ...area, y: area.y + large + GAP_PX, height: rest }),
      };
}
