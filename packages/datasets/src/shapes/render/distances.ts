import type { Shape } from '../palette.ts';

/** Signed distance from a point to a shape's edge, negative inside, in units of the object's radius; y grows downwards. */
export type SignedDistance = (x: number, y: number) => number;

type Point = readonly [x: number, y: number];

/** Source: Inigo Quilez, "2D distance functions", `sdPolygon`. */
function polygon(points: readonly Point[]): SignedDistance {
  const count = points.length;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return (x, y) => {
    let nearest = Number.POSITIVE_INFINITY;
    let inside = false;
    for (let index = 0, before = count - 1; index < count; before = index++) {
      const edgeX = xs[before]! - xs[index]!;
      const edgeY = ys[before]! - ys[index]!;
      const fromX = x - xs[index]!;
      const fromY = y - ys[index]!;
      const along = (fromX * edgeX + fromY * edgeY) / (edgeX * edgeX + edgeY * edgeY);
      const share = along < 0 ? 0 : along > 1 ? 1 : along;
      const awayX = fromX - edgeX * share;
      const awayY = fromY - edgeY * share;
      const squared = awayX * awayX + awayY * awayY;
      if (squared < nearest) nearest = squared;
      if (ys[index]! > y !== ys[before]! > y && fromX < (edgeX * fromY) / edgeY) inside = !inside;
    }
    return inside ? -Math.sqrt(nearest) : Math.sqrt(nearest);
  };
}

/** Corners at equal angles from the top, their distances from the centre repeating `radii`. */
function corners(count: number, radii: readonly number[]): Point[] {
  return Array.from({ length: count }, (_, index) => {
    const angle = (2 * Math.PI * index) / count;
    const radius = radii[index % radii.length]!;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

function circle(radius: number): SignedDistance {
  return (x, y) => Math.sqrt(x * x + y * y) - radius;
}

/** Source: Inigo Quilez, "2D distance functions", `sdHeart`; there the tip is (0, 0) and the lobes reach 1.1 upwards. */
function heart(x: number, y: number): number {
  const scale = 0.62;
  const px = Math.abs(x) * scale;
  const py = 0.56 - y * scale;
  if (px + py > 1) return (Math.hypot(px - 0.25, py - 0.75) - Math.SQRT2 / 4) / scale;
  const middle = 0.5 * Math.max(px + py, 0);
  const distance = Math.min(Math.hypot(px, py - 1), Math.hypot(px - middle, py - middle));
  return (px > py ? distance : -distance) / scale;
}

/** A disc without a second one that lies to its right. */
function crescent(x: number, y: number): number {
  return Math.max(Math.sqrt(x * x + y * y) - 0.95, 0.74 - Math.hypot(x - 0.46, y));
}

const ARM = 0.33;
const REACH = 0.95;

/** The shapes, each within a circle of radius 1 about its centre (corners of squares and triangles reach 1.1). */
export const DISTANCES: Readonly<Record<Shape, SignedDistance>> = {
  circle: circle(0.9),
  square: polygon([
    [-0.76, -0.76],
    [0.76, -0.76],
    [0.76, 0.76],
    [-0.76, 0.76],
  ]),
  triangle: polygon([
    [0, -1],
    [0.9, 0.62],
    [-0.9, 0.62],
  ]),
  star: polygon(corners(10, [1, 0.46])),
  cross: polygon([
    [-ARM, -REACH],
    [ARM, -REACH],
    [ARM, -ARM],
    [REACH, -ARM],
    [REACH, ARM],
    [ARM, ARM],
    [ARM, REACH],
    [-ARM, REACH],
    [-ARM, ARM],
    [-REACH, ARM],
    [-REACH, -ARM],
    [-ARM, -ARM],
  ]),
  ring: (x, y) => Math.abs(Math.sqrt(x * x + y * y) - 0.68) - 0.25,
  heart,
  diamond: polygon([
    [0, -1],
    [0.7, 0],
    [0, 1],
    [-0.7, 0],
  ]),
  crescent,
  arrow: polygon([
    [0.98, 0],
    [0.18, 0.74],
    [0.18, 0.3],
    [-0.95, 0.3],
    [-0.95, -0.3],
    [0.18, -0.3],
    [0.18, -0.74],
  ]),
  hexagon: polygon(corners(6, [0.95])),
};
