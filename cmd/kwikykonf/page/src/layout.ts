// How tiles share the stage.

export interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** Tiles may be as tall as 3:4 and as wide as 16:9. Below 4:3 a camera's picture loses its sides. */
const narrowest = 3 / 4;
const whole = 4 / 3;
const widest = 16 / 9;

/** The grid of n tiles that shows most of their pictures in a stage of this size, in CSS pixels. */
export function grid(n: number, stageWidth: number, stageHeight: number, gap: number): Grid {
  let best: Grid = { columns: 1, width: 0, height: 0 };
  let most = 0;
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    let width = Math.max(0, (stageWidth - gap * (columns - 1)) / columns);
    let height = Math.max(0, (stageHeight - gap * (rows - 1)) / rows);
    if (width > height * widest) width = height * widest;
    if (height > width / narrowest) height = width / narrowest;
    const shown = width * height * Math.min(1, width / height / whole);
    if (shown > 1.01 * most) { // of equals the one with fewer columns, whose last row is fuller
      most = shown;
      best = { columns, width: Math.floor(width), height: Math.floor(height) };
    }
  }
  return best;
}
