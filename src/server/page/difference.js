// The shortest way from one list of lines to another.
//
// Source: E. W. Myers, An O(ND) Difference Algorithm and Its Variations (1986). The work grows with the
// number of changes, so it is given up where nearly everything changed.

const STEPS_MAX = 800;

/** Pairs of `' '`, `'-'` or `'+'` and a line; null where there are too many changes. */
export function difference(before, after) {
  const reached = [new Map([[1, 0]])];
  for (let steps = 0; steps <= STEPS_MAX; steps += 1) {
    const last = reached[steps];
    const next = new Map(last);
    for (let diagonal = -steps; diagonal <= steps; diagonal += 2) {
      const isDown = diagonal === -steps
        || (diagonal !== steps && (last.get(diagonal - 1) ?? -1) < (last.get(diagonal + 1) ?? -1));
      let x = isDown ? last.get(diagonal + 1) ?? 0 : (last.get(diagonal - 1) ?? 0) + 1;
      let y = x - diagonal;
      while (x < before.length && y < after.length && before[x] === after[y]) {
        x += 1;
        y += 1;
      }
      next.set(diagonal, x);
      if (x >= before.length && y >= after.length) return walkBack(reached, steps, before, after);
    }
    reached.push(next);
  }
  return null;
}

function walkBack(reached, steps, before, after) {
  const changes = [];
  let x = before.length;
  let y = after.length;
  for (let step = steps; step >= 0; step -= 1) {
    const last = reached[step];
    const diagonal = x - y;
    const isDown = diagonal === -step
      || (diagonal !== step && (last.get(diagonal - 1) ?? -1) < (last.get(diagonal + 1) ?? -1));
    const from = isDown ? diagonal + 1 : diagonal - 1;
    const fromX = step === 0 ? 0 : last.get(from) ?? 0;
    const fromY = step === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      changes.push([' ', before[x]]);
    }
    if (step === 0) break;
    if (isDown) {
      y -= 1;
      changes.push(['+', after[y]]);
    } else {
      x -= 1;
      changes.push(['-', before[x]]);
    }
  }
  return changes.reverse();
}
