// gradio runs this once per HTML block, with `element` and `trigger`. Text from outside never becomes code: the server
// builds the buttons, and the script reads only their data-event and data-value.
const events = ['sort', 'turn', 'choose', 'pick'];

// Long introductions push everything down on a phone.
if (matchMedia('(max-width: 600px)').matches) element.querySelectorAll('details.fold').forEach((part) => { part.open = false; });
const address = new URLSearchParams(location.search);
element.querySelectorAll('details.phone-fold').forEach((part) => { part.open = part.dataset.fields.split(' ').some((name) => address.has(name)); });

// Boxes that have more to the right are marked, so that the page's styles can hint at it.
const mark = () => element.querySelectorAll('.box').forEach((box) => {
  box.classList.toggle('more', box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
});
new MutationObserver(mark).observe(element, { childList: true, subtree: true });
new ResizeObserver(mark).observe(element);
element.addEventListener('scroll', mark, true);

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
