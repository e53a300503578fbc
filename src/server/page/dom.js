// Building the document. Whatever the server says becomes text or an attribute, never markup:
// there is no innerHTML on this page.

export const byId = (id) => document.getElementById(id);

/** An element. An attribute `onclick` is a listener; `true` is present, `false` and null are not. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** Fills a `<dl>`; a pair without a value is left out. */
export function describe(list, pairs) {
  const rows = pairs
    .filter(([, value]) => value != null)
    .map(([term, value]) => element('div', {}, element('dt', {}, term), element('dd', {}, value)));
  list.replaceChildren(...rows);
}

/** Where the focus goes when what had it is gone: removed elements drop it on the body. */
export function rescueFocus(target) {
  if (document.activeElement === document.body || document.activeElement === null) target?.focus();
}
