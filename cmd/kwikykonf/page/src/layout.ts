// How tiles share the stage.

export interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** Tiles may be as tall as 3:4 and as wide as 16:9; within that the one that fills the stage best wins. */
const narrowest = 3 / 4;
const widest = 16 / 9;

/** The grid that gives n tiles the largest area in a stage of this size, in CSS pixels. */
export function grid(n: number, stageWidth: number, stageHeight: number, gap: number): Grid {
  let best: Grid = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    let width = Math.max(0, (stageWidth - gap * (columns - 1)) / columns);
    let height = Math.max(0, (stageHeight - gap * (rows - 1)) / rows);
    if (width > height * widest) width = height * widest;
    if (height > width / narrowest) height = width / narrowest;
    if (width * height > best.width * best.height) best = { columns, width: Math.floor(width), height: Math.floor(height) };
  }
  return best;
}
