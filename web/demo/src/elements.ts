/** Elements of the page by their ids, and texts in them. */

export function element<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element ${id}`);
  return found as Type;
}

export const button = (id: string): HTMLButtonElement => element<HTMLButtonElement>(id);
export const input = (id: string): HTMLInputElement => element<HTMLInputElement>(id);
export const dialog = (id: string): HTMLDialogElement => element<HTMLDialogElement>(id);
export const select = (id: string): HTMLSelectElement => element<HTMLSelectElement>(id);

/** Writes only what changed: a live region would read it again. */
export function write(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A text of somebody else: its direction ends with it. */
export function foreign(tag: 'bdi' | 'p', text: string): HTMLElement {
  const node = document.createElement(tag);
  node.dir = 'auto';
  node.textContent = text;
  return node;
}

/** Whether the focus is nowhere, or where nobody sees it. */
export function isFocusLost(): boolean {
  const { activeElement } = document;
  if (!activeElement || activeElement === document.body) return true;
  return activeElement.closest('[hidden]') !== null;
}
