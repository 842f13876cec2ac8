// gradio runs this once per HTML block, with `element`, `props`, `trigger` and `watch`. Text from outside never becomes
// code: the server builds the buttons, and the script reads only their data-event and data-value.
const events = ['sort', 'turn', 'choose', 'pick'];

// Shows the block's value. What stays keeps its node, so that focus and scroll positions stay, and screen readers announce
// a new status. Rows and charts are replaced at once: to compare each of their thousand nodes, as gradio does, takes longer
// than to draw them.
const replacedAtOnce = 'tbody, svg';
const update = (old, now) => {
  if (old.nodeName !== now.nodeName || (old.matches?.(replacedAtOnce) && !old.isEqualNode(now))) return old.replaceWith(now);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
  } else if (!old.matches(replacedAtOnce)) {
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    updateChildren(old, now);
  }
};
const updateChildren = (old, now) => {
  const [were, are] = [[...old.childNodes], [...now.childNodes]];
  were.slice(are.length).forEach((node) => node.remove());
  are.forEach((node, i) => (i < were.length ? update(were[i], node) : old.append(node)));
};
const show = () => {
  const fresh = document.createElement('template');
  fresh.innerHTML = props.value ?? '';
  updateChildren(element, fresh.content);
};
show();

// Long introductions push everything down on a phone.
if (matchMedia('(max-width: 600px)').matches) element.querySelectorAll('details.fold').forEach((part) => { part.open = false; });
const address = new URLSearchParams(location.search);
element.querySelectorAll('details.phone-fold').forEach((part) => { part.open = part.dataset.fields.split(' ').some((name) => address.has(name)); });

// Boxes that have more to the right are marked, so that the page's styles can hint at it. The observer of sizes measures
// when the browser has laid the page out; at any other time to measure is to lay it out once more. A new value resets the
// marks of boxes that keep their size, which the observer reports only if it begins anew.
const mark = (box) => box.classList.toggle('more', box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
const sizes = new ResizeObserver((entries) => new Set(entries.map(({ target }) => target.closest('.box'))).forEach(mark));
const observe = () => {
  sizes.disconnect();
  element.querySelectorAll('.box, .box > table').forEach((part) => sizes.observe(part));
};
observe();
watch('value', () => {
  show();
  observe();
});
element.addEventListener('scroll', (event) => { if (event.target.matches('.box')) mark(event.target); }, true);

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !element.contains(button)) return;
  const name = button.dataset.event;
  if (events.includes(name)) {
    trigger(name, { value: button.dataset.value });
  } else if (button.classList.contains('rude')) {
    // Shown, the word is also what screen readers say.
    const known = button.classList.toggle('known');
    button.firstElementChild.setAttribute('aria-hidden', String(!known));
    button.title = known ? '' : 'rude word';
  } else if (button.matches('.copy, .link')) {
    // Around a Space the browser's address line shows another address than the view's.
    const text = button.matches('.link') ? location.href : button.parentElement.querySelector('code').textContent;
    button.dataset.text ??= button.textContent;
    navigator.clipboard.writeText(text).then(() => {
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = button.dataset.text; }, 1500);
    });
  }
});
