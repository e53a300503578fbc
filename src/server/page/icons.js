// The few icons, drawn as SVG elements: beside words only, so readers of the screen skip them.

const PATHS = {
  folder: 'M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15 9h.01',
  video: 'M4 5h16v14H4zM10 9l5 3-5 3z',
  raw: 'M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6',
  ok: 'M20 6 9 17l-5-5',
  behind: 'M12 7v5l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z',
  blocked: 'M12 9v5M12 17h.01M12 3 2 20h20z',
};

const SVG = 'http://www.w3.org/2000/svg';

export function icon(name) {
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('viewBox', '0 0 24 24');
  drawing.setAttribute('class', 'icon');
  drawing.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name] ?? PATHS.raw);
  drawing.append(path);
  return drawing;
}
